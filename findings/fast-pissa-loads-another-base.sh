#!/usr/bin/env bash
# An adapter with a fast PiSSA or a LoRA-GA start, saved and loaded: another network, in silence.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  these starts move a part of the base weight into A and B. A saved adapter that is loaded
#            onto the same base gives the network that was saved, as it does for "pissa" and "olora",
#            which compute the part again when they load; or loading raises, as it does for "corda".
# Seen:      "pissa_niter_16" computes the part again by a randomized SVD without spare directions, from
#            the global generator: with another seed the base that is left differs, and so does what
#            the network says, by half of its size. "lora_ga" cannot compute its part without
#            gradients, leaves the base whole and adds A and B on top. Neither warns.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import torch
from peft import LoraConfig, LoraGAConfig, PeftModel, get_peft_model
from peft.tuners.lora.loraga import preprocess_loraga
from torch import nn

x = torch.randn(8, 32, generator=torch.Generator().manual_seed(2))


def base():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 32))


def off(start):
    """Return how far an untrained adapter is off the base, and off itself when it is loaded."""
    model, part = base(), LoraGAConfig() if start == "lora_ga" else None
    before = model(x).detach()
    config = LoraConfig(r=4, target_modules=["0"], init_lora_weights=start, lora_ga_config=part)
    if part:
        preprocess_loraga(model, config, lambda: model(x).square().sum().backward())
    torch.manual_seed(1)
    model = get_peft_model(model, config)
    said = model(x).detach()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = base()
        torch.manual_seed(2)
        loaded = PeftModel.from_pretrained(again, folder)(x).detach()
    size = before.abs().max()
    return ((said - before).abs().max() / size).item(), ((loaded - said).abs().max() / size).item()


kept = True
for start in (True, "olora", "pissa", "pissa_niter_4", "pissa_niter_16", "lora_ga"):
    first, second = off(start)
    print(f"{start}: off the base by {first:.1g}, loaded off what was saved by {second:.1g}")
    kept &= first < 1e-4 and (second > 1e-2 if "_" in str(start) else second < 1e-5)
sys.exit(not kept)
PYTHON
