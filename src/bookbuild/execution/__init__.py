"""Run the cells of pages quickly, and keep their outputs: two Sphinx extensions, see README.md."""
