#!/usr/bin/env bash
# In PyTorch Geometric the standard deviation of small features is exactly zero, and so is its gradient.
#
# Versions:  torch 2.13.0, torch_geometric 2.8.1, Linux x86-64, CPU.
# Expected:  StdAggregation is the root of the variance, with some epsilon for equal neighbours, whose root
#            would have an infinite slope. Features a thousand times smaller have a standard deviation a
#            thousand times smaller, or about the root of the epsilon, and a gradient.
# Seen:      what is not larger than the root of 1e-5, 0.00316, is set to zero. Neighbours of
#            N(0, 0.001^2) have a standard deviation of exactly 0 and pass no gradient; so it is in the
#            "std" of PNAConv, while its mean, min and max are right. A layer that starts with
#            weights of N(0, 0.0001^2) in front of a "std" does not move at all in 500 steps of Adam: the
#            loss stays where it is, where "var" learns from the same start, and "std" from N(0, 0.1^2).
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
from torch_geometric.nn import PNAConv, StdAggregation
from torch_geometric.nn.aggr import MultiAggregation

kept = True
torch.manual_seed(0)
groups = torch.arange(50).repeat_interleave(6)
features = torch.randn(300, 4)
for size in (1, 0.1, 0.01, 0.001):
    x = (size * features).requires_grad_()
    out = StdAggregation()(x, groups)
    out.sum().backward()
    print(f"features of N(0, {size}^2): mean std / {size} = {out.mean() / size:.3f},"
          f" largest gradient {x.grad.abs().max():.3f}")
    kept &= bool(out.any()) == bool(x.grad.any()) == (size > 0.001)

nodes = torch.arange(50)
edges = torch.cat([torch.stack([nodes, (nodes + i) % 50]) for i in range(1, 7)], dim=1)
names = ["mean", "min", "max", "std"]
layer = PNAConv(4, 4, names, ["identity"], torch.tensor([0, 0, 0, 0, 0, 0, 50]))
nn.init.zeros_(layer.pre_nns[0][0].bias)
seen = {}
layer.aggr_module.register_forward_hook(lambda module, given, out: seen.update(out=out))
for size in (1, 0.001):
    layer(size * features[:50], edges)
    parts = [(part.abs().mean() / size).item() for part in seen["out"].flatten(1).chunk(4, dim=1)]
    print(f"PNAConv, features of N(0, {size}^2): mean size / {size} of",
          ", ".join(f"{name} {part:.3f}" for name, part in zip(names, parts)))
    kept &= min(parts[:3]) > 0.1 and (parts[3] == 0) == (size == 0.001)

spread = 0.5 + torch.rand(50, 1)
groups = torch.arange(50).repeat_interleave(20)
data = torch.randn(1000, 4) * spread[groups]
for name, size in (("std", 0.0001), ("var", 0.0001), ("std", 0.1)):
    torch.manual_seed(1)
    first, pool, last = nn.Linear(4, 8, bias=False), MultiAggregation([name]), nn.Linear(8, 1)
    nn.init.normal_(first.weight, std=size)
    start = first.weight.detach().clone()
    nn.init.constant_(last.bias, spread.mean().item())
    optimizer = torch.optim.Adam([*first.parameters(), *last.parameters()], lr=0.01)
    losses = []
    for _ in range(500):
        loss = (last(pool(first(data), groups)) - spread).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = (first.weight - start).abs().max().item()
    print(f"{name} behind weights of N(0, {size}^2): loss {losses[0]:.4f} -> {losses[-1]:.4f},"
          f" the first layer moved by {moved:.3f}")
    dead = (name, size) == ("std", 0.0001)
    ratio = losses[-1] / losses[0]
    kept &= (moved == 0 and ratio > 0.99) if dead else (moved > 0.1 and ratio < 0.5)
sys.exit(not kept)
PYTHON
