#!/usr/bin/env bash
# A second adapter with a PiSSA or OLoRA start changes what the first one says, and so do its remains.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  adapters under different names do not touch each other: only the active one counts, and
#            adding, leaving and deleting another gives back what was said before.
# Seen:      "pissa" and "olora" take their part out of the base weight that all adapters share. With
#            the first adapter active the network is off by about the size of what it says as soon as
#            the second is added, before any step, and stays so when the second is deleted; so is the
#            network with all adapters turned off. "orthogonal", "mica" and the default do no harm.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

kept = True
for start in (True, "orthogonal", "mica", "pissa", "olora"):
    torch.manual_seed(0)
    layer, x = nn.Linear(32, 32), torch.randn(8, 32)
    plain = layer(x).detach()
    config = LoraConfig(r=4, target_modules=["0"])
    model = get_peft_model(nn.Sequential(layer), config, adapter_name="first")
    second = LoraConfig(r=4, target_modules=["0"], init_lora_weights=start)
    gaps = {}
    with torch.no_grad():
        model.add_adapter("second", second)
        gaps["added"] = (model(x) - plain).abs().max()
        model.set_adapter("second")
        gaps["second active"] = (model(x) - plain).abs().max()
        model.set_adapter("first")
        model.delete_adapter("second")
        gaps["deleted"] = (model(x) - plain).abs().max()
        with model.disable_adapter():
            gaps["all off"] = (model(x) - plain).abs().max()
    gaps = {name: (gap / plain.abs().max()).item() for name, gap in gaps.items()}
    print(start, {name: f"{gap:.1g}" for name, gap in gaps.items()})
    kept &= gaps.pop("second active") < 1e-4
    kept &= all(gap > 0.1 if start in ("pissa", "olora") else gap == 0 for gap in gaps.values())
sys.exit(not kept)
PYTHON
