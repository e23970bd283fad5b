#!/usr/bin/env bash
# FOCUS moves a weight that has no gradient, by the sign of a rounding error.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  a weight whose gradient is zero at every step is equal to its own average, which FOCUS
#            pulls it to. So it rests, as with AdamW.
# Seen:      the average, with its correction for the start, differs from the weight in the last bit,
#            and FOCUS steps by the sign of the difference: some numbers move by gamma * lr = 1e-3
#            (lr 0.01), as far as if the pull were real, and others not: 13 of 64 in float32, 63 in
#            float64. A dead layer does not rest.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from pytorch_optimizer import FOCUS, AdamW

kept = True
for optimizer in (AdamW, FOCUS):
    for dtype in (torch.float32, torch.float64):
        draw = torch.Generator().manual_seed(0)
        start = torch.randn(8, 8, generator=draw, dtype=dtype)
        weight = torch.nn.Parameter(start.clone())
        descent = optimizer([weight], lr=0.01, weight_decay=0)
        for _ in range(100):
            weight.grad = torch.zeros_like(weight)
            descent.step()
        moved = (weight - start).abs()
        print(f"{optimizer.__name__}, {dtype}: {int((moved > 1e-6).sum())} of 64 numbers move,",
              f"by {moved.max():.1e} at most")
        if optimizer is FOCUS:
            kept &= int((moved > 5e-4).sum()) > 4
        else:
            kept &= not bool(moved.any())
sys.exit(not kept)
PYTHON
