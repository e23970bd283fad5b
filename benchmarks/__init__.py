"""What it costs to build this book and to train its networks: ``make bench``."""
