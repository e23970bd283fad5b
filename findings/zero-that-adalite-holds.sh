#!/usr/bin/env bash
# With Adalite a zero weight goes one step of a hundredth of the rate, and then hardly any more.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  Adalite multiplies the gradient by |w|/|g|, but by ratio_min = 1e-4 at the least, and
#            divides by its root mean square, as Adam does: a weight of zeros is slow at first and
#            then catches up.
# Seen:      a zero weight makes one step of 8e-5 and then stands almost still: after 100 and 200 steps
#            with equal gradients it has gone 1e-4, where AdamW goes 0.8 and 1.6, and where a weight
#            of N(0, 0.1^2) goes 0.15 and 0.4 with Adalite. A last layer at zero, or LoRA's B, hardly
#            wakes.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from pytorch_optimizer import Adalite, AdamW

draw = torch.Generator().manual_seed(0)
normal, gradient = (0.1 * torch.randn(8, 8, generator=draw) for _ in range(2))
gone = {}
for optimizer in (AdamW, Adalite):
    for std in (0.1, 0):
        weight = torch.nn.Parameter(normal * std / 0.1)
        start, descent = weight.detach().clone(), optimizer([weight], lr=1e-3)
        ways = []
        for _ in range(200):
            weight.grad = gradient.clone()
            descent.step()
            ways.append((weight - start).norm().item())
        gone[optimizer, std] = ways[99], ways[199]
        print(f"{optimizer.__name__}: a weight of std {std} goes {ways[0]:.1e} in 1 step,",
              f"{ways[99]:.1e} in 100, {ways[199]:.1e} in 200")
slow = all(z < 0.01 * w for z, w in zip(gone[Adalite, 0], gone[Adalite, 0.1]))
same = all(abs(z / w - 1) < 0.1 for z, w in zip(gone[AdamW, 0], gone[AdamW, 0.1]))
sys.exit(not (slow and same))
PYTHON
