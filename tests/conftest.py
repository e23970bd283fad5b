"""Settings of all tests: one thread for PyTorch, and the same examples of Hypothesis everywhere."""

import os

from hypothesis import settings

# Threads cost more than they give on networks of this size, and fight where tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# As many examples as the tests' minute allows; the same on every machine, so that a run repeats.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=12)
settings.load_profile("repeatable")
