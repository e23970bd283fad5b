#!/usr/bin/env bash
# HRA with apply_GS and its default start: a network that is not a number.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  init_weights=True draws the vectors of the reflections in equal pairs, which undo each
#            other; apply_GS=True makes the vectors orthogonal. So at worst the start is not the
#            identity, and training begins from another orthogonal matrix.
# Seen:      the second vector of a pair, less its part along the first, is rounding or exactly zero,
#            and is divided by its length: of a hundred draws of one layer in float32 a third say NaN,
#            and the others reflect along what rounding left, and are off by more than 0.1. No warning
#            is given. init_weights=False has no pairs, and none of its draws says NaN.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import HRAConfig, get_peft_model
from torch import nn


def starts(**settings):
    """Return of a hundred draws how many say NaN, and how many are off by 0.1 or more."""
    nan = off = 0
    for seed in range(100):
        torch.manual_seed(seed)
        layer, x = nn.Linear(16, 8), torch.randn(4, 16)
        before = layer(x).detach()
        model = get_peft_model(nn.Sequential(layer), HRAConfig(r=8, target_modules=["0"], **settings))
        gap = ((model(x) - before).abs().max() / before.abs().max()).item()
        nan += gap != gap
        off += gap > 0.1
    return nan, off


plain, pairs, free = starts(), starts(apply_GS=True), starts(apply_GS=True, init_weights=False)
print("of 100 draws NaN, and off by 0.1 or more")
print("default:", plain, " apply_GS:", pairs, " apply_GS, init_weights=False:", free)
sys.exit(not (plain == (0, 0) and free[0] == 0 and pairs[0] > 10 and sum(pairs) == 100))
PYTHON
