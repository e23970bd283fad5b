"""The build of the book: small Sphinx extensions, and nothing about neural networks."""
