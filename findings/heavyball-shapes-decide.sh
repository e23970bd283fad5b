#!/usr/bin/env bash
# A weight without a gradient is borne or raises, by the shape of another weight.
#
# Versions:  heavyball 3.2.1, torch 2.13.0, Linux x86-64, CPU.
# Expected:  each parameter is treated by itself: PSGD either bears a first gradient of zeros in one
#            weight, or it does not, whatever the other weights are.
# Seen:      weights of equal shape are taken as one tensor. Beside a weight of its own shape, which
#            has a gradient, the one without is borne; beside a weight of another shape PSGDKron,
#            PSGDPRO, QSGD and LATHER raise PrecondInitError: "Grad or HVP is all 0s". So a frozen
#            branch or a zero gate ends the run in one width and not in another.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy heavyball==3.2.1

TORCHDYNAMO_DISABLE=1 "$place/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import heavyball
import torch
from torch import nn

warnings.simplefilter("ignore")


def runs(name, shape):
    torch.manual_seed(0)
    still, other = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(*shape))
    optimizer = getattr(heavyball, name)([still, other])
    try:
        for _ in range(3):
            still.grad, other.grad = torch.zeros(4, 4), torch.randn(*shape)
            optimizer.step()
    except Exception as error:
        return type(error).__name__
    return "runs"


seen = {
    name: (runs(name, (4, 4)), runs(name, (4, 5)))
    for name in ("PSGDKron", "PSGDPRO", "QSGD", "LATHER")
}
print(seen)
sys.exit(0 if set(seen.values()) == {("runs", "PrecondInitError")} else 1)
PYTHON
