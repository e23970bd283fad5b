#!/usr/bin/env bash
# LoHa on a convolution, in its effective form: two of six gradients are not the gradients.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  the weight that is added is the product, entry by entry, of two tensors, each made of a
#            core t and two factors a and b. At the start w2_b is zero, so the first gradients of all
#            others are exactly zero, and each gradient is what small differences of the loss give.
# Seen:      the backward pass is written by hand, and in it w1_a and w2_a are contracted with the
#            other tensor's core and factor in place of their own. At the start w1_a is right, and
#            w2_a has a gradient where the loss does not depend on it at all; with a w2_b that is not
#            zero both are wrong by about their own size. The other four are right, and so are
#            all without use_effective_conv2d. LyCORIS has the same formula without the mistake.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import LoHaConfig, get_peft_model
from torch import nn


def wrong(effective, zero):
    """Return the tensors whose gradient is not that of small differences, and how far it is off."""
    torch.manual_seed(0)
    config = LoHaConfig(r=4, alpha=4, target_modules=["0"], use_effective_conv2d=effective)
    model = get_peft_model(nn.Sequential(nn.Conv2d(4, 8, 3)), config).double()
    x = torch.randn(4, 4, 6, 6, dtype=torch.float64)
    tensors = {n.split(".")[-2]: p for n, p in model.named_parameters() if p.requires_grad}
    if not zero:
        nn.init.normal_(tensors["hada_w2_b"])
    loss = model(x).square().mean()
    loss.backward()
    found = {}
    for name, p in tensors.items():
        direction = torch.randn_like(p)
        with torch.no_grad():
            p += 1e-4 * direction
            above = model(x).square().mean()
            p -= 2e-4 * direction
            below = model(x).square().mean()
            p += 1e-4 * direction
        true, given = ((above - below) / 2e-4).item(), (p.grad * direction).sum().item()
        if abs(true - given) > 1e-5 * max(abs(true), abs(given), 1e-3):
            found[name] = given, true
    return found


kept = True
for effective in (False, True):
    for zero in (True, False):
        found = wrong(effective, zero)
        print("effective" if effective else "plain", "w2_b = 0" if zero else "w2_b random",
              "wrong (slope given, true):", {n: "%.3g, %.3g" % pair for n, pair in found.items()})
        expected = ["hada_w2_a"] if zero else ["hada_w1_a", "hada_w2_a"]
        kept &= sorted(found) == (expected if effective else [])
sys.exit(not kept)
PYTHON
