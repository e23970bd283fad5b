#!/usr/bin/env bash
# The gradient of a maximum that leaves out the old value counts it all the same, and is too small.
#
# Versions:  torch 2.13.0, torch_geometric 2.8.1, Linux x86-64, CPU.
# Expected:  scatter_reduce and index_reduce with "amax" or "amin" and include_self=False take the largest
#            or smallest of the sources, whatever the target holds. Of a single source that is the source
#            itself, and its gradient is 1; k equal sources get 1/k each.
# Seen:      where the target holds the same number as the result, it takes a share of the gradient, which
#            is then thrown away: a single source gets 1/2, k equal ones 1/(k+1) each. gradcheck fails.
#            PyTorch Geometric reduces into zeros, so maxima of exact zeros are the case: an EdgeConv
#            whose last layer starts at zero gives its bias half of the gradient in a ring of nodes, and
#            k/(k+1) of it with k neighbours; at a bias of 0.001 all is right. global_max_pool and
#            MaxAggregation with index are wrong too, MaxAggregation with ptr is right. Where nodes take
#            the maximum of a neighbour and of themselves into the tensor that holds them, a node that
#            is its own maximum loses half of that gradient, at ordinary numbers.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 torch_geometric==2.8.1

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torch import nn
from torch_geometric.nn import EdgeConv, MaxAggregation, global_max_pool

kept = True


def shares(operation, reduce, target, sources):
    s = torch.tensor(sources, dtype=torch.double, requires_grad=True)
    index = torch.zeros(len(sources), dtype=torch.long)

    def reduced(s):
        t = torch.full((1,), target, dtype=torch.double)
        return getattr(t, operation)(0, index, s, reduce, include_self=False)

    reduced(s).sum().backward()
    right = len(sources) > 1 or torch.autograd.gradcheck(reduced, (s,), raise_exception=False)
    return s.grad, right


for operation in ("scatter_reduce", "index_reduce"):
    for reduce in ("amax", "amin"):
        for target, sources in ((0.0, [0.0]), (5.0, [5.0]), (1.0, [5.0]), (0.0, [0.0] * 6), (1.0, [0.0] * 6)):
            gradient, right = shares(operation, reduce, target, sources)
            print(f"{operation} {reduce}, target {target:g}, {len(sources)} of {sources[0]:g}:"
                  f" {gradient[0]:.4f} each", "" if right else "(gradcheck fails)")
            equal = target == sources[0]
            kept &= abs(gradient[0].item() - 1 / (len(sources) + equal)) < 1e-6
            kept &= right == (not equal or len(sources) > 1)

torch.manual_seed(0)
last = nn.Linear(8, 3)
layer = EdgeConv(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), last))
nn.init.zeros_(last.weight)
n, x = 12, torch.randn(12, 2)
nodes = torch.arange(n)
for k in (1, 2, 3):
    edges = torch.cat([torch.stack([nodes, (nodes + i + 1) % n]) for i in range(k)], dim=1)
    for start in (0.0, 0.001):
        nn.init.constant_(last.bias, start)
        layer.zero_grad()
        layer(x, edges).sum().backward()
        print(f"EdgeConv, {n} nodes, in-degree {k}, bias {start}:"
              f" gradient of each bias {last.bias.grad.mean():.3f}")
        kept &= bool((last.bias.grad - n * (1 if start else k / (k + 1))).abs().max() < 1e-4)

for name, pool in (
    ("global_max_pool", lambda x: global_max_pool(x, nodes)),
    ("MaxAggregation, index", lambda x: MaxAggregation()(x, nodes)),
    ("MaxAggregation, ptr", lambda x: MaxAggregation()(x, ptr=torch.arange(n + 1))),
):
    zeros = torch.zeros(n, 1, requires_grad=True)
    pool(zeros).sum().backward()
    print(f"{name}: {n} groups of a single zero, gradient {zeros.grad.unique().tolist()}")
    kept &= zeros.grad.unique().tolist() == [1.0 if "ptr" in name else 0.5]

sources, targets = torch.cat([nodes, nodes]), torch.cat([nodes, (nodes + 1) % n])
state = torch.randn(n, requires_grad=True)
largest = state.scatter_reduce(0, targets, state[sources], "amax", include_self=False)
right = torch.maximum(state, state.roll(1))
found, = torch.autograd.grad(largest.sum(), state)
wanted, = torch.autograd.grad(right.sum(), state)
own = (state >= state.roll(1)).sum().item()
print(f"own and previous node of {n}: results equal {torch.equal(largest, right)}; gradients"
      f" {found.tolist()}, sum {found.sum():g}; by torch.maximum {wanted.tolist()}, sum {wanted.sum():g}")
kept &= torch.equal(largest, right) and own > 0 and found.sum().item() == n - own / 2
sys.exit(not kept)
PYTHON
