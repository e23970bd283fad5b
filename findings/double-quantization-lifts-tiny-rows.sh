#!/usr/bin/env bash
# Double quantization of NF4 makes tiny rows thousands of times as large, and turns the sign of some.
#
# Versions:  torch 2.13.0, bitsandbytes 0.50.2, Linux x86-64, CPU.
# Expected:  each block of 64 weights has its own scale, so a block of tiny numbers is as right as any,
#            off by about 9 %; with compress_statistics=True (QLoRA's, and Linear4bit's if nothing is
#            said) the scales themselves are off by a percent or so. Signs are kept at any rate.
# Seen:      the scales of 256 blocks, less their mean, share one scale. Of rows a millionth as large as
#            the others the scale comes back as 0.6 % of that of the others: they are 6,000 times too
#            large, and rows of a hundredth 1.3 times. If one row of 64 is three times as large as the
#            others, a scale can come back negative: 40 % of the rows of a millionth say the opposite,
#            and 17 % of those of a hundredth. Without double quantization all is well. Exact zeros
#            stay zero with it, too: here zero and almost zero are far from alike. The error of the
#            whole matrix shows nothing of this: it is 0.092 in every case.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 bitsandbytes==0.50.2 numpy==2.4.6

"$place/venv/bin/python" 2> /dev/null - <<'PYTHON'
import sys

import torch
from bitsandbytes import nn

TINY = 8


def held(weight, double):
    """Return the weight as a 4-bit layer has it: what it says for each unit of its input."""
    layer = nn.Linear4bit(weight.shape[1], weight.shape[0], bias=False, compute_dtype=torch.float32,
                          quant_type="nf4", compress_statistics=double)
    layer.weight = nn.Params4bit(weight.clone(), requires_grad=False, quant_type="nf4",
                                 compress_statistics=double)
    with torch.no_grad():
        return layer.to("cpu")(torch.eye(weight.shape[1])).T


def try_rows(size, largest, double, draws=20):
    """Scale the last rows by `size` and the first by `largest`; return what becomes of them."""
    times, turned, rest, together = [], [], [], []
    for seed in range(draws):
        torch.manual_seed(seed)
        weight = 0.05 * torch.randn(64, 256)
        weight[0] *= largest
        weight[-TINY:] *= size
        got = held(weight, double)
        times.append(got[-TINY:].norm() / weight[-TINY:].norm() if size else got[-TINY:].abs().max())
        turned.append(((got * weight)[-TINY:].sum(1) < 0).float().mean())
        rest.append((got - weight)[:-TINY].norm() / weight[:-TINY].norm())
        together.append((got - weight).norm() / weight.norm())
    return [torch.stack(one).mean().item() for one in (times, turned, rest, together)]


seen = {}
for largest in (1, 3):
    for size in (1.0, 1e-2, 1e-4, 1e-6, 0.0):
        for double in (False, True):
            seen[largest, size, double] = times, turned, rest, together = try_rows(size, largest, double)
            print(f"largest row {largest}, tiny rows {size:g} of the others, double {double}: "
                  + (f"come back {times:.4g} times as large, {turned:.0%} with the opposite sign"
                     if size else f"largest number {times:.4g}")
                  + f"; error of the others {rest:.3f}, of the whole {together:.3f}")
kept = all(0.9 < seen[largest, size, False][0] < 1.1 and seen[largest, size, False][1] == 0
           for largest in (1, 3) for size in (1.0, 1e-2, 1e-4, 1e-6))
kept &= all(seen[largest, 0.0, double][0] == 0 for largest in (1, 3) for double in (False, True))
kept &= seen[1, 1e-6, True][0] > 3000 and seen[1, 1e-4, True][0] > 30 and seen[3, 1e-2, True][1] > 0.05
kept &= seen[3, 1e-6, True][0] > 3000 and 0.2 < seen[3, 1e-6, True][1] < 0.6
kept &= all(one[2] < 0.1 and one[3] < 0.1 for one in seen.values())
sys.exit(not kept)
PYTHON
