#!/usr/bin/env bash
# DeLoRA starts as the base network, and its first step goes all the way, whatever the rate.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  B starts at zero, so the adapter changes nothing; a small first step changes little, and
#            a step a hundred times smaller a hundred times less, as with LoRA.
# Seen:      what is added is divided by the norms of B's columns, which are kept at 1e-4 or more. At
#            B = 0 the gradient of B is thousands of times that of LoRA, so clipping by the norm of
#            all gradients leaves nothing to any other parameter; and after one step of Adam each
#            column has its full length: with lr 1e-3 and 1e-5 the layer moves alike, by about its own
#            size, where LoRA moves it by 1e-3 and 1e-5 of it.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys

import torch
from peft import DeloraConfig, LoraConfig, get_peft_model
from torch import nn


def first(config, lr):
    """Return the largest gradient at the start, and how far a step of Adam moves what is said."""
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 64), torch.randn(256, 64)
    y = torch.randint(64, (256,))
    before = layer(x).detach()
    model = get_peft_model(nn.Sequential(layer), config(r=8, target_modules=["0"]))
    assert torch.equal(model(x), before)
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=lr)
    nn.functional.cross_entropy(model(x), y).backward()
    gradient = max(p.grad.abs().max().item() for p in trained)
    adam.step()
    return gradient, ((model(x) - before).abs().max() / before.abs().max()).item()


found = {}
for config in (LoraConfig, DeloraConfig):
    for lr in (1e-3, 1e-5):
        found[config, lr] = first(config, lr)
        print(f"{config.__name__}, lr {lr}: largest gradient {found[config, lr][0]:.2g}, "
              f"the first step moves the layer by {found[config, lr][1]:.2g} of its size")
large, small = (found[DeloraConfig, lr][1] for lr in (1e-3, 1e-5))
lora_large, lora_small = (found[LoraConfig, lr][1] for lr in (1e-3, 1e-5))
steep = found[DeloraConfig, 1e-3][0] / found[LoraConfig, 1e-3][0]
sys.exit(not (steep > 1000 and large < 2 * small and lora_large > 50 * lora_small))
PYTHON
