#!/usr/bin/env bash
# ELU and CELU with alpha 1 are one function, and have two slopes at zero.
#
# Versions:  mlx 0.32.4, tinygrad 0.14.0, torch 2.13.0, Linux x86-64, CPU.
# Expected:  elu(x) and celu(x) with alpha 1 are the same function, x above zero and exp(x) - 1 below
#            it, smooth at zero with slope 1. So a network of zeros with either of them has a gradient.
# Seen:      PyTorch gives 1 for both. MLX gives 1 for elu and 0 for celu: it is a sum of maximum(x, 0)
#            and of minimum(x, 0) behind exp, and either gives its gradient to the second argument
#            where both are equal. tinygrad gives 1 for celu and 0 for elu, and 1.0507 for selu where
#            PyTorch and MLX give 1.7581. At x = -1e-6 and 1e-6 all of them agree. So under MLX's CELU
#            or tinygrad's ELU a layer whose sums are exactly zero passes no gradient, as under ReLU.
#            MLX's prelu with weight 0.25 has the slope 1.25 at zero, more than on either side.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 "mlx[cpu]==0.32.4" tinygrad==0.14.0

DEV=PYTHON "$place/venv/bin/python" - <<'PYTHON'
import sys

import mlx.core as mx
import mlx.nn
import torch
from tinygrad import Tensor


def of_torch(name, x):
    x = torch.tensor([x], requires_grad=True)
    getattr(torch.nn.functional, name)(x).sum().backward()
    return x.grad.item()


def of_mlx(name, x):
    more = [mx.array(0.25)] if name == "prelu" else []
    return mx.grad(lambda x: getattr(mlx.nn, name)(x, *more))(mx.array(x)).item()


def of_tinygrad(name, x):
    x = Tensor([x]).contiguous()
    getattr(x, name)().sum().backward()
    return x.grad.item()


kept = True
wanted = {
    of_torch: {"elu": 1, "celu": 1, "selu": 1.7581},
    of_mlx: {"elu": 1, "celu": 0, "selu": 1.7581, "prelu": 1.25},
    of_tinygrad: {"elu": 0, "celu": 1, "selu": 1.0507},
}
for slope, functions in wanted.items():
    for name, value in functions.items():
        slopes = [slope(name, x) for x in (-1e-6, 0.0, 1e-6)]
        print(slope.__name__, name, "just below, at and above zero:", *(f"{s:.4f}" for s in slopes))
        kept &= abs(slopes[1] - value) < 1e-4
        if name in ("elu", "celu"):
            kept &= all(abs(s - 1) < 1e-4 for s in slopes[::2])
sys.exit(not kept)
PYTHON
