#!/usr/bin/env bash
# A weight without gradient is pulled to zero at the full rate, however small the weight decay.
#
# Versions:  torch 2.13.0, mlx 0.32.4 with numpy 2.4.6, Linux x86-64, CPU.
# Expected:  with a weight decay of 1e-6 a weight whose gradient is exactly zero shrinks by some
#            lr * 1e-6 a step: in 50 steps of lr 0.01 by a factor of 0.9999995 at least.
# Seen:      optimizers that add the decay to the gradient take it for the gradient, and normalize it.
#            The norm of 64 normal numbers falls to 0.63 of itself under torch.optim's Adam, with 1e-6
#            as with 1e-2; to 0.65 under Adamax, 0.66 under NAdam, 0.30 under RMSprop, 0.89 under
#            Adagrad. MLX's Muon also adds the decay to the gradient, and orthogonalizes the sum: 0.84
#            (torch.optim's Muon multiplies it by the rate). The decay of MLX's Muon is 0.01 if nothing
#            is said. SGD and AdamW of torch.optim and AdamW of MLX keep all.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 "mlx[cpu]==0.32.4" numpy==2.4.6

"$place/venv/bin/python" - <<'PYTHON'
import sys

import mlx.core as mx
import mlx.optimizers
import numpy as np
import torch

START = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)


def of_torch(name, **options):
    weight = torch.nn.Parameter(torch.tensor(START))
    optimizer = getattr(torch.optim, name)([weight], lr=0.01, **options)
    for _ in range(50):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    return np.linalg.norm(weight.detach().numpy()) / np.linalg.norm(START)


def of_mlx(name, **options):
    weights = {"w": mx.array(START)}
    optimizer = getattr(mlx.optimizers, name)(0.01, **options)
    for _ in range(50):
        weights = optimizer.apply_gradients({"w": mx.zeros((8, 8))}, weights)
    return np.linalg.norm(np.array(weights["w"])) / np.linalg.norm(START)


kept = True
for left, names in ((of_torch, "SGD AdamW Muon Adam Adamax NAdam RMSprop Adagrad"), (of_mlx, "AdamW Muon")):
    for name in names.split():
        shares = [left(name, weight_decay=decay) for decay in (1e-2, 1e-6)]
        print(left.__name__, name, "keeps {:.4f} with 1e-2 and {:.7f} with 1e-6".format(*shares))
        plain = name in ("SGD", "AdamW") or (left, name) == (of_torch, "Muon")
        kept &= shares[1] > 0.999999 if plain else shares[1] < 0.95
sys.exit(not kept)
PYTHON
