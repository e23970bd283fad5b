#!/usr/bin/env bash
# What the first gradient is decides the scale of all later steps, and one number has no spread.
#
# Versions:  sgd_sai 1.0.3, heavyball 3.2.1, timm 1.0.31, torch 2.13.0, Linux x86-64, CPU.
# Expected:  SGD-SaI scales a tensor by the size and spread of its first gradient, so that a gate of one
#            number (SkipInit, ReZero) gets a rate like that of a vector, or none. ADOPT divides by
#            the second moment of the step before and skips its first step, in every library.
# Seen:      SGD-SaI's spread of one number is not a number, is taken as 0, and the gate goes to
#            -10000 in its first step, at the default rate and with a gradient of 0.1; a vector of two
#            moves by 0.006. A first gradient of zero makes its factor 0, and no later step moves it.
#            heavyball's ADOPT sends a number whose first gradient is zero from 1 to -24999 in its
#            second step, as it divides by its epsilon; timm's clips, and moves it by less than 1.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy sgd-sai==1.0.3 heavyball==3.2.1
"$place/venv/bin/pip" install -q --no-deps timm==1.0.31

TORCHDYNAMO_DISABLE=1 "$place/venv/bin/python" - "$place" <<'PYTHON'
import contextlib
import importlib
import importlib.machinery
import io
import sys
import types
import warnings

import heavyball
import torch
from sgd_sai import SGD_sai
from torch import nn

warnings.simplefilter("ignore")
for name in ("timm", "timm.optim"):  # its first files ask for torchvision, which no optimizer needs
    parent = name.rpartition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(
        name, sys.modules[parent].__path__ if parent else None
    )
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = list(spec.submodule_search_locations)
Adopt = importlib.import_module("timm.optim.adopt").Adopt


def path(make, start, *gradients):
    weight = nn.Parameter(torch.tensor(start))
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = make([weight])
        for gradient in gradients:
            weight.grad = torch.tensor(gradient)
            optimizer.step()
    return weight.detach().tolist()


one = path(SGD_sai, [0.0], [0.1])
two = path(SGD_sai, [0.0, 0.0], [0.1, 0.2])
held = path(SGD_sai, [0.0, 0.0], [0.0, 0.0], [0.1, 0.2], [0.1, 0.2])
late = path(heavyball.ADOPT, [1.0, 1.0], [0.0, 0.1], [0.1, 0.1])
clipped = path(Adopt, [1.0, 1.0], [0.0, 0.1], [0.1, 0.1])
print(one, two, held, late, clipped)
ok = abs(one[0]) > 1000 and max(map(abs, two)) < 0.1 and held == [0.0, 0.0]
ok &= abs(late[0]) > 1000 and max(abs(w - 1) for w in clipped) < 1
sys.exit(0 if ok else 1)
PYTHON
