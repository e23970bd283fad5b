"""Measure what the optimizers of many libraries do with zeros, late weights and equal rows.

``python -m atlas.optimizers`` measures each class of `torch.optim.Optimizer` that it finds in the
libraries below, by steps with given gradients, and writes a row of each to ``optimizers.json``. It
runs where these libraries are installed, as by ``pip install --no-deps -r atlas/optimizers.txt``;
one that is missing is left out, and said. What is measured already, of the same version, is not
measured again, so a run that was stopped goes on. Names of libraries have these measured again.
"""

import os

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # what is compiled runs as it is written

import contextlib
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import itertools
import json
import math
import pkgutil
import re
import resource
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from atlas.forks import Row, forked
from atlas.rows import write

HERE = Path(__file__).parent
RESULT, PINS = HERE / "optimizers.json", HERE / "optimizers.txt"
#: The libraries, by the names that pip knows, and the packages in which their classes are.
LIBRARIES: Mapping[str, str] = {
    "torch": "torch.optim",
    "pytorch_optimizer": "pytorch_optimizer.optimizer",
    "heavyball": "heavyball",
    "schedulefree": "schedulefree",
    "timm": "timm.optim",
    "transformers": "transformers.optimization",
    "torch-optimizer": "torch_optimizer",
    "torch-optimi": "optimi",
    "torchao": "torchao.optim",
    "bitsandbytes": "bitsandbytes.optim",
    "dadaptation": "dadaptation",
    "adabelief-pytorch": "adabelief_pytorch",
    "adam-atan2-pytorch": "adam_atan2_pytorch",
    "adam_mini": "adam_mini",
    "adan-pytorch": "adan_pytorch",
    "ano-optimizer": "ano_optimizer",
    "apollo-torch": "apollo_torch",
    "came-pytorch": "came_pytorch",
    "casmo-optimizer": "casmo",
    "core_optimizer": "core_optimizer",
    "dog-optimizer": "dog",
    "dowg": "dowg",
    "fira": "fira",
    "flashoptim": "flashoptim",
    "galore-torch": "galore_torch",
    "grokadamw": "grokadamw",
    "HomOpt": "HomOpt",
    "kron-torch": "kron_torch",
    "lion-pytorch": "lion_pytorch",
    "lomo-optim": "lomo_optim",
    "madgrad": "madgrad",
    "muon-optimizer": "muon",
    "ncg-optimizer": "ncg_optimizer",
    "parameterfree": "parameterfree",
    "prodigy-plus-schedule-free": "prodigyplus",
    "prodigyopt": "prodigyopt",
    "pytorch-lamb": "pytorch_lamb",
    "ranger21": "ranger21",
    "sgd_sai": "sgd_sai",
    "sophia-opt": "sophia_opt",
}
#: Packages whose own first file asks for what is not installed here: their modules run without it.
BARE = ("timm", "timm.optim", "galore_torch", "fira", "lomo_optim")
#: What is given to an argument that must be given, by its name.
GIVEN: Mapping[str, Callable[[list[nn.Parameter]], Any]] = {
    "lr": lambda _: 1e-3,
    "weight_decay": lambda _: 0.0,
    "base_optimizer": lambda _: torch.optim.SGD,
    "optimizer": lambda params: torch.optim.SGD(params, lr=1e-3, momentum=0.9),
    "named_parameters": lambda params: [(f"layer{k}.weight", p) for k, p in enumerate(params)],
    "num_iterations": lambda _: 1000,
    "num_epochs": lambda _: 10,
    "num_batches_per_epoch": lambda _: 100,
}
#: How steps are taken: with gradients, or with a closure that computes them, or their graph.
MODES = ("step()", "step(closure)", "create_graph")
#: Parameters of a group that some optimizers want to be told apart.
GROUPS: tuple[Mapping[str, Any], ...] = ({}, {"use_muon": True}, {"lr": 1e-3})
#: Rows and columns of the small weights. 35 numbers do not fill the registers of the machine.
SHAPE, WIDE = (7, 5), (16, 300)
#: Those of the weight beside: some optimizers take all weights of one shape for one tensor.
BESIDE = (6, 4)
#: Sizes of an ordinary weight and of its gradients.
WEIGHT, GRADIENT = 0.1, 0.1
SHORT, LONG, LONGEST = 20, 100, 1000  # steps
SECONDS, MINUTES = 60, 10  # for one optimizer: of a processor, and of a clock
#: A pace below this is none, below the next slow, above the third a leap.
NONE, SLOW, LEAP = 1e-4, 0.1, 3.0
#: An ordinary weight that goes this many times its size is lost: its rate grows without an end.
LOST = 1e6
#: A weight without a gradient of less than this part of its size is not just decayed.
SHRUNK = 0.95
#: Steps that differ by less than this part are the same.
SAME = 0.01
#: Equal rows are parted if they differ by this part of the way they have gone.
PARTED = 1e-3

