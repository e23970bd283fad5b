"""Compare audits with as many steps, on models that are hard on an audit, in one process each.

``python -m benchmarks.audits table`` takes turns: an audit, then as many steps of the same
kind, of loss, backward and an update, on one thread. It prints the ratio of their CPU seconds, the
same with the steps counted that the audit takes to try remedies, and by how many copies of the
model the memory of each rose at most (on Linux).
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import audit

Loss = Callable[[nn.Module], Tensor]
ROUNDS = 3


class Table(nn.Module):
    """A table of a million rows, that starts at zero, below a layer."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(1_000_000, 64, sparse=sparse)
        self.head = nn.Linear(64, 10)
        nn.init.zeros_(self.table.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of bags of tokens."""
        logits: Tensor = self.head(self.table(tokens))
        return logits


class Residual(nn.Module):
    """A thousand small layers beside each other's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(1000))

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layers add to their input."""
        for layer in self.layers:
            x = x + 0.1 * torch.tanh(layer(x))
        return x


def table(*, sparse: bool) -> tuple[nn.Module, Loss]:
    """Return a table of 64 million numbers, and a loss that asks for ten thousand rows."""
    tokens, targets = torch.randint(1_000_000, (512, 20)), torch.randint(10, (512,))
    return Table(sparse=sparse), lambda model: F.cross_entropy(model(tokens), targets)


def small() -> tuple[nn.Module, Loss]:
    """Return two thousand small tensors."""
    x, targets = torch.randn(64, 32), torch.randint(32, (64,))
    return Residual(), lambda model: F.cross_entropy(model(x), targets)


def thaw(width: int) -> tuple[nn.Module, Loss]:
    """Return an all-zero sigmoid network, which wakes a layer a step."""
    layers = [part for _ in range(4) for part in (nn.Linear(width, width), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    for p in model.parameters():
        nn.init.zeros_(p)
    x, targets = torch.randn(64, width), torch.randint(10, (64,))
    return model, lambda model: F.cross_entropy(model(x), targets)


def gpt() -> tuple[nn.Module, Loss]:
    """Return a small GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel  # here, as it is slow to import

    tokens = torch.randint(20_000, (4, 128))
    config = GPT2Config(vocab_size=20_000, n_layer=4, n_embd=384, n_head=6)
    return GPT2LMHeadModel(config), lambda model: model(input_ids=tokens, labels=tokens).loss


LINES: dict[str, Callable[[], tuple[nn.Module, Loss]]] = {
    "gpt": gpt,
    "table": lambda: table(sparse=False),
    "sparse": lambda: table(sparse=True),
    "small": small,
    "thaw": lambda: thaw(3392),  # 46 million numbers
    "large": lambda: thaw(7071),  # 200 million numbers
}


def step(model: nn.Module, loss: Loss) -> None:
    """Take a step that leaves the weights where they are, at the cost of one that moves them."""
    loss(model).backward()
    for p in model.parameters():
        if p.grad is None:
            continue
        if p.grad.is_sparse:
            gradient = p.grad.coalesce()
            p.data.index_add_(0, gradient.indices()[0], gradient.values(), alpha=-0.0)
        else:
            p.data.add_(p.grad, alpha=-0.0)
        p.grad = None


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU seconds of a call, and by how many bytes the memory rose at most."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is the present
    before, begin = held("VmRSS"), time.process_time()
    run()
    return time.process_time() - begin, held("VmHWM") - before


def held(what: str) -> int:
    """Return how many bytes this process holds, or held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def line(name: str, rounds: int) -> dict[str, float]:
    """Return the ratios of a model, and its copies of memory."""
    torch.manual_seed(0)
    model, loss = LINES[name]()
    bytes_of_model = sum(p.numel() * p.element_size() for p in model.parameters())
    calls = steps = 0

    def counted(model: nn.Module) -> Tensor:
        nonlocal calls
        calls += 1
        return loss(model)

    def audited() -> None:
        nonlocal steps, calls
        calls = 0
        steps = audit(model, counted).steps

    def trained() -> None:
        for _ in range(steps):
            step(model, loss)

    step(model, loss)
    ratios, memory = [], {"audit": 0.0, "steps": 0.0}
    for _ in range(rounds):
        audit_seconds, rose = measured(audited)
        memory["audit"] = max(memory["audit"], rose / bytes_of_model)
        step_seconds, rose = measured(trained)
        memory["steps"] = max(memory["steps"], rose / bytes_of_model)
        ratios.append(audit_seconds / step_seconds)
    ratio = median(ratios)
    return {"ratio": ratio, "ratio of all steps": ratio * steps / calls, **memory}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(line(sys.argv[1], 1 if sys.argv[1] == "large" else ROUNDS)))
