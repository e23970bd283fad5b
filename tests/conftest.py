"""Settings of all tests: one thread for PyTorch, and the same examples of Hypothesis everywhere."""

import os

from hypothesis import settings

# Threads cost more than they give on networks of this size, and fight where tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where a device is named, tests make their tensors there: `make gpu` runs those of theorems so.
if DEVICE := os.environ.get("TEST_DEVICE", ""):
    import torch

    class Generator(torch.Generator):
        """A generator of this device, if no other one is named."""

        def __new__(cls, device: str = DEVICE) -> "Generator":
            return super().__new__(cls, device)  # type: ignore[call-arg]

    torch.Generator = Generator  # type: ignore[assignment,misc]
    torch.set_default_device(DEVICE)

# As many examples as the tests' minute allows; the same on every machine, so that a run repeats.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=12)
settings.load_profile("repeatable")