#: The kinds, as the book says them.
SAID: Mapping[str, str] = {
    "zero stuck": "Never moves a zero",
    "zero slow": "Moves a zero at less than a tenth of the pace",
    "zero leaps": "Moves a zero more than three times as far at first",
    "late stuck": "Never moves a late weight",
    "late slow": "Moves a late weight at less than a tenth of the pace",
    "late leaps": "Moves a late weight more than three times as far",
    "parts twins": "Separates twins",
    "parts twins in bfloat16": "Separates twins only in bfloat16",
    "rounding grows": "Lets rounding grow until twins come apart",
    "moves without a gradient": "Moves a weight that has no gradient",
    "shrinks without a gradient": "Shrinks a weight that has no gradient",
    "grows without a gradient": "Makes a weight grow that has no gradient",
    "erases": "Sets a weight without a gradient to zero",
    "raises on zero gradients": "Raises an error where gradients are zero",
    "not finite": "Gives NaN or infinity in some run",
    "not finite in bfloat16": "Gives NaN or infinity only in bfloat16",
    "the ordinary weight is lost": "Moves the ordinary weight too far too; the rest is not judged",
    "ordinary does not move": "Moves no weight with the gradients of this test",
    "fine": "Moves a zero, lets a late weight catch up, keeps twins",
}
#: With which kinds a cause belongs: with those that begin so.
OF_KIND: Mapping[str, str] = {
    "its step is in proportion to the weight": "zero",
    "it draws random numbers": "parts twins",
    "only wide rows come apart": "parts twins",
    "rounding, places in memory or its own draws decide": "parts twins",
    "it rounds at random": "parts twins in bfloat16",
    "it remembers the steps before": "late",
    "its first steps are the same, early or late": "late",
}

#: What each class is measured with: nothing, and a rank where one can be told of a group.
OPTIONS: tuple[Mapping[str, Any], ...] = ({}, {"rank": 2})
#: What an optimizer with a rank wants to be told of a group.
RANKED: Mapping[str, Any] = {
    **{"update_proj_gap": 200, "scale": 1.0, "alpha": 1.0, "proj": "random"},
    **{"proj_type": "std", "projection_type": "std", "scale_type": "channel"},
}
#: How a class reads a rank in its source.
READS = re.compile(r"""group(\[|\.get\()["']rank["']|["']rank["'] (not )?in group""")

Make = Callable[[list[nn.Parameter]], Any]


def normal(shape: Sequence[int], seed: int, count: int | None = None) -> Tensor:
    """Return normal numbers in double precision."""
    draw = torch.Generator().manual_seed(seed)
    shape = shape if count is None else (count, *shape)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


