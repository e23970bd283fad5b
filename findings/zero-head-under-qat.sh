#!/usr/bin/env bash
# In quantization-aware training a head that starts at zero gets one gradient, and no more for 450 steps.
#
# Versions:  torch 2.13.0, Linux x86-64, CPU.
# Expected:  8 bits hold zero exactly, and the fake quantizer passes the gradient straight through, so
#            with get_default_qat_qconfig a head of zeros learns as without it, or as a random one does.
# Seen:      the range of the weight is a moving average of what it was, with a factor of 0.01. It
#            starts at [0, 0], and a weight outside of it gets no gradient. After the first step of Adam
#            all weights are equally large, and all outside: with lr 0.1 and 0.01 no weight of the head
#            has a gradient in steps 2 to 452; the bias learns alone. In a head of N(0, 0.1^2) about
#            half of them have one, in float all. With an observer without the average
#            (PerChannelMinMaxObserver) the head of zeros learns nearly as in float.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6

"$place/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from torch import nn
from torch.ao import quantization as ao

warnings.simplefilter("ignore")
now = ao.FakeQuantize.with_args(observer=ao.PerChannelMinMaxObserver, quant_min=-128, quant_max=127,
                                dtype=torch.qint8, qscheme=torch.per_channel_symmetric)
ways = {
    "float": None,
    "x86": ao.get_default_qat_qconfig("x86"),
    "qnnpack": ao.get_default_qat_qconfig("qnnpack"),
    "no average": ao.QConfig(activation=ao.default_fake_quant, weight=now),
}


def train(way, start, lr, steps=600):
    """Train a head; return which part of its weights has a gradient at each step, and the losses."""
    torch.manual_seed(0)
    x = torch.randn(256, 16)
    y = (x @ torch.randn(16, 4)).argmax(1)
    head = nn.Linear(16, 4)
    nn.init.normal_(head.weight, std=start)
    nn.init.zeros_(head.bias)
    net = nn.Sequential(head).train()
    if way:
        net.qconfig = way
        ao.prepare_qat(net, inplace=True)
    adam = torch.optim.Adam(net.parameters(), lr=lr)
    part, losses = [], []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(x), y)
        adam.zero_grad()
        loss.backward()
        adam.step()
        part.append((net[0].weight.grad != 0).float().mean().item())
        losses.append(loss.item())
    return part, losses


kept = True
for lr in (0.1, 0.01):
    for name, way in ways.items():
        for start in (0.0, 0.1):
            part, losses = train(way, start, lr)
            later = sum(part[1:400]) / 399
            again = next(step for step in range(1, 600) if part[step] > 0) + 1
            print(f"lr {lr}, {name}, start N(0, {start}^2): with a gradient at the first step "
                  f"{part[0]:.0%}, in steps 2 to 400 {later:.0%}, next in step {again}; "
                  f"loss {losses[0]:.2f}, {losses[100]:.2f} after 100, {losses[400]:.2f} after 400")
            if name in ("x86", "qnnpack"):
                kept &= part[0] > 0.9 and ((later == 0 and again > 400) if start == 0 else later > 0.2)
            else:
                kept &= part[0] > 0.9 and later > 0.8
sys.exit(not kept)
PYTHON
