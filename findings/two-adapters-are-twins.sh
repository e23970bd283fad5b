#!/usr/bin/env bash
# Two adapters active at once: of ten kinds they are twins, and worth one.
#
# Versions:  torch 2.13.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  a second adapter beside the first, both active, adds capacity, since each draws its own
#            start: of two LoRAs the factors A differ.
# Seen:      VeRA, RandLoRA and TinyLoRA share their random matrices, WaveFT draws its places from a
#            fixed seed, SHiRA its random mask too (random_seed=None is one and the same seed), and IA3,
#            RoAd, MiSS, BEFT and supertuning draw nothing. What is trained starts alike in both
#            adapters and gets equal gradients: after twenty steps of Adam the two are equal, to the
#            last bit or but for rounding. Two adapters of LoRA, LoHa or PVeRA are not.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import peft
import torch
from torch import nn

warnings.simplefilter("ignore")
KINDS = {
    "IA3": {"feedforward_modules": []}, "Vera": {"r": 4}, "Pvera": {"r": 4}, "RandLora": {"r": 4},
    "TinyLora": {"r": 2, "u": 8}, "WaveFT": {"n_frequency": 64}, "Road": {"group_size": 8},
    "Miss": {"r": 4}, "Beft": {}, "Supertuning": {"sparsity": 0.8},
    "Lora": {"r": 4}, "LoHa": {"r": 4}, "Shira": {"r": 4},
}


def gap(kind, settings):
    """Return the largest difference of two adapters after twenty steps, and how far they moved."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 16), torch.randint(16, (64,))
    config = getattr(peft, f"{kind}Config")
    first, second = (config(target_modules=["0", "2"], **settings) for _ in range(2))
    model = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16))
    model = peft.get_peft_model(model, first, adapter_name="one")
    model.add_adapter("two", second)
    model.base_model.set_adapter(["one", "two"])
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    start = {n: p.detach().clone() for n, p in trained.items()}
    adam = torch.optim.Adam(trained.values(), lr=1e-3)
    for _ in range(20):
        adam.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        adam.step()
    pairs = [(p, trained[n.replace("one", "two")]) for n, p in trained.items() if "one" in n]
    assert 2 * len(pairs) == len(trained)
    moved = max((p - start[n]).abs().max().item() for n, p in trained.items())
    return max((a - b).abs().max().item() for a, b in pairs), moved


kept = True
for kind, settings in KINDS.items():
    found, moved = gap(kind, settings)
    print(f"{kind}: the two differ by {found:.1g}, moved by {moved:.1g}")
    kept &= moved > 1e-3 and (found > 1e-3 if kind in ("Lora", "LoHa", "Pvera") else found < 1e-5)
sys.exit(not kept)
PYTHON
