#!/usr/bin/env bash
# A leaky ReLU passes a hundredth of the gradient at zero in PyTorch, and all of it elsewhere.
#
# Versions:  torch 2.13.0, jax 0.10.2, keras 3.15.1, mlx 0.32.4, tinygrad 0.14.0,
#            paddlepaddle 3.3.1, Linux x86-64, CPU.
# Expected:  at zero a leaky ReLU has the slope of one of its sides; that each library takes the lower
#            one, as for its ReLU, whose slope at zero is 0 in all five.
# Seen:      0.01 in PyTorch, 1 in JAX, MLX, tinygrad and Paddle. So from a layer of zeros the same
#            network takes first steps of a hundredth in PyTorch. Within Paddle the same function with
#            the negative slope 0.25 has the slope 1 at zero as leaky_relu, and 0.25 as prelu. A PReLU of
#            Keras (on JAX) with the same slope has 0 at zero, neither of its sides: it is made of two
#            ReLUs. From zeros it passes no gradient at all.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 jax==0.10.2 keras==3.15.1 "mlx[cpu]==0.32.4" tinygrad==0.14.0 paddlepaddle==3.3.1

DEV=PYTHON "$place/venv/bin/python" - <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import mlx.core as mx
import mlx.nn
import paddle
import torch
from tinygrad import Tensor


def of_torch(name):
    x = torch.zeros(1, requires_grad=True)
    getattr(torch.nn.functional, name)(x).sum().backward()
    return x.grad.item()


def of_jax(name):
    return jax.grad(getattr(jax.nn, name))(0.0).item()


def of_mlx(name):
    return mx.grad(getattr(mlx.nn, name))(mx.array(0.0)).item()


def of_tinygrad(name):
    x = Tensor([0.0]).contiguous()
    getattr(x, name)().sum().backward()
    return x.grad.item()


def of_paddle(name, *more):
    x = paddle.zeros([1])
    x.stop_gradient = False
    getattr(paddle.nn.functional, name)(x, *more).sum().backward()
    return x.grad.item()


kept = True
for slope in (of_torch, of_jax, of_mlx, of_tinygrad, of_paddle):
    relu, leaky = slope("relu"), slope("leaky_relu")
    print(f"{slope.__name__}: relu {relu:.2f}, leaky_relu {leaky:.2f}")
    kept &= relu == 0 and abs(leaky - (0.01 if slope is of_torch else 1)) < 1e-6
pair = of_paddle("leaky_relu", 0.25), of_paddle("prelu", paddle.to_tensor([0.25]))
print("of_paddle, negative slope 0.25: leaky_relu {:.2f}, prelu {:.2f}".format(*pair))
kept &= pair == (1, 0.25)
layer = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
slopes = [jax.grad(lambda x: layer(x[None, None])[0, 0])(x).item() for x in (-1e-3, 0.0, 1e-3)]
print("PReLU of Keras, 0.25: just below, at and above zero", slopes)
kept &= slopes == [0.25, 0, 1]
sys.exit(not kept)
PYTHON
