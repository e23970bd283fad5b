#!/usr/bin/env bash
# orthogonal() on a layer of zeros gives zeros, and they stay zeros whatever the training says.
#
# Versions:  torch 2.13.0, Linux x86-64, CPU.
# Expected:  torch.nn.utils.parametrizations.orthogonal gives an orthogonal matrix from any weight, at
#            once and at each later step: of zeros the identity or a random one; of a weight with one row
#            of zeros a row that is orthogonal to the others.
# Seen:      a square weight of zeros stays exactly zero, with all three maps, after 50 steps of Adam as
#            before, and nothing raises. With a row of zeros as the last of a square weight, W W^T is off
#            from the identity by 1, after training, too; so it is at first with a row of zeros anywhere
#            in a wide weight, or a column in a tall one, and 50 steps leave these off by 0.3 or more.
#            Each column of Q is multiplied by the sign of a number of R's diagonal, and the sign of 0 is
#            0. Where rounding leaves it a sign, as with zeros in the first row of a square weight or with
#            two equal rows, all is well; these are printed only. With matrix_exp and
#            use_trivialization=False all is right.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal


def off(weight):
    """Return how far the shorter of W W^T and W^T W is from the identity."""
    if weight.shape[0] > weight.shape[1]:
        weight = weight.T
    return (weight @ weight.T - torch.eye(len(weight))).abs().max().item()


def try_start(shape, spoil, **how):
    """Make a layer orthogonal and train it; return how far off it is before and after, and its size."""
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0], bias=False)
    with torch.no_grad():
        spoil(layer.weight)
    orthogonal(layer, **how)
    before = off(layer.weight)
    x, y = torch.randn(32, shape[1]), torch.randn(32, shape[0])
    adam = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(50):
        adam.zero_grad()
        (layer(x) - y).square().mean().backward()
        adam.step()
    return before, off(layer.weight), layer.weight.abs().max().item()


def twins(weight):
    weight[1] = weight[0]


def zero(where):
    def spoil(weight):
        weight[where] = 0
    return spoil


every = slice(None)
cases = {  # name: shape, what is done to the random weight, whether it does harm (None: by rounding)
    "6 x 6, random": ((6, 6), lambda weight: None, False),
    "6 x 6, two equal rows": ((6, 6), twins, None),
    "6 x 6, zeros": ((6, 6), zero(every), True),
    "6 x 6, first row zeros": ((6, 6), zero(0), None),
    "6 x 6, last row zeros": ((6, 6), zero(-1), True),
    "4 x 8, first row zeros": ((4, 8), zero(0), True),
    "4 x 8, last row zeros": ((4, 8), zero(-1), True),
    "8 x 4, first column zeros": ((8, 4), zero((every, 0)), True),
    "8 x 4, first row zeros": ((8, 4), zero(0), False),
}
ways = [{"orthogonal_map": one} for one in ("matrix_exp", "cayley", "householder")]
ways.append({"orthogonal_map": "matrix_exp", "use_trivialization": False})
kept = True
for name, (shape, spoil, harm) in cases.items():
    for how in ways:
        before, after, size = try_start(shape, spoil, **how)
        print(f"{name}, {how}: off by {before:.3f}, after training {after:.3f}; "
              f"largest number {size:.2g}")
        if harm and "use_trivialization" not in how:
            kept &= before > 0.9 and after > 0.1
        elif harm is not None:
            kept &= before < 1e-4 and after < 1e-4
        if name == "6 x 6, zeros":
            kept &= (size == 0) == ("use_trivialization" not in how)
sys.exit(not kept)
PYTHON
