#!/usr/bin/env bash
# Two optimizers move a network whose gradients are zero, because their state does not start there.
#
# Versions:  torch 2.13.0, pytorch_optimizer 4.1.0, Linux x86-64, CPU.
# Expected:  an all-zero tanh network has no gradient but that of its last bias, so no optimizer
#            moves anything else: a dead network stays dead.
# Seen:      AdamW moves the last bias alone.
#            Yogi starts its mean of gradients at 1e-6 (initial_accumulator), so its first step moves
#            every number by the same 2.8e-5 (lr 0.1): the dead network becomes one of equal units.
#            Gravity draws its velocity at random from the global generator (standard deviation
#            alpha/lr), so its first step moves every number by about 0.01, each by its own: an
#            all-zero network, or one of equal units, is parted by the optimizer alone.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 pytorch_optimizer==4.1.0

"$place/venv/bin/python" - <<'PYTHON'
import sys

import pytorch_optimizer
import torch
from torch import nn

x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long()
expected = {"AdamW": (1, 1), "Yogi": (4, 1), "Gravity": (4, 16)}
found = {}
for name in expected:
    torch.manual_seed(0)
    first, last = nn.Linear(2, 16), nn.Linear(16, 2)
    model = nn.Sequential(first, nn.Tanh(), last)
    for p in model.parameters():
        nn.init.zeros_(p)
    nn.functional.cross_entropy(model(x), y).backward()
    gradients = sum(bool(p.grad.any()) for p in model.parameters())
    getattr(pytorch_optimizer, name)(model.parameters(), lr=0.1).step()
    moved = sum(bool(p.any()) for p in model.parameters())
    units = torch.cat([first.weight, first.bias[:, None], last.weight.T], dim=1).detach()
    found[name] = moved, len(units.unique(dim=0))
    print(f"{name}: {gradients} of 4 parameters have a gradient, {moved} move,"
          f" by {units.abs().max():.1e} in a unit; {found[name][1]} different units")
sys.exit(found != expected)
PYTHON
