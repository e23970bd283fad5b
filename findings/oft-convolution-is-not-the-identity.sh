#!/usr/bin/env bash
# OFT on a convolution with a kernel larger than 1: at its start the layer is another.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  the rotation starts as the identity (oft_R is zero), so the adapter changes nothing, and a
#            merged layer says the same as one that is not merged.
# Seen:      for a kernel of 1 it is so. For kernels of 2 and 3 what the untrained adapter says is off
#            by more than the largest number that the layer says, with overlapping patches or not;
#            merging the same adapter gives the base layer to the last bit. So the layer that is
#            trained and the layer that is merged are two different layers.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import OFTConfig, get_peft_model
from torch import nn

kept = True
for kernel, stride in ((1, 1), (2, 2), (3, 1), (3, 3)):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(4, 8, kernel, stride=stride), torch.randn(2, 4, 6, 6)
    before = layer(x).detach()
    config = OFTConfig(r=0, oft_block_size=4, target_modules=["0"])
    model = get_peft_model(nn.Sequential(layer), config)
    zero = all(not p.any() for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        off = ((model(x) - before).abs().max() / before.abs().max()).item()
        model.merge_adapter()
        merged = ((model(x) - before).abs().max() / before.abs().max()).item()
    print(f"kernel {kernel}, stride {stride}: oft_R is zero: {zero}, off by {off:.3g}, "
          f"merged off by {merged:.3g}")
    kept &= zero and merged == 0 and (off == 0 if kernel == 1 else off > 1)
sys.exit(not kept)
PYTHON
