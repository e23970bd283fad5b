"""Audits on four ranks, in one process group: prints what each of them gives, as JSON.

It is a program, for a process that has used autograd or threads is no good parent of ranks.
"""

import faulthandler
import io
import json
import multiprocessing
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # backward() imports it: here once, and not on each rank
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn.parallel import DistributedDataParallel

from zeroinit import _progress, assert_trainable, audit

RANKS = 4
PATIENCE = 240  # seconds
draw = torch.Generator().manual_seed(0)
X, Y = torch.randn(16, 8, generator=draw), torch.arange(16) // 4
X[:, 0] = torch.arange(16) % 8 / 8  # a token; a rank sees two of eight


class Rank:
    """What a rank knows: its number, and the meshes."""

    def __init__(self) -> None:
        self.number = dist.get_rank()
        self.all = init_device_mesh("cpu", (RANKS,))
        self.square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
        self.pair = self.square["tensor"]

    def loss(self, rank: int = 0, ranks: int = 1) -> Callable[[nn.Module], Tensor]:
        """Return the loss on a rank's part of the batch."""
        x, y = X[rank::ranks], Y[rank::ranks]
        return lambda model: F.cross_entropy(model(x), y)


class Net(nn.Module):
    """Three layers, of which no hidden width is a multiple of the number of ranks."""

    def __init__(self, slope: type[nn.Module] = nn.Tanh, width: int = 10, classes: int = 4) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, width), nn.Linear(width, width)
        self.three, self.slope = nn.Linear(width, classes), slope()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.three(self.slope(self.two(self.slope(self.one(x)))))
        return scores


class Tokens(Net):
    """A table of eight tokens in place of the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Embedding(8, 10)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((8 * x[:, 0]).long())


class Shifted(Net):
    """A shift that a norm takes out again, so that its gradient is what rounding leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(self.slope(self.one(x))) + self.shift
        scores: Tensor = self.three(self.slope(F.layer_norm(h, (10,))))
        return scores


class Multiply(torch.optim.SGD):
    """An optimizer that multiplies what is there, so it does not move what is zero."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.data *= 1 - 0.01 * p.data.sign() * p.grad.sign()


class Copies(Net):
    """Two layers that are equal and side by side, below one of zeros."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(width=8)
        self.two.load_state_dict(self.one.state_dict())
        nn.init.zeros_(self.three.weight)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.three(self.slope(self.one(x)) + self.slope(self.two(x)))
        return scores


def net(kind: str) -> Net:
    """Return a network that is healthy, or has a fault or a zero on purpose."""
    torch.manual_seed(0)
    if kind == "tokens":
        return Tokens()
    if kind == "rounding":
        return Shifted()
    model = Net(nn.ReLU if kind == "dead" else nn.Tanh)
    with torch.no_grad():
        if kind == "dead":
            for p in (*model.one.parameters(), *model.two.parameters()):
                p.zero_()
        elif kind == "twins":
            model.one.weight[4:] = model.one.weight[3]
            model.one.bias[4:] = model.one.bias[3]
            model.two.weight[:, 4:] = model.two.weight[:, 3:4]
        elif kind == "zero on purpose":
            model.three.weight.zero_()
    return model


def ddp(rank: Rank, model: nn.Module) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    return DistributedDataParallel(model), rank.loss(rank.number, RANKS)


def fsdp(rank: Rank, model: Net) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    fully_shard(model.one, mesh=rank.all)
    fully_shard(model, mesh=rank.all)
    return model, rank.loss(rank.number, RANKS)


def pairs(rank: Rank, model: Net) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    fully_shard(model.two, mesh=rank.pair)
    fully_shard(model, mesh=rank.pair, reshard_after_forward=False)
    return model, rank.loss(rank.number % 2, 2)


def tensor(rank: Rank, model: Net) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    plan = {"one": ColwiseParallel(), "two": RowwiseParallel()}
    return parallelize_module(model, rank.pair, plan), rank.loss()


