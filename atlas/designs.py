"""Measure how twenty optimizers wake the zeros of ten designs that start at zero on purpose.

``python -m atlas.designs`` trains each design of :mod:`zeroinit.designs` on XOR with each optimizer
at its own default rate, and once more with small ordinary numbers in the place of its zeros. It
writes a row of each pair to ``designs.json``: at which step each parameter first moves, and how far
each zero goes, as a part of the way of the ordinary numbers. It runs where :mod:`atlas.optimizers`
does.
"""

import functools
import importlib.metadata
import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atlas import optimizers as table
from atlas.again import descend
from atlas.forks import Row, forked
from atlas.rows import write
from zeroinit import xor
from zeroinit.designs import DESIGNS, design

RESULT = table.HERE / "designs.json"
#: The optimizers: library, class, what it is given, and its options of a group.
OPTIMIZERS: tuple[tuple[str, str, Mapping[str, Any], Mapping[str, Any]], ...] = (
    ("torch", "torch.optim.SGD", {}, {}),
    ("torch", "torch.optim.SGD", {"momentum": 0.9}, {}),
    ("torch", "torch.optim.Adam", {}, {}),
    ("torch", "torch.optim.AdamW", {}, {}),
    ("torch", "torch.optim.Adafactor", {}, {}),
    ("torch", "torch.optim.LBFGS", {}, {}),
    ("torch", "torch.optim.Muon", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.Lamb", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.LARS", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.APOLLO", {}, {"rank": 2}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.Lion", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.Nero", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.Fromage", {}, {}),
    ("pytorch_optimizer", "pytorch_optimizer.optimizer.FTRL", {}, {}),
    ("heavyball", "heavyball.SOAP", {}, {}),
    ("heavyball", "heavyball.ADOPT", {}, {}),
    ("heavyball", "heavyball.HyperBallAdamW", {}, {}),
    ("schedulefree", "schedulefree.AdamWScheduleFree", {}, {}),
    ("prodigyopt", "prodigyopt.Prodigy", {}, {}),
    ("sgd_sai", "sgd_sai.SGD_sai", {}, {}),
)
#: Numbers below this are zero on purpose: LayerScale's gates are 1e-5.
ZERO = 1e-4
STEPS = (0, table.LONG, table.LONGEST)
SECONDS = 300  # for one pair


class Course(NamedTuple):
    """What is seen of one training: the way of each parameter after each step, and the losses."""

    ways: dict[str, list[float]]
    losses: list[float]
    zeros: list[str]


def trained(
    way: table.Way, name: str, steps: int, *, ordinary: bool = False, matrices: bool = False
) -> Course:
    """Train a design, or its matrices alone, from its zeros or from ordinary numbers instead."""
    model, data = design(name), xor(64)
    params = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if matrices:
        params = {n: p for n, p in params.items() if p.ndim == 2}
    zeros = [n for n, p in params.items() if p.abs().max() < ZERO and "bias" not in n]
    for n in zeros if ordinary else []:
        params[n].data = (table.WEIGHT * table.normal(params[n].shape, 3)).bfloat16().float()
    torch.manual_seed(0)
    optimizer = way.make(list(params.values()))
    if callable(getattr(optimizer, "train", None)):
        optimizer.train()
    start = {n: p.detach().clone() for n, p in params.items()}
    ways: dict[str, list[float]] = {n: [] for n in params}
    losses = []

    def loss() -> Tensor:
        return F.cross_entropy(model(data.x), data.y)

    for step in range(steps + 1):
        if step:
            descend(optimizer, way.mode, loss)
        if step in STEPS:
            losses.append(float(loss().detach()))
        for n, p in params.items():
            ways[n].append(float((p.detach() - start[n]).norm()))
    return Course(ways, losses, zeros)


def woken(way: list[float]) -> int | None:
    """Return the first step that moves a parameter."""
    return next((step for step, far in enumerate(way) if far), None)


def paces(zero: list[float], other: list[float]) -> list[float | None]:
    """Return the way of a zero as a part of that of ordinary numbers.

    First by the first step of each that moves it, then by all steps up to those looked at.
    """
    at = [(woken(zero) or 0, woken(other) or 0), *((s, s) for s in STEPS[1:] if s < len(zero))]
    return [zero[a] / other[b] if 0 < other[b] < math.inf else None for a, b in at]


def compared(way: table.Way, name: str, steps: int = table.LONGEST) -> Row:
    """Return what is seen of a design and an optimizer."""
    row: Row = {"matrices": False}
    try:
        here = trained(way, name, steps)
    except Exception as error:  # some take matrices alone
        row = {"matrices": True, "error": table.said(error)}
        here = trained(way, name, steps, matrices=True)
    there = trained(way, name, steps, ordinary=True, matrices=row["matrices"])
    row["wakes"] = {n: woken(far) for n, far in here.ways.items()}
    row["zeros"] = {n: paces(here.ways[n], there.ways[n]) for n in here.zeros}
    return row | {"losses": here.losses, "ordinary_losses": there.losses}


def kind(row: Row) -> str:
    """Sort a pair by rule, by the zero that does worst."""
    if not row.get("zeros"):
        return "refused"
    if None in row["losses"]:
        return "not finite"
    firsts = [p[0] or 0 for p in row["zeros"].values()]
    laters = [p[1] or 0 for p in row["zeros"].values()]
    if any(max(pair) < table.NONE for pair in zip(firsts, laters, strict=True)):
        return "stuck"
    if min(laters) < table.SLOW:
        return "slow"
    return "leaps" if max(firsts + laters) > table.LEAP else "wakes"


def examine(cls: Any, given: Row, options: Row, name: str) -> Row:
    """Measure a pair in a process of its own."""
    warnings.simplefilter("ignore")
    try:
        return compared(table.Way(functools.partial(cls, **given), options), name)
    except Exception as error:
        return {"error": table.said(error)}


def main() -> None:
    """Measure all pairs, and write them."""
    torch.set_num_threads(1)
    torch.optim.SGD([nn.Parameter(torch.ones(1))]).zero_grad()  # imports what each child needs
    rows: list[Row] = []
    versions = {library: importlib.metadata.version(library) for library, *_ in OPTIMIZERS}
    for library, path, given, options in OPTIMIZERS:
        module, _, cls = path.rpartition(".")
        found = getattr(table.opened(module), cls)
        for name in DESIGNS:
            row: Row = {"library": library, "class": path, "given": given, "options": options}
            row["design"] = name
            try:
                row |= forked(examine, found, given, options, name, seconds=SECONDS)
            except (TimeoutError, ChildProcessError) as error:
                row["error"] = str(error)
            row = table.shortened(row)
            rows.append(row | {"kind": kind(row)})
            print(path, given, name, rows[-1]["kind"], sep="  ", flush=True)
    write(RESULT, rows, {"versions": versions})


if __name__ == "__main__":
    main()
