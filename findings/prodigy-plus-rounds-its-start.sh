#!/usr/bin/env bash
# Whether Prodigy+ScheduleFree learns at all depends on the bits of the start behind bfloat16.
#
# Versions:  prodigy-plus-schedule-free 2.0.1, torch 2.13.0, Linux x86-64, CPU.
# Expected:  the distance d grows from 1e-6 by the gradients and by the way from the start, which is
#            kept; the same constant gradient gives about the same way from every start.
# Seen:      the start is kept in bfloat16. While d is 1e-6 the way gone is far smaller than what
#            that rounding changes, so the rounding decides whether and when d grows. After 100 steps
#            with one gradient the ways from six random starts differ by a factor above 100,000.
#            From the same starts rounded to bfloat16 beforehand all ways are equal.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy prodigy-plus-schedule-free==2.0.1

"$place/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import sys

import torch
from prodigyplus import ProdigyPlusScheduleFree
from torch import nn


def normal(seed):
    return 0.1 * torch.randn(7, 5, generator=torch.Generator().manual_seed(seed))


def way(start):
    weight = nn.Parameter(start.clone())
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = ProdigyPlusScheduleFree([weight])
    optimizer.train()
    for _ in range(100):
        weight.grad = normal(99)
        optimizer.step()
    return float((weight.detach() - start).norm())


drawn = [way(normal(seed)) for seed in range(6)]
rounded = [way(normal(seed).bfloat16().float()) for seed in range(6)]
print("as drawn:", drawn)
print("rounded: ", rounded)
ok = max(drawn) > 1e5 * min(drawn) and max(rounded) < 1.001 * min(rounded)
sys.exit(0 if ok else 1)
PYTHON
