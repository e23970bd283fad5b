"""What the other folders stand on. Nothing here is connected to an event of Sphinx."""
