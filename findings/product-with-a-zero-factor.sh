#!/usr/bin/env bash
# The gradient of a product is NaN for the factor that is zero.
#
# Versions:  paddlepaddle 3.3.1, torch 2.13.0, Linux x86-64, CPU.
# Expected:  for (0, 2, 3) the gradient of the product is (6, 0, 0): a factor that is zero gets the
#            product of the others, and the others get nothing.
# Seen:      paddle.prod gives (nan, 0, 0), and for (0, 0, 3) (nan, nan, 0): it divides the product by
#            each factor. torch.prod gives (6, 0, 0) and (0, 0, 0), and paddle.cumprod is right too. So
#            a gate that starts at zero in a product turns to NaN at its first step.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 paddlepaddle==3.3.1

"$place/venv/bin/python" - <<'PYTHON'
import math
import sys

import paddle
import torch


def of_torch(values):
    x = torch.tensor(values, requires_grad=True)
    x.prod().backward()
    return x.grad.tolist()


def of_paddle(values):
    x = paddle.to_tensor(values, stop_gradient=False)
    paddle.prod(x).backward()
    return x.grad.tolist()


def of_paddle_cumprod(values):
    x = paddle.to_tensor(values, stop_gradient=False)
    paddle.cumprod(x, 0)[-1].backward()
    return x.grad.tolist()


kept = True
for values, right in (([0.0, 2, 3], [6, 0, 0]), ([0.0, 0, 3], [0, 0, 0]), ([1.0, 2, 3], [6, 3, 2])):
    gradients = [gradient(values) for gradient in (of_torch, of_paddle, of_paddle_cumprod)]
    print(values, "torch.prod, paddle.prod, paddle.cumprod:", *gradients)
    kept &= gradients[0] == gradients[2] == right
    for factor, got, true in zip(values, gradients[1], right):
        kept &= math.isnan(got) if factor == 0 else got == true
sys.exit(not kept)
PYTHON