def square(rank: Rank, model: Net) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    tensor(rank, model)
    for module in (model.one, model.two, model):
        fully_shard(module, mesh=rank.square["data"])
    return model, rank.loss(rank.number // 2, 2)


WAYS = {"DDP": ddp, "FSDP2": fsdp, "FSDP2 on pairs": pairs, "TP": tensor, "FSDP2 and TP": square}
KINDS = ("healthy", "dead", "twins", "zero on purpose")
SPREAD = [(kind, way) for kind in KINDS for way in WAYS if way != "FSDP2 on pairs"]
SPREAD += [("dead", "FSDP2 on pairs"), ("tokens", "DDP"), ("tokens", "FSDP2")]
SPREAD += [("rounding", way) for way in ("DDP", "FSDP2", "TP")]


def alone(kind: str) -> Callable[[Rank], Any]:
    return lambda rank: audit(net(kind), rank.loss()).to_dict()


def spread(kind: str, way: str) -> Callable[[Rank], Any]:
    return lambda rank: audit(*WAYS[way](rank, net(kind))).to_dict()


def options(way: str = "") -> Callable[[Rank], Any]:
    """Return a case with equal modules, an optimizer and several losses, of which one is 0."""

    def case(rank: Rank) -> Any:
        model = Copies()
        if way == "FSDP2":
            fully_shard(model.two, mesh=rank.all)  # as the other copy is
        sharded, loss = WAYS[way](rank, model) if way else (model, rank.loss())
        losses = [lambda m: 0 * loss(m), loss]
        optimizer = Multiply(sharded.parameters(), lr=0.1)
        return audit(sharded, losses, optimizer=optimizer, ignore=["*one.bias"]).to_dict()

    return case


CASES: dict[str, Callable[[Rank], Any]] = {f"{kind}, alone": alone(kind) for kind in KINDS}
CASES |= {f"{kind}, alone": alone(kind) for kind in ("tokens", "rounding")}
CASES |= {f"{kind}, {way}": spread(kind, way) for kind, way in SPREAD}


def message(case: Callable[[], Any]) -> str:
    """Return the error that a call raises."""
    try:
        case()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def at_step(step: int, usual: Callable[[nn.Module], Tensor], other: Callable[[Tensor], Any]) -> Any:
    """Return a loss that something else is made of at one step."""
    steps = []

    def loss(model: nn.Module) -> Any:
        steps.append(1)
        return other(usual(model)) if len(steps) == step else usual(model)

    return loss


def stop(_: Tensor) -> Tensor:
    raise LookupError("no such batch")


def fails(way: str, number: int, other: Callable[[Tensor], Any]) -> Callable[[Rank], str]:
    """Return a case in which the loss of one rank is something else at step 2."""

    def case(rank: Rank) -> str:
        model, loss = WAYS[way](rank, net("healthy"))
        before = state(model)
        wrong = at_step(2, loss, other) if rank.number == number else loss
        said = message(lambda: audit(model, wrong))
        loss(model).backward()  # its forward and backward still go together
        return said if state(model) == before else "it is changed"

    return case


def state(model: nn.Module) -> list[list[float]]:
    """Return the numbers that this rank holds."""
    return [getattr(p, "_local_tensor", p).detach().flatten().tolist() for p in model.parameters()]


def kept(way: str) -> Callable[[Rank], Any]:
    """Return a case in which a step of training is the same before an audit and after."""

    def case(rank: Rank) -> bool:
        same, after = True, []
        for audited in (False, True):
            model, loss = WAYS[way](rank, net("dead"))
            loss(model).backward()
            if audited:
                before, gradients = state(model), [p.grad for p in model.parameters()]
                audit(model, loss)
                same = before == state(model) and all(
                    g is p.grad for g, p in zip(gradients, model.parameters(), strict=True)
                )
            loss(model).backward()  # adds to the gradients
            torch.optim.SGD(model.parameters(), 0.1).step()
            after.append(state(model))
        return same and after[0] == after[1]

    return case


def on_meta(way: str) -> Callable[[Rank], Any]:
    """Return a case of shards that are drawn with one seed, as models on the meta device are."""

    def case(rank: Rank) -> Any:
        with torch.device("meta"):
            made = Net(width=16, classes=8)
        model, loss = WAYS[way](rank, made)
        model.to_empty(device="cpu")
        torch.manual_seed(0)
        for layer in (made.one, made.two, made.three):
            layer.reset_parameters()
        return audit(model, loss).to_dict()

    return case


def unused(rank: Rank) -> Any:
    """Return the audit of a network with a layer that DDP waits for in vain."""
    model = net("healthy")
    model.four = nn.Linear(2, 2)
    return audit(*ddp(rank, model)).to_dict()


def whole_fails(rank: Rank) -> str:
    model, loss = fsdp(rank, net("twins"))
    return message(lambda: assert_trainable(model, loss))


def flat(rank: Rank) -> str:
    model = FullyShardedDataParallel(net("healthy"), device_id=torch.device("cpu"))
    return message(lambda: audit(model, rank.loss()))


def random_on_one(rank: Rank) -> Any:
    """Return the audit of a dead network with a loss that draws, on one rank."""
    model, loss = ddp(rank, net("dead"))

    def sometimes(model: nn.Module) -> Tensor:
        return loss(model) + (torch.rand(()) if rank.number == 1 else 0)

    return audit(model, sometimes).to_dict()


WRAPPED = ["", "one", "two", "one two", "three"]


def copies(wrapped: str | None = None) -> Callable[[Rank], Any]:
    """Return a case with equal modules, of which fully_shard wraps some by themselves."""

    def case(rank: Rank) -> Any:
        model = Copies()
        if wrapped is None:
            return audit(model, rank.loss()).to_dict()
        for name in wrapped.split():
            fully_shard(getattr(model, name), mesh=rank.all)
        fully_shard(model, mesh=rank.all)
        return audit(model, rank.loss(rank.number, RANKS)).to_dict()

    return case


class Terminal(io.StringIO):
    """It keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def shown(way: str = "") -> Callable[[Rank], str]:
    """Return a case that gives what an audit writes to a terminal."""

    def case(rank: Rank) -> str:
        model, loss = WAYS[way](rank, net("healthy")) if way else (net("healthy"), rank.loss())
        patience, stderr = _progress.PATIENCE, sys.stderr
        _progress.PATIENCE, sys.stderr = -1.0, (screen := Terminal())
        try:
            audit(model, loss)
        finally:
            _progress.PATIENCE, sys.stderr = patience, stderr
        return screen.getvalue()

    return case


CASES |= {"copies, alone": copies()} | {f"copies, wrapped: {w}": copies(w) for w in WRAPPED}
CASES |= {"shown, alone": shown()} | {f"shown, {way}": shown(way) for way in ("DDP", "TP")}
CASES |= {"options, alone": options(), "options, DDP": options("DDP")}
CASES |= {"options, FSDP2": options("FSDP2")}
CASES |= {f"kept, {way}": kept(way) for way in WAYS}
CASES |= {
    "nan on rank 1, DDP": fails("DDP", 1, lambda loss: loss * torch.nan),
    "nan on rank 1, FSDP2": fails("FSDP2", 1, lambda loss: loss * torch.nan),
    "nan on rank 1, TP": fails("TP", 1, lambda loss: loss * torch.nan),
    "a dict on rank 2, FSDP2": fails("FSDP2", 2, lambda loss: {"loss": loss}),
    "an error on rank 3, FSDP2": fails("FSDP2", 3, stop),
    "no error": fails("DDP", -1, stop),
    "drawn alike, FSDP2": on_meta("FSDP2"),
    "drawn alike, TP": on_meta("TP"),
    "drawn alike, FSDP2 and TP": on_meta("FSDP2 and TP"),
    "unused": unused,
    "assert_trainable": whole_fails,
    "FSDP1": flat,
    "random on one": random_on_one,
}


def run(number: int, place: str, port: int) -> None:
    """Run all cases on one rank, and write what they give; a rank that hangs says where."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    store = TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=number, world_size=RANKS)
    rank, given = Rank(), {}
    for name, case in CASES.items():
        if not all(word in name for word in sys.argv[1:]):
            continue
        try:
            given[name] = case(rank)
        except Exception:
            given[name] = traceback.format_exc()
    Path(place, str(number)).write_text(json.dumps(given))
    dist.destroy_process_group()


if __name__ == "__main__":
    meet = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as place:
        ranks = [
            multiprocessing.get_context("fork").Process(
                target=run, args=(number, place, meet.port), daemon=True
            )
            for number in range(RANKS)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        print(json.dumps([json.loads(Path(place, str(n)).read_text()) for n in range(RANKS)]))
