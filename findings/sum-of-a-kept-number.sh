#!/usr/bin/env bash
# The number of `2.5 * p`, as autograd keeps it for the backward pass: its sum is not 2.5.
#
# Versions:  torch 2.13.0, Linux x86-64, CPU.
# Expected:  grad_fn._saved_other of a product with a Python number is a tensor without axes. It
#            prints 2.5, so every reduction of it (sum, mean, prod, amax, amin, max, min) is 2.5.
# Seen:      it is float64, and marked inside as a Python number, which takes part in computations
#            in the default precision. sum, mean, prod, amax and amin compute 2.5 in float32 and
#            write it into the first four of the eight bytes of a float64 result: the number read
#            is about 1e-310, or anything else that the other four bytes make of it. max, min,
#            median and norm are right; so is the sum if the default precision is float64. Who looks
#            at a graph for factors that are zero gets an answer that changes from run to run.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy

cat > "$place/kept.py" <<'PYTHON'
import sys

import torch

FLOAT32 = int(torch.tensor([2.5], dtype=torch.float32).view(torch.int32))
WRONG, RIGHT = ("sum", "mean", "prod", "amax", "amin"), ("max", "min", "median", "norm")


def kept():
    """Return the number of a product, as its node keeps it."""
    p = torch.ones(3, requires_grad=True)
    return (2.5 * p).grad_fn._saved_other.detach()


def first_half(number):
    """Return the first four bytes of a float64."""
    return int(number.reshape(1).view(torch.int32)[0])


so = kept().dtype == torch.float64 and kept().item() == 2.5
for name in WRONG + RIGHT:
    results = [getattr(kept(), name)() for _ in range(50)]
    right = sum(r.item() == 2.5 for r in results)
    in_single = sum(first_half(r) == FLOAT32 for r in results)
    print(f"{name}: {right} of 50 are 2.5, {in_single} begin with the bytes of 2.5 in float32")
    so = so and (in_single == 50 if name in WRONG else right == 50)
torch.set_default_dtype(torch.float64)
default = kept().sum().item()
print("sum, if the default precision is float64:", default)
sys.exit(not (so and default == 2.5))
PYTHON
"$place/venv/bin/python" "$place/kept.py"
