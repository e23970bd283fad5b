#!/usr/bin/env bash
# LoRA on a tied embedding and head, with the tie kept: Adam takes two steps where it should take one.
#
# Versions:  torch 2.13.0, transformers 5.23.0, peft 0.21.2, Linux x86-64, CPU.
# Expected:  ensure_weight_tying=True gives embedding and head one adapter: one A and one B, each
#            trained once, by the sum of what both places say. The first step of Adam moves each
#            number that has a gradient by the rate.
# Seen:      each factor is two parameters in the same memory, one under the embedding and one under
#            the head, each with its own gradient and its own state. So the first step of Adam moves a
#            number of the zero factor by two rates where the two gradients have the same sign, by
#            none where they are opposite, and by one where only the head's is not zero. Weight decay
#            is applied twice. The base's own tied weight is one parameter.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2

"$place/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
config = LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, initializer_range=0.2,
                     tie_word_embeddings=True)
lora = LoraConfig(r=4, target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True)
model = get_peft_model(LlamaForCausalLM(config), lora)
words = torch.randint(24, (4, 12))
trained = {n.removeprefix("base_model.model."): p for n, p in model.named_parameters()
           if p.requires_grad}
for name, p in trained.items():
    print(name, tuple(p.shape), "zero" if not p.any() else "")
places = len({p.data_ptr() for p in trained.values()})
print(f"{len(trained)} parameters in {places} places of memory")

lr = 1e-3
(factor,) = (p for n, p in trained.items() if "lm_head" in n and "lora_B" in n)
start = factor.detach().clone()
model(input_ids=words, labels=words).loss.backward()
torch.optim.Adam(trained.values(), lr=lr).step()
rates = ((factor - start).abs() / lr).round().int()
counts = [int((rates == k).sum()) for k in range(3)]
print("numbers of the zero factor that move by 0, 1 and 2 rates:", counts)
sys.exit(not (len(trained) == 4 and places == 2 and counts[2] > 20 and counts[0] > 20))
PYTHON
