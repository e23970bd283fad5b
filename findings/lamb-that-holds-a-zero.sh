#!/usr/bin/env bash
# With bitsandbytes' LAMB a weight of zeros never moves; other LAMBs make it leap.
#
# Versions:  torch 2.13.0, bitsandbytes 0.50.2, Linux x86-64, CPU.
# Expected:  LAMB scales a step by |w|/|step|, and by 1 where w is exactly zero, so a zero weight (a
#            head, LoRA's B) moves; with Adam of the same library it does.
# Seen:      its norm of the step is limited to max_unorm = 1 times the norm of the weight: a zero
#            weight is exactly zero after 200 steps with gradients, in LAMB, LAMB32bit and LAMB8bit,
#            and one of N(0, 1e-6^2) goes a millionth of the way of one of N(0, 0.1^2) in a step.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0
"$place/venv/bin/pip" install -q --no-deps bitsandbytes==0.50.2 numpy packaging

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from bitsandbytes.optim import LAMB, LAMB8bit, LAMB32bit, AdamW

draw = torch.Generator().manual_seed(0)
normal, gradient = (torch.randn(8, 8, generator=draw) for _ in range(2))
kept = True
for optimizer in (AdamW, LAMB, LAMB32bit, LAMB8bit):
    ways = {}
    for std in (0.1, 1e-6, 0):
        weight = torch.nn.Parameter(std * normal)
        descent = optimizer([weight], lr=1e-3)
        for _ in range(200):
            weight.grad = gradient.clone()
            descent.step()
            ways.setdefault(std, (weight - std * normal).norm().item())
    left = bool(weight.any())
    print(f"{optimizer.__name__}: a first step from std 0.1, 1e-6, 0:",
          *(f"{way:.0e}" for way in ways.values()), "- the zero weight",
          "has moved" if left else "is zero", "after 200 steps")
    if optimizer is AdamW:
        kept &= left and abs(ways[0] / ways[0.1] - 1) < 0.1
    else:
        kept &= not left and ways[1e-6] < 1e-3 * ways[0.1]
sys.exit(not kept)
PYTHON
