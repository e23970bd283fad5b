#!/usr/bin/env bash
# A residual block whose last BatchNorm starts at zero says NaN as soon as it is prepared for QAT.
#
# Versions:  torch 2.13.0, torchao 0.18.0, Linux x86-64, CPU.
# Expected:  with the last BatchNorm's weight at zero (zero_init_residual) the block is the identity.
#            Zero is a number that 8 bits hold exactly, so the block that is prepared for
#            quantization-aware training is the identity too, but for rounding.
# Seen:      convolution and BatchNorm are taken as one: the kernel is multiplied by weight / std, made
#            8-bit, applied, and what it says is divided by the same factor, so that the BatchNorm can
#            be trained. At zero this is 0/0. One channel of three at zero is enough: the range of what
#            is said becomes NaN, and so does all of it, in torch.ao's prepare_qat and in torchao's
#            prepare_qat_pt2e. With a weight of 1e-8 nothing is NaN, exact zeros are said, and the
#            gradient of the BatchNorm's weight is over a hundred times too large. No warning is given.
#            torch.ao has another way, off and without a public switch: with the private
#            _enable_slow_path_for_better_numerical_stability the block says zeros.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 torchao==0.18.0 numpy==2.4.6

"$place/venv/bin/python" 2> /dev/null - <<'PYTHON'
import copy
import sys
import warnings

import torch
from torch import nn
from torch.ao.quantization import fuse_modules_qat, get_default_qat_qconfig, prepare_qat
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

warnings.simplefilter("ignore")


class Block(nn.Module):
    """The branch of a residual block: a convolution and the last BatchNorm."""

    def __init__(self, start):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(3)
        with torch.no_grad():
            self.bn.weight.copy_(torch.tensor(start))

    def forward(self, x):
        return self.bn(self.conv(x))


def eager(block):
    block.qconfig = get_default_qat_qconfig("x86")
    return prepare_qat(fuse_modules_qat(block, [["conv", "bn"]]))


def slow(block):
    net = eager(block)
    net.conv._enable_slow_path_for_better_numerical_stability = True
    return net


def exported(block):
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=True))
    return prepare_qat_pt2e(torch.export.export(block, (x,)).module(), quantizer)


def gradients(net):
    """Train one step on fixed targets; return what is said, and the gradients of kernel and scale."""
    said = net(x)
    (said * target).sum().backward()
    found = dict(net.named_parameters())
    scale = next(p for name, p in found.items() if name.endswith("bn.weight"))
    return said.detach(), found["conv.weight"].grad, scale.grad


torch.manual_seed(0)
x, target = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
kept = True
for start in ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1e-8, 1e-8, 1e-8]):
    torch.manual_seed(1)
    block = Block(start).train()
    truth, _, right = gradients(copy.deepcopy(block))
    for prepare in (eager, exported, slow):
        said, kernel, scale = gradients(prepare(copy.deepcopy(block)))
        bad = [one.isnan().any().item() for one in said.unbind(1)]
        off = (scale / right).abs().tolist()
        print(f"weight {start}, {prepare.__name__}: NaN in channels {[i for i in range(3) if bad[i]]}, "
              f"largest {said.abs().max().item():.2g} (in float {truth.abs().max().item():.2g}), NaN in "
              f"{kernel.isnan().sum().item()} of {kernel.numel()} gradients of the kernel, gradient of "
              f"the weight over the right one {[round(one, 2) for one in off]}")
        broken = 0.0 in start and prepare is not slow
        kept &= not truth.isnan().any().item() and bad == [broken] * 3
        kept &= kernel.isnan().any().item() == broken
        if start[0] == 1e-8 and prepare is not slow:
            kept &= said.abs().max().item() == 0 and min(off) > 100
        if start == [1.0, 1.0, 1.0]:
            kept &= max(abs(one - 1) for one in off) < 0.05
sys.exit(not kept)
PYTHON