@functools.cache
def gradients(steps: int, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return gradients that point about in one direction, and this direction."""
    mean = normal(shape, seed)
    noise = normal(shape, seed + 1, LONGEST)[:steps]
    return GRADIENT * (mean + 0.5 * noise), mean / mean.norm()


def ordinary() -> Tensor:
    """Return a weight of the usual size, at a right angle to the direction of the gradients."""
    weight, (_, along) = normal(SHAPE, 3), gradients(0)
    return WEIGHT * (weight - (weight * along).sum() * along)


class Way:
    """One optimizer: how it is made, and how it wants its steps to be taken."""

    def __init__(self, cls: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Find the first way to make it and to take its steps that raises nothing."""
        self.cls, self.options = cls, options
        errors = []
        for group, self.mode in itertools.product(GROUPS, MODES):
            self.make: Make = functools.partial(self.made, group)
            try:
                self.run(torch.full(SHAPE, WEIGHT), gradients(2)[0])
            except Exception as error:
                errors.append(error)
            else:
                return
        raise errors[0]

    def made(self, group: Mapping[str, Any], params: list[nn.Parameter]) -> Any:
        """Make the optimizer of some parameters."""
        takes = inspect.signature(self.cls).parameters
        needed = [
            name
            for name, p in takes.items()
            if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        given = {name: GIVEN[name](params) for name in needed if name in GIVEN}
        given |= {"lr": 1e-3} if "lr" in takes and "lr" in group else {}
        rest = [name for name in needed if name not in given]
        if len(rest) > 1:
            raise TypeError(f"needs {', '.join(rest)}")
        group = {**group, **(RANKED if self.options else {}), **self.options}
        groups: Any = [{"params": params, **group}] if group else params
        return self.cls(**dict.fromkeys(rest, groups), **given)

    def run(
        self,
        start: Tensor,
        given: Tensor,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        noise: float = 0.0,
        alone: bool = False,
    ) -> Tensor:
        """Return a weight at its start and after each step with a given gradient.

        An ordinary weight of another shape beside it, the same in each run, has gradients of its
        own, or none. Both start with numbers of bfloat16: some optimizers keep the start with so
        few digits, and would take what they leave out for a way that the weight has gone.
        """
        torch.manual_seed(seed)
        beside, weight = (
            nn.Parameter(w.bfloat16().to(dtype, copy=True))
            for w in (WEIGHT * normal(BESIDE, 5), start)
        )
        others = gradients(len(given), BESIDE, seed=6)[0] * (not alone)
        params = [beside, weight]
        optimizer = self.make(params)
        if callable(getattr(optimizer, "train", None)):
            optimizer.train()
        if noise:
            given = given * (1 + noise * normal(given.shape, 8))
        seen = [weight.detach().to(torch.float64, copy=True)]
        for pair in zip(others.to(dtype), given.to(dtype), strict=True):
            take_step(optimizer, params, pair, self.mode)
            seen.append(weight.detach().to(torch.float64, copy=True))
        return torch.stack(seen)


def take_step(optimizer: Any, params: Sequence[Tensor], given: Sequence[Tensor], mode: str) -> None:
    """Take a step with given gradients, or with a loss that has them here and a Hessian."""
    if mode == "step()":
        for p, g in zip(params, given, strict=True):
            p.grad = g.clone()
        optimizer.step()
        return
    here = [p.detach().clone() for p in params]

    def closure() -> Tensor:
        with torch.enable_grad():
            loss = torch.zeros((), dtype=params[0].dtype)
            for p, at, g in zip(params, here, given, strict=True):
                off = p - at
                loss = loss + (p * g).sum() + (off.square().sum() + off.sum(0).square().sum()) / 20
            optimizer.zero_grad()
            loss.backward(create_graph=mode == "create_graph")
        return loss

    if mode == "step(closure)":
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


def gap(seen: Tensor) -> float:
    """Return how far equal rows have come apart, as a part of the way they have gone."""
    way = float((seen - seen[0]).abs().max())
    apart = float((seen - seen[:, :1]).abs().max())
    return apart / way if way else 0.0


class Numbers:
    """What is measured of one optimizer."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.numbers: Row = {}
        self.lost: list[str] = []
        self.raised: dict[str, str] = {}

    def seen(self, name: str, *args: Any, **options: Any) -> Tensor | None:
        """Take the steps of one run. Note what raises and what is not finite."""
        try:
            seen = self.way.run(*args, **options)
        except Exception as error:
            self.raised[name] = said(error)
            return None
        if not seen.isfinite().all():
            self.lost.append(name)
            return None
        return seen

    def measure(self) -> Row:
        """Run it from all the starts, and return the numbers."""
        start, zeros = ordinary(), torch.zeros(SHAPE)
        some, along = gradients(2 * LONG)
        whole = self.seen("ordinary", start, some)
        if whole is not None:
            self.numbers["way"] = float((whole[LONG] - whole[0]).norm() / whole[0].norm())
            self.pace_of_zero(whole, some, along)
            self.pace_of_late(whole, some, along)
        dead = self.seen("dead", start, 0 * some[:LONG])
        if dead is not None:
            first, last, size = dead[0], dead[-1], dead[0].norm()
            turned = last - first * ((last * first).sum() / size**2)
            self.numbers["dead_size"] = float(last.norm() / size)
            self.numbers["dead_turned"] = float(turned.norm() / size)
        dead = self.seen("dead zero", zeros, 0 * some[:LONG])
        if dead is not None:
            self.numbers["dead_zero"] = float(dead[-1].abs().max())
        dead = self.seen("dead, all", start, 0 * some[:SHORT], alone=True)
        if dead is not None:
            self.numbers["dead_all"] = float((dead[-1] - dead[0]).norm() / dead[0].norm())
        self.half(zeros, 0 * some[:3])
        self.twins()
        again = self.seen("other seed", start, some[:SHORT], seed=1)
        if whole is not None and again is not None:
            self.numbers["draws"] = not torch.equal(again, whole[: SHORT + 1])
        order = torch.randperm(SHAPE[0], generator=torch.Generator().manual_seed(0))
        other = self.seen("permuted", start[order], some[:SHORT, order])
        if whole is not None and other is not None:
            here = whole[: SHORT + 1, order]
            self.numbers["commutes_bitwise"] = torch.equal(here, other)
            way = float((here - here[0]).abs().max())
            self.numbers["commutes_gap"] = float((here - other).abs().max()) / way if way else 0.0
        return self.numbers | {"not_finite": self.lost, "raised": self.raised}

    def pace_of_zero(self, whole: Tensor, some: Tensor, along: Tensor) -> None:
        """Compare a zero weight with the ordinary one, and weights and gradients of other sizes."""
        start = ordinary()
        ways = {"zero": (0 * start, 1.0), "ten": (10 * start, 1.0), "gain": (start, 100.0)}
        for name, (other, factor) in ways.items():
            seen = self.seen(name, other, factor * some[:LONG])
            if seen is not None:
                for steps in (1, LONG):
                    self.numbers[f"{name}_{steps}"] = pace(seen[: steps + 1], whole, along)
        slow = self.numbers.get(f"zero_{LONG}")
        if slow is not None and not 0.5 < slow < 2:
            more, along = gradients(LONGEST)
            zero = self.seen(f"zero {LONGEST}", 0 * start, more)
            longer = self.seen(f"ordinary {LONGEST}", start, more)
            if zero is not None and longer is not None:
                self.numbers[f"zero_{LONGEST}"] = pace(zero, longer, along)

    def pace_of_late(self, whole: Tensor, some: Tensor, along: Tensor) -> None:
        """Compare a weight without first gradients with the ordinary one in the same steps.

        At last with one that gets the same gradients from the first step on.
        """
        for late in (1, LONG):
            given = some[: late + LONG].clone()
            given[:late] = 0
            seen = self.seen(f"late {late}", ordinary(), given)
            if seen is not None:
                for steps in (1, LONG):
                    here, there = (s[late : late + steps + 1] for s in (seen, whole))
                    self.numbers[f"late{late}_{steps}"] = pace(here, there, along)
        first = self.seen("first", ordinary(), some[LONG:])
        if seen is not None and first is not None:
            for steps in (1, LONG):
                here = seen[LONG : LONG + steps + 1]
                self.numbers[f"late_as_first_{steps}"] = pace(here, first, along)

    def half(self, zeros: Tensor, none: Tensor) -> None:
        """Say what a zero weight without a gradient becomes in half precision."""
        try:
            seen = self.way.run(zeros, none, torch.float16)
        except Exception as error:
            self.numbers["float16"] = said(error)
        else:
            self.numbers["float16"] = "finite" if bool(seen.isfinite().all()) else "not finite"

    def twins(self) -> None:
        """Measure how far equal rows with equal gradients come apart."""
        for name, shape, dtype, noise in (
            ("twins_float32", SHAPE, torch.float32, 0.0),
            ("twins_float64", SHAPE, torch.float64, 0.0),
            ("twins_bfloat16", SHAPE, torch.bfloat16, 0.0),
            ("twins_wide", WIDE, torch.float32, 0.0),
            ("twins_rounded", SHAPE, torch.float64, torch.finfo(torch.float64).eps),
        ):
            row = (WEIGHT * normal((1, shape[1]), 3)).repeat(shape[0], 1)
            given = gradients(SHORT, (1, shape[1]))[0].repeat(1, shape[0], 1)
            seen = self.seen(name, row, given, dtype, noise=noise)
            if seen is not None:
                self.numbers[name] = gap(seen)
            if seen is not None and dtype is torch.bfloat16:
                again = self.seen("other seed", row, given, dtype, seed=1)
                self.numbers["draws_bfloat16"] = again is None or not torch.equal(again, seen)


def pace(seen: Tensor, whole: Tensor, along: Tensor) -> float | None:
    """Return the way of a weight against its gradients, as a part of the way of another."""
    here, there = (float(((s[0] - s[len(seen) - 1]) * along).sum()) for s in (seen, whole))
    return here / there if there > 100 * torch.finfo(torch.float32).eps * WEIGHT else None


def said(error: BaseException) -> str:
    """Return an error as one line, without what changes from run to run."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]


def kinds(row: Row) -> list[str]:
    """Sort the numbers of a row, by rule."""
    if "error" in row:
        return ["not measured"]
    lost = "ordinary" in row["not_finite"] + list(row["raised"]) or row["way"] > LOST
    found = ["the ordinary weight is lost"] if lost else kinds_of_moves(row)
    exact = [row.get(f"twins_{name}", 0) for name in ("float32", "float64", "wide")]
    if max(exact) > PARTED:
        found.append("parts twins")
    elif row.get("draws_bfloat16") and row["twins_bfloat16"] > PARTED:
        found.append("parts twins in bfloat16")
    elif row.get("twins_rounded", 0) > PARTED:
        found.append("rounding grows")
    if row.get(f"zero_{LONG}") is None and not found:
        found.append("ordinary does not move")
    return list(dict.fromkeys(found)) or ["fine"]


def kinds_of_moves(row: Row) -> list[str]:
    """Sort how the weight moves, beside the ordinary one and without a gradient."""
    found = []
    if any(name.startswith(("zero", "late", "dead", "twins_f")) for name in row["not_finite"]):
        found.append("not finite")
    if "twins_bfloat16" in row["not_finite"]:
        found.append("not finite in bfloat16")
    if any(name.startswith(("dead", "late")) for name in row["raised"]):
        found.append("raises on zero gradients")
    if row.get("dead_size", 1) < 0.1:
        found.append("erases")
    elif row.get("dead_turned", 0) > PARTED or row.get("dead_zero", 0) > 0:
        found.append("moves without a gradient")
    elif max(row.get("dead_size", 1), row.get("dead_all", 1)) > 2:
        found.append("grows without a gradient")
    elif row.get("dead_size", 1) < SHRUNK:
        found.append("shrinks without a gradient")
    for name, what in (("zero", "zero"), ("late1", "late"), (f"late{LONG}", "late")):
        first, later = row.get(f"{name}_1"), row.get(f"{name}_{LONG}")
        if later is None:
            continue
        if max(abs(first or 0), abs(later)) < NONE:
            found.append(f"{what} stuck")
        elif later < SLOW:
            found.append(f"{what} slow")
        if max(first or 0, later) > LEAP:
            found.append(f"{what} leaps")
    return found


def causes(row: Row) -> list[str]:
    """Say by rule what the numbers show of the cause."""
    found, kinds = [], row["kinds"]
    size = max(row.get(f"ten_{steps}") or 0 for steps in (1, LONG))
    if {"zero stuck", "zero slow", "zero leaps"} & set(kinds) and 5 < size < 20:
        found.append("its step is in proportion to the weight")
    if "parts twins" in kinds:
        if row.get("draws"):
            found.append("it draws random numbers")
        elif max(row.get("twins_float32", 0), row.get("twins_float64", 0)) <= PARTED:
            found.append("only wide rows come apart")
        else:
            found.append("rounding, places in memory or its own draws decide")
    if "parts twins in bfloat16" in kinds:
        found.append("it rounds at random")
    paces = (row.get(f"late_as_first_{steps}") for steps in (1, LONG))
    firsts = [pace for pace in paces if pace is not None]
    if firsts and any(kind.startswith("late") for kind in kinds):
        same = all(abs(first - 1) < SAME for first in firsts)
        early = "its first steps are the same, early or late"
        found.append(early if same else "it remembers the steps before")
    return found


def judged(row: Row) -> Row:
    """Return a row with what the rules say of its numbers."""
    row = row | {"kinds": kinds(row)}
    return row | {"causes": causes(row)}


def opened(module: str) -> types.ModuleType:
    """Import a module. What is in :data:`BARE` is imported without its own first file."""
    for name in BARE:
        parent, _, _ = name.rpartition(".")
        if name.split(".")[0] == module.split(".")[0] and name not in sys.modules:
            path = sys.modules[parent].__path__ if parent else None
            found = importlib.machinery.PathFinder.find_spec(name, path)
            if found and found.submodule_search_locations:
                sys.modules[name] = types.ModuleType(name)
                sys.modules[name].__path__ = list(found.submodule_search_locations)
    return importlib.import_module(module)


def classes(package: str) -> Iterator[type[Any]]:
    """Find the optimizers of a package, in all its modules that can be imported."""
    modules, seen = [opened(package)], set()
    for _, name, _ in pkgutil.walk_packages(getattr(modules[0], "__path__", ()), package + "."):
        with contextlib.suppress(Exception, SystemExit):
            if not name.rpartition(".")[2].startswith("_"):
                modules.append(importlib.import_module(name))
    for module in modules:
        for cls in vars(module).values():
            own = inspect.isclass(cls) and cls.__module__.startswith(package.split(".")[0])
            if own and issubclass(cls, Optimizer) and cls is not Optimizer and cls not in seen:
                seen.add(cls)
                yield cls


def takes(cls: type[Any], options: Mapping[str, Any]) -> bool:
    """Say whether a class reads these options of a group."""
    with contextlib.suppress(OSError):  # two of torch.optim say that they are defined elsewhere
        return not options or bool(READS.search(inspect.getsource(cls)))
    return False


def examine(cls: type[Any], options: Mapping[str, Any]) -> Row:
    """Return the numbers of an optimizer, or its error."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        way = Way(cls, options)
        return {"mode": way.mode} | Numbers(way).measure()
    except Exception as error:
        return {"error": said(error)}


def measured(cls: type[Any], options: Mapping[str, Any]) -> Row:
    """Return the numbers of an optimizer; a crash and a hang are numbers too."""
    try:
        return forked(examine, cls, options, seconds=60 * MINUTES)
    except (TimeoutError, ChildProcessError) as error:
        return {"error": str(error)}


def main(chosen: Sequence[str]) -> None:
    """Measure what is not measured yet, and write it after each row."""
    torch.set_num_threads(1)
    torch.optim.SGD([nn.Parameter(torch.ones(1))]).zero_grad()  # imports what each child needs
    kept: Row = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": []}
    pins = dict(line.split("==") for line in PINS.read_text().split()) if PINS.exists() else {}
    versions, left_out = {}, {}
    rows = {(r["library"], r["module"], r["class"], str(r["options"])): r for r in kept["rows"]}
    found: list[tuple[str, type[Any]]] = []
    for library, package in LIBRARIES.items():
        try:
            versions[library] = importlib.metadata.version(library)
            found += [(library, c) for c in sorted(classes(package), key=lambda c: c.__name__)]
        except (Exception, SystemExit) as error:
            left_out[library] = said(error)
            print(f"left out: {library}, as {said(error)}", flush=True)
            continue
        if pins.get(library, versions[library]) != versions[library]:
            print(f"{library} is {versions[library]} here, and {pins[library]} in {PINS.name}")
    about = {"versions": versions, "left_out": left_out}
    for options, (library, cls) in itertools.product(OPTIONS, found):
        key, version = (library, cls.__module__, cls.__name__, str(options)), versions[library]
        known = rows.get(key, {}).get("version") == version and library not in chosen
        if known or not takes(cls, options):
            continue
        row = {"library": library, "version": version, "module": cls.__module__}
        row |= {"class": cls.__name__, "options": options} | measured(cls, options)
        rows[key] = judged(shortened(row))
        print(library, cls.__name__, options, *rows[key]["kinds"], sep="  ", flush=True)
        write(RESULT, rows.values(), about)
    rows = {key: judged(row) for key, row in rows.items()}  # as the rules say now
    write(RESULT, rows.values(), about)
    RESULT.with_suffix(".md").write_text(by_kind(rows.values()), "utf-8")


def by_kind(rows: Iterable[Row]) -> str:
    """Return a list in Markdown: what optimizers do, why, and the classes of each library."""
    found: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for row in rows:
        name = row["class"] + " (rank)" * bool(row["options"])
        for kind in SAID.keys() & set(row["kinds"]):
            cause = next((c for c in row["causes"] if kind.startswith(OF_KIND[c])), "")
            if not name.startswith("_"):
                found.setdefault((kind, cause), {}).setdefault(row["library"], {})[name] = None
    lines = []
    for (kind, cause), of in sorted(found.items(), key=lambda one: [*SAID].index(one[0][0])):
        names = (f"*{library}* {', '.join(sorted(names))}" for library, names in of.items())
        lines.append(f"- **{SAID[kind]}**{f' ({cause})' * bool(cause)}: {'; '.join(names)}.\n")
    return "".join(lines)


def shortened(value: Any) -> Any:
    """Return what is measured with the digits of each number that count, and none for NaN."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: shortened(v) for key, v in value.items()}
    return [shortened(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main(sys.argv[1:])
