"""Hypothesis draws the same examples on every machine, and as many as the tests' minute allows."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=12)
settings.load_profile("repeatable")
