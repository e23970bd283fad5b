"""Compare an audit with as many training steps, on GPT-2 small from its config.

``python -m benchmarks.audit_cost audit`` audits a fresh model, ``python -m benchmarks.audit_cost
steps`` trains one by plain SGD for as many steps. It prints the CPU seconds of a step on one
thread, and by how many copies of the model the peak of memory rose.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.ensemble import peak
from zeroinit import audit

STEPS = 3
BATCH = (4, 128)


def loss(model: nn.Module) -> Tensor:
    """Return the loss of a language model on a batch of random tokens."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(GPT2Config().vocab_size, BATCH, generator=draw)
    said: Tensor = model(input_ids=tokens, labels=tokens).loss
    return said


def audited(model: nn.Module) -> int:
    """Audit a model, and return how many steps that took."""
    return audit(model, loss, steps=STEPS).steps


def trained(model: nn.Module) -> int:
    """Train a model, in a plain loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    return STEPS


if __name__ == "__main__":
    run: Callable[[nn.Module], int] = {"audit": audited, "steps": trained}[sys.argv[1]]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    run(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1)))  # the imports are not measured
    model = GPT2LMHeadModel(GPT2Config())
    numbers = sum(p.numel() for p in model.parameters())
    held, begin = peak(), time.process_time()
    steps = run(model)
    seconds = (time.process_time() - begin) / steps
    copies = (peak() - held) * 1e6 / (4 * numbers)
    print(json.dumps({"parameters": numbers, "seconds": seconds, "copies": copies}))
