#!/usr/bin/env bash
# At zero, and nowhere else, erf, asin and atan have no slope in tinygrad.
#
# Versions:  tinygrad 0.14.0, Linux x86-64, CPU.
# Expected:  the slopes at zero are 1.1284 for erf and 1 for asin and atan, as on both sides of it. A
#            network of zeros with such an activation passes a gradient.
# Seen:      0 at zero for the three: each is made of sign(x) times a function of |x|, and both have
#            slope 0 there. tanh, asinh and softsign are right. 1e-4 beside zero all are right.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q tinygrad==0.14.0

DEV=PYTHON "$place/venv/bin/python" - <<'PYTHON'
import math
import sys

from tinygrad import Tensor


def slope(name, x):
    x = Tensor([x]).contiguous()
    getattr(x, name)().sum().backward()
    return x.grad.item()


right = {"tanh": 1, "asinh": 1, "softsign": 1, "erf": 2 / math.sqrt(math.pi), "asin": 1, "atan": 1}
kept = True
for name, value in right.items():
    below, at, above = (slope(name, x) for x in (-1e-4, 0.0, 1e-4))
    print(f"{name}: {below:.4f} below zero, {at:.4f} at zero, {above:.4f} above it")
    flat = name in ("erf", "asin", "atan")
    kept &= abs(at - (0 if flat else value)) < 1e-3
    kept &= max(abs(below - value), abs(above - value)) < 1e-2
sys.exit(not kept)
PYTHON
