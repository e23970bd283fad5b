"""Tools that the other folders use. Nothing here is connected to an event of Sphinx."""
