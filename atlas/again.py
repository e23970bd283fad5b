"""Measure cells of the table of optimizers again, in another way: by training a real network.

``python -m atlas.again SEED`` draws fifty cells of ``optimizers.json``, trains a small network with
each of these optimizers, and compares what it sees with what the table says. It shares no step, no
gradient and no number with the first measurement.
"""

import contextlib
import json
import random
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from atlas import optimizers as table

CELLS = 50


class Network(nn.Module):
    """A hidden tanh layer, and a skip layer with an input of its own; no biases."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 6, bias=False, dtype=dtype)
        self.last = nn.Linear(6, 3, bias=False, dtype=dtype)
        self.skip = nn.Linear(5, 3, bias=False, dtype=dtype)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the outputs."""
        out: Tensor = self.last(self.hidden(x).tanh()) + self.skip(z)
        return out


def descend(optimizer: Any, mode: str, loss: Callable[[], Tensor]) -> None:
    """Take a step down a loss, as the optimizer wants it."""

    def closure() -> Tensor:
        with torch.enable_grad():
            optimizer.zero_grad()
            value = loss()
            value.backward(create_graph=mode == "create_graph")
        return value

    if mode == "step(closure)":
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


def train(
    way: table.Way,
    steps: int = table.LONG,
    *,
    zero: bool = False,
    late: int = 0,
    tied: bool = False,
    dtype: torch.dtype = torch.float32,
) -> tuple[Network, list[dict[str, Tensor]]]:
    """Train the network, and return it with its weights at the start and after each step."""
    torch.manual_seed(11)
    net = Network(dtype)
    with torch.no_grad():
        for p in net.parameters():
            p[:] = p.bfloat16()  # so that a copy of few bits, as some keep, is exact
        if zero:
            net.skip.weight.zero_()
        if tied:
            net.hidden.weight[:] = net.hidden.weight[:1].clone()
            net.last.weight[:] = net.last.weight[:, :1].clone()
    x, z = torch.randn(64, 4, dtype=dtype), torch.randn(64, 5, dtype=dtype)
    y = 3 * z @ torch.randn(5, 3, dtype=dtype) + x[:, :1].sin() * 3
    optimizer = way.make(list(net.parameters()))
    if callable(getattr(optimizer, "train", None)):
        optimizer.train()
    seen = [{n: p.detach().clone() for n, p in net.named_parameters()}]
    for step in range(steps):
        shown = z * (step >= late)
        descend(optimizer, way.mode, lambda: (net(x, shown) - y).square().mean() / 10)  # noqa: B023
        seen.append({n: p.detach().clone() for n, p in net.named_parameters()})
    return net, seen


def toward(seen: list[dict[str, Tensor]], first: int, last: int, before: Tensor) -> float:
    """Return how far the skip layer has gone against its first gradient."""
    moved = seen[last]["skip.weight"] - seen[first]["skip.weight"]
    return float(-(moved.double() * before).sum() / before.norm())


def gradient() -> Tensor:
    """Return the gradient of the skip layer where it is zero, by plain algebra."""
    torch.manual_seed(11)
    net = Network(torch.float32)
    x, z = torch.randn(64, 4), torch.randn(64, 5)
    y = 3 * z @ torch.randn(5, 3) + x[:, :1].sin() * 3
    error = net.last(net.hidden(x).tanh()) - y
    found: Tensor = ((2 / 640 / 3) * error.T @ z).double().detach()
    return found


def slow(ratio: float) -> str:
    """Sort a pace."""
    return "slow" if abs(ratio) < 0.2 else "moves"


def told(row: Mapping[str, Any], cell: str) -> str:
    """Return what the table says in a cell."""
    late = cell.replace("late", "late ")
    if (f"{cell}_float64" if cell == "twins" else late) in row["raised"]:
        return "raises"
    if cell == "twins":
        both = row["twins_float64"], row["twins_rounded"]
        return "parts" if max(both) > table.PARTED else "keeps"
    if cell == "dead":
        return "rests" if row["dead_turned"] <= table.PARTED else "moves"
    return slow(row[f"{cell}_{table.LONG}"])


def measured(way: table.Way, cell: str) -> str:
    """Return what the network shows."""
    long = table.LONG
    if cell == "twins":
        _, seen = train(way, table.SHORT, tied=True, dtype=torch.float64)
        rows = torch.stack([at["hidden.weight"] for at in seen])
        return "parts" if table.gap(rows) > table.PARTED else "keeps"
    if cell == "dead":
        seen = train(way, late=long)[1]
        start, end = seen[0]["skip.weight"], seen[-1]["skip.weight"]
        turned = end - start * ((end * start).sum() / start.square().sum())
        return "rests" if turned.norm() <= table.PARTED * start.norm() else "moves"
    late = int(cell.removeprefix("late")) if cell != "zero" else 0
    along, steps = gradient(), late + long
    ordinary = toward(train(way, steps)[1], late, steps, along)
    other = toward(train(way, steps, zero=not late, late=late)[1], late, steps, along)
    return slow(other / ordinary)


def loaded(row: Mapping[str, Any]) -> table.Way:
    """Find the optimizer of a row again."""
    return table.Way(getattr(table.opened(row["module"]), row["class"]), row["options"])


def main(seed: int) -> int:
    """Draw the cells and compare; the exit status is how many differ."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cells = []
    for row in json.loads(table.RESULT.read_text())["rows"]:
        if "the ordinary weight is lost" in row["kinds"]:
            continue
        for cell in ("zero", "late1", f"late{table.LONG}", "dead", "twins"):
            with contextlib.suppress(KeyError, TypeError):
                cells.append((row, cell, told(row, cell)))
    wrong = 0
    for row, cell, expected in random.Random(seed).sample(cells, CELLS):
        try:
            seen = measured(loaded(row), cell)
        except Exception:
            seen = "raises"
        wrong += seen != expected
        print(
            "agrees " if seen == expected else "DIFFERS",
            *(row["library"], row["class"], row["options"], cell, f"{expected}, seen: {seen}"),
            sep="  ",
            flush=True,
        )
    print(f"{CELLS - wrong} of {CELLS} cells agree")
    return wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 0))
