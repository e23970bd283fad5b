"""Measure the costs of building this book and of training its networks: ``make bench``."""
