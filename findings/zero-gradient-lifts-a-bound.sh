#!/usr/bin/env bash
# One gradient of zeros takes away AdaMod's warm-up: the next step is thousands of times as large.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  AdaMod bounds each number's rate by a slow average of the rates before, which starts at
#            zero, so the first steps of a weight are small. A weight whose first gradient is zero, as
#            LoRA's A or the layer behind a zero gate, has the same small first steps.
# Seen:      the rate of a zero gradient is lr/eps = 1e5, and 0.001 of it is in the average: the bound
#            is 100 from then on, and bounds nothing. The first step of a weight that is late by one
#            step is 7,000 times that of its neighbour in the same network at the start, and stays of
#            Adam's size; late by 10 steps the same. AdamW's are alike.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from pytorch_optimizer import AdaMod, AdamW

draw = torch.Generator().manual_seed(0)
start, *gradients = (0.1 * torch.randn(8, 8, generator=draw) for _ in range(11))
kept = True
for optimizer in (AdamW, AdaMod):
    first = {}
    for late in (0, 1, 10):
        weight = torch.nn.Parameter(start.clone())
        descent = optimizer([weight], lr=1e-3)
        for step in range(late + 1):
            before = weight.detach().clone()
            weight.grad = gradients[0].clone() if step == late else torch.zeros_like(start)
            descent.step()
        first[late] = (weight - before).norm().item()
        print(f"{optimizer.__name__}: a first gradient after {late} zero ones makes a step of",
              f"{first[late]:.1e}")
    leaps = [first[late] / first[0] for late in (1, 10)]
    kept &= all(leap > 1000 if optimizer is AdaMod else 0.1 < leap < 3 for leap in leaps)
sys.exit(not kept)
PYTHON
