#!/usr/bin/env bash
# An optimizer multiplies every weight by 0.7071 at its first step, whatever gradient and rate are.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  with SRMM (stochastic regularized majorization-minimization) a weight without a gradient
#            rests, and one with a gradient moves by about the rate.
# Seen:      it steps from an average of the weights that starts at zero, not at the weights, and the
#            first weight of that average is 2^-0.5: after step 1 every weight, a pretrained one too,
#            is 0.7071 of itself, at any rate, and stays there without a gradient. AdamW leaves it.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from pytorch_optimizer import SRMM, AdamW

pretrained = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
kept = True
for optimizer in (AdamW, SRMM):
    for lr in (1e-2, 1e-5):
        weight = torch.nn.Parameter(pretrained.clone())
        descent, sizes = optimizer([weight], lr=lr), []
        for _ in range(100):
            weight.grad = torch.zeros_like(weight)
            descent.step()
            sizes.append((weight.norm() / pretrained.norm()).item())
        print(f"{optimizer.__name__}, lr {lr}: the weight without a gradient has after 1 and 100 steps",
              f"{sizes[0]:.4f} and {sizes[-1]:.4f} of its size")
        left = 0.5**0.5 if optimizer is SRMM else 1
        kept &= abs(sizes[0] - left) < 1e-3 and abs(sizes[-1] - left) < 1e-2
sys.exit(not kept)
PYTHON
