#!/usr/bin/env bash
# With a trust ratio a weight of zeros takes the largest step of all, and a tiny one the smallest.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  LAMB, LARS and Fromage scale a step by |w|/|step|, and by 1 where w is exactly zero. So
#            a weight of zeros takes a step of about the rate, and a weight of almost zeros a similar
#            one.
# Seen:      one step, lr 0.02, the same gradient. Lamb moves a zero weight by 0.6, thirty times the
#            rate, since its averages are not corrected for their start, and a weight of N(0, 1e-6^2)
#            by 2e-7; LARS by 0.05 and 5e-11; Fromage by 0.05 and 5e-8. AdamW moves both by 0.02.
#            So a start at zero and a start at almost zero are opposites for these three: a layer that
#            is "small enough" hardly leaves its place, and one at zero leaps.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from pytorch_optimizer import LARS, AdamW, Fromage, Lamb

draw = torch.Generator().manual_seed(0)
normal, gradient = (torch.randn(8, 8, generator=draw) for _ in range(2))
kept = True
for optimizer in (AdamW, Lamb, LARS, Fromage):
    moves = []
    for std in (0, 1e-6, 1e-3, 1e-1):
        weight = torch.nn.Parameter(std * normal)
        weight.grad = gradient.clone()
        optimizer([weight], lr=0.02).step()
        moves.append((weight - std * normal).abs().max().item())
    print(optimizer.__name__, "moves a weight of std 0, 1e-6, 1e-3, 1e-1 by",
          *(f"{move:.0e}" for move in moves))
    if optimizer is AdamW:
        kept &= max(moves) < 1.1 * min(moves)
    else:
        kept &= moves[1] < 1e-3 * moves[3] and moves[0] > 2 * moves[3]
sys.exit(not kept)
PYTHON
