#!/usr/bin/env bash
# Exported to ONNX, a layer with W + BA has no A and no B any more, and equal layers are one.
#
# Versions:  torch 2.13.0, onnx 1.22.0, onnxscript 0.7.1, Linux x86-64, CPU.
# Expected:  if B is zero, the exporter sees that BA adds nothing, and drops both; with another B it
#            keeps A and B. Three layers that start at zero are three initializers of the file.
# Seen:      by default it computes W + BA once, whatever B is, and keeps the sum alone, under the
#            name of its addition; written as two paths, x W and x A B, both matrices stay, under
#            the names of their transposes. Layers with equal values, zero or not, share one
#            initializer, so whoever trains the file trains one layer. With optimize=False all of
#            them stay, under their own names.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy onnx==1.22.0 onnxscript==0.7.1

cat > "$place/export.py" <<'PYTHON'
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")
torch.manual_seed(0)


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter beside it, or added to its weight."""

    def __init__(self, start, merged):
        super().__init__()
        self.base = nn.Linear(6, 5)
        self.A = nn.Parameter(torch.randn(2, 6))
        self.B = nn.Parameter(torch.full((5, 2), start))
        self.merged = merged

    def forward(self, x):
        if self.merged:
            return nn.functional.linear(x, self.base.weight + self.B @ self.A, self.base.bias)
        return self.base(x) + x @ self.A.T @ self.B.T


def kept(model, **how):
    program = torch.onnx.export(model.eval(), (torch.ones(3, 6),), dynamo=True, verbose=False, **how)
    graph = program.model_proto.graph
    return sorted((one.name, tuple(one.dims)) for one in graph.initializer)


class Three(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6, bias=False) for _ in range(3))
        for layer in self.layers:
            nn.init.constant_(layer.weight, value)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


seen = {
    (merged, start, optimize): [name for name, _ in kept(Adapted(start, merged), optimize=optimize)]
    for merged in (False, True)
    for start in (0.0, 0.5)
    for optimize in (True, False)
}
three = {
    (value, optimize): [name for name, _ in kept(Three(value), optimize=optimize)]
    for value in (0.0, 0.5)
    for optimize in (True, False)
}
for what, names in {**seen, **three}.items():
    print(*what, names)
separate = ["A", "B", "base.bias", "base.weight"]
ok = all(seen[True, start, True] == ["add", "base.bias"] for start in (0.0, 0.5))
ok &= all(len(seen[False, start, True]) == 4 for start in (0.0, 0.5))
ok &= all(seen[merged, start, False] == separate for merged in (False, True) for start in (0.0, 0.5))
ok &= all(len(names) == (1 if optimize else 3) for (_, optimize), names in three.items())
sys.exit(0 if ok else 1)
PYTHON

HOME="$place" "$place/venv/bin/python" "$place/export.py" 2> /dev/null
