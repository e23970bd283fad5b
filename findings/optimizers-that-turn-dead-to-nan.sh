#!/usr/bin/env bash
# Gradients of exact zeros at the start turn every weight to NaN under two optimizers of optax.
#
# Versions:  jax 0.10.2, optax 0.2.8, torch 2.13.0, prodigyopt 1.1.2, Linux x86-64, CPU.
# Expected:  a network whose gradients are all exactly zero stays where it is: Prodigy and D-Adaptation
#            estimate the distance to the solution from the gradients seen, and wait until there is one.
# Seen:      optax.contrib.prodigy makes every weight NaN at the first step and dadapt_adamw at the
#            second, whatever its gradient: the estimate is 0/0. If another parameter has a gradient, all is well. The author's own Prodigy
#            for PyTorch leaves the weights alone, as do optax's dog, dowg and adam.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 jax==0.10.2 optax==0.2.8 prodigyopt==1.1.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import jax.numpy as jnp
import optax
import torch
from prodigyopt import Prodigy


def two_steps(optimizer, gradients):
    weights = [jnp.ones(3) for _ in gradients]
    state = optimizer.init(weights)
    for _ in range(2):
        updates, state = optimizer.update(gradients, state, weights)
        weights = optax.apply_updates(weights, updates)
    return jnp.concatenate(weights)


kept = True
for name in ("adam", "contrib.dog", "contrib.dowg", "contrib.prodigy", "contrib.dadapt_adamw"):
    module = optax.contrib if "contrib" in name else optax
    make = getattr(module, name.split(".")[-1])
    optimizer = make(0.01) if name == "adam" else make()
    dead, mixed = (two_steps(optimizer, [jnp.zeros(3), *more]) for more in ([], [jnp.ones(3)]))
    print(f"optax.{name}: {dead} after two gradients of zeros; {mixed} beside one of ones")
    kept &= bool(jnp.isfinite(mixed).all())
    kept &= bool(jnp.isnan(dead).all() if "prodigy" in name or "dadapt" in name else (dead == 1).all())
weight = torch.nn.Parameter(torch.ones(3))
weight.grad = torch.zeros(3)
optimizer = Prodigy([weight])
for _ in range(2):
    optimizer.step()
print("prodigyopt.Prodigy:", weight.tolist(), "after two gradients of zeros")
kept &= weight.tolist() == [1, 1, 1]
sys.exit(not kept)
PYTHON
