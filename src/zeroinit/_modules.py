"""Compare the parts of a model: what is equal and stays equal, what is one object, what is hidden.

Two modules are equal if each parameter of one is equal to that of the same name in the other. As
long as their gradients are equal too, they learn alike: units of one layer have the same fate.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._causes import listed
from zeroinit._equal_rows import heights, split_groups
from zeroinit._kept import LONG
from zeroinit._sharded import class_of, parameter_of, sharded, whole
from zeroinit.report import Finding, Remark

#: What every module holds besides what a user puts there.
OWN = frozenset(vars(nn.Module()))


class Equals:
    """The parameters of a model that are equal to others, and the steps that part them."""

    def __init__(self, model: nn.Module) -> None:
        self.named = {name: parameter_of(p) for name, p in model.named_parameters()}
        self.numbers = count()
        groups: dict[Any, list[Tensor]] = {}
        for p in self.named.values():
            groups.setdefault(_sketch(p), []).append(p)
        start: dict[int, int] = {}
        for like in groups.values():
            while len(like) > 1:
                alike = [torch.equal(whole(p), whole(like[0])) for p in like]
                same = [p for p, is_one in zip(like, alike, strict=True) if is_one]
                like = [p for p, is_one in zip(like, alike, strict=True) if not is_one]
                if len(same) > 1:
                    start |= dict.fromkeys(map(id, same), next(self.numbers))
        self.history = [start]  # the groups, by ids, at the start and after each step
        self.moved: set[int] = set()
        #: trained matrices whose numbers differ: nobody draws them twice
        self.drawn = {
            id(p)
            for p in self.named.values()
            if id(p) in start and p.requires_grad and p.ndim > 1 and _differ(p)
        }

    def learn(self, moving: Collection[int]) -> None:
        """Part the parameters whose gradients differ; only those of these ids are not zero."""
        now = dict(self.history[-1])
        groups: dict[int, list[Tensor]] = {}
        for p in self.named.values():
            if id(p) in now:
                groups.setdefault(now[id(p)], []).append(p)
        for members in groups.values():
            some = [p for p in members if id(p) in moving]
            self.moved |= set(map(id, some))
            if len(members) > 1 and some:
                kin = _kin([dense(p.grad) for p in some])  # type: ignore[arg-type]
                new = {k: next(self.numbers) for k in set(kin)}
                now |= {id(p): new[k] for p, k in zip(some, kin, strict=True)}
        self.history.append(now)

    def agree(self, other: "Equals") -> None:
        """Take over what parts them under another loss, from the same start."""
        pairs: dict[tuple[int, int], int] = {}
        mine, its = self.history[-1], other.history[-1]
        last = {key: pairs.setdefault((mine[key], its[key]), next(self.numbers)) for key in mine}
        longer = max(self.history, other.history, key=len)
        self.history = [*longer[:-1], last]
        self.moved |= other.moved

    def report(
        self, model: nn.Module, again: Callable[[Sequence[str]], Iterable[None]]
    ) -> tuple[dict[str, tuple[str, ...]], list[Remark]]:
        """Return the faults of modules that stay equal, by parameter, and what else is equal.

        ``again`` gives parameters other numbers and leaves the gradients of each loss in turn.
        """
        causes: dict[str, tuple[str, ...]] = {}
        remarks: list[Remark] = []
        if not self.history[0]:
            return causes, remarks
        names = {id(p): name for name, p in self.named.items()}
        modules = dict(model.named_modules())
        found: set[str] = set()
        for alike in self._sets(modules, self.history[-1], found):
            if self.moved & self.drawn & set(map(id, modules[alike[0]].parameters())):
                found.update(alike)
                text = f"{listed(alike)} are equal, learn alike and stay equal"
                members = [p for n in alike for p in modules[n].parameters() if p.requires_grad]
                causes |= {names[id(p)]: ("equal modules", text) for p in members}
        parted = set(found)
        for alike in self._sets(modules, self.history[0], parted):
            steps = [self._parted(modules, alike, groups) for groups in self.history]
            if any(steps):
                parted.update(alike)
                text = f"these modules start equal, and part at step {steps.index(True)}"
                remarks.append(Remark("equal at the start", tuple(alike), text))
        groups: dict[int, list[str]] = {}
        for name, p in self.named.items():
            group = self.history[-1].get(id(p)) if id(p) in self.moved else None
            if group is not None and name not in causes and p.ndim > 1:  # biases add up
                groups.setdefault(group, []).append(name)
        twins = [alike for alike in groups.values() if len(alike) > 1]
        apart: set[int] = set()
        why = ""
        for _ in again([name for _, *others in twins for name in others]) if twins else ():
            apart |= {k for k, alike in enumerate(twins) if self._told_apart(alike)}
            why = ": only their sum or their product counts"
        for k, alike in enumerate(twins):
            if k in apart:
                text = f"{listed(alike)} are equal, learn alike and stay equal"
                remedy = f"give {listed(alike[1:])} small random numbers"
                causes |= dict.fromkeys(alike, ("twin parameters", text, remedy))
            else:
                text = f"these parameters are equal, learn alike and stay equal{why}"
                remarks.append(Remark("equal parameters", tuple(alike), text))
        return causes, remarks

    def _told_apart(self, names: Sequence[str]) -> bool:
        """Whether parameters that are different now learn apart.

        Those of which only the sum counts have one gradient, whatever their numbers are; where only
        the product counts, the gradients times the numbers are one.
        """
        some = [self.named[name] for name in names]
        slopes = [torch.zeros_like(dense(p)) if p.grad is None else dense(p.grad) for p in some]
        products = [dense(p.detach()) * slope for p, slope in zip(some, slopes, strict=True)]
        return len(set(_kin(slopes))) > 1 and len(set(_kin(products))) > 1

    def _sets(
        self, modules: Mapping[str, nn.Module], groups: Mapping[int, int], known: set[str]
    ) -> Iterator[list[str]]:
        """Give the names of modules that are equal, and of each set the outermost alone."""
        equal: dict[Any, list[str]] = {}
        for name, module in modules.items():
            signature = _signature(module, groups)
            if signature and all(group is not None for *_, group in signature):
                equal.setdefault((class_of(module), signature), []).append(name)
        for alike in equal.values():
            own: set[int] = set()
            apart = []  # those that share no parameter with another
            for name in alike:
                ids = set(map(id, modules[name].parameters()))
                if not ids & own and ids & self.drawn:
                    apart.append(name)
                own |= ids
            inside = [any(n.startswith(f"{k}.") for k in known) or n in known for n in apart]
            if len(apart) > 1 and not all(inside):
                yield apart

    def _parted(
        self, modules: Mapping[str, nn.Module], alike: Sequence[str], groups: Mapping[int, int]
    ) -> bool:
        return len({_signature(modules[name], groups) for name in alike}) > 1


def _kin(gradients: Sequence[Tensor]) -> list[int]:
    """Return a number for each gradient, the same for those that are equal.

    Those of about one length are compared whole. The squares of tiny numbers are inexact.
    """
    lengths = [float(torch.linalg.vector_norm(g)) for g in gradients]
    lengths = [length if length > 1e-14 else 0.0 for length in lengths]
    near: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if near and 0.98 * lengths[n] <= lengths[near[-1][-1]]:
            near[-1].append(n)
        else:
            near.append([n])
    kin = [0] * len(gradients)
    for some in near:
        rows = torch.stack([gradients[n].reshape(-1) for n in some]) if len(some) > 1 else None
        group = [0]
        if rows is not None:
            one = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
            group = split_groups(one, rows, largest=float(heights(rows).max())).tolist()
        first = max(kin) + 1
        for n, g in zip(some, group, strict=True):
            kin[n] = first + g
    return kin


def _signature(module: nn.Module, groups: Mapping[int, int]) -> tuple[tuple[str, int | None], ...]:
    """Return a module's parameters by name, each with its group, if it has one."""
    return tuple((name, groups.get(id(p))) for name, p in module.named_parameters())


def _differ(p: Tensor) -> bool:
    numbers = whole(p.detach()).reshape(-1)
    if numbers.is_complex():
        return bool((numbers != numbers[:1]).any())
    low, high = numbers.aminmax()
    return bool(low != high)


def _sketch(parameter: Tensor) -> Any:
    """Return what equal tensors have in common, from a few of their numbers."""
    p = whole(parameter)
    if p.numel() == 0 or p.element_size() == 1 or type(p.data) is not Tensor:
        return id(parameter)  # nothing to compare, or a format of its own
    flat = p.detach().reshape(-1)
    kind = p.shape, p.dtype, p.device, parameter.requires_grad, sharded(parameter)
    return kind, tuple(flat[:: 1 + len(flat) // 16].tolist())


def dense(gradient: Tensor) -> Tensor:
    """Return a gradient as real numbers, all of them."""
    gradient = gradient.to_dense() if gradient.is_sparse else whole(gradient)
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient


def shared(model: nn.Module) -> list[Remark]:
    """Return which modules with parameters stand under several names."""
    names: dict[int, list[str]] = {}
    modules: dict[int, nn.Module] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if any(True for _ in module.parameters()):
            names.setdefault(id(module), []).append(name)
            modules[id(module)] = module
    inner = {
        id(part) for key, some in names.items() if len(some) > 1 for part in modules[key].modules()
        if part is not modules[key]
    }  # fmt: skip
    return [
        Remark("one object", tuple(some), f"one module under {len(some)} names: it is used by all")
        for key, some in names.items()
        if len(some) > 1 and key not in inner
    ]


def hidden(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Give the tensors that want a gradient in attributes where no module registers them."""
    known = set(map(id, model.parameters()))

    def look(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
        if isinstance(value, nn.Module):
            yield from ((f"{name}.{own}", p) for own, p in value.named_parameters())
        elif isinstance(value, Tensor):
            if value.is_leaf and value.requires_grad:
                yield name, value
        elif isinstance(value, list | tuple | dict) and depth and len(value) <= LONG:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in items:
                yield from look(f"{name}[{key!r}]", part, depth - 1)

    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in OWN:
                name = f"{prefix}.{attribute}" if prefix else attribute
                for found, tensor in look(name, value, 3):
                    if id(tensor) not in known:
                        known.add(id(tensor))
                        yield found, tensor


def held(optimizer: Optimizer | None) -> set[int]:
    """Return the ids of the tensors that an optimizer moves."""
    groups = optimizer.param_groups if optimizer is not None else []
    return {id(p) for group in groups for p in group["params"]}


def unregistered(
    model: nn.Module, leaves: Iterable[Tensor], optimizer: Optimizer | None
) -> list[Finding]:
    """Return findings for what the loss uses, that is the model's own and that nobody trains."""
    used = set(map(id, leaves)) - held(optimizer)
    found = []
    for name, tensor in hidden(model) if used else ():
        if id(tensor) in used:
            attribute = name.partition("[")[0]
            units = len(tensor) if tensor.ndim else 1
            found.append(
                Finding(
                    name=name,
                    shape=tuple(tensor.shape),
                    wakes=1,
                    units=units,
                    distinct=units,
                    distinct_after=units,
                    act_as=units,
                    dead=0,
                    kind="not registered",
                    cause=f"{attribute} is no part of the model that PyTorch sees",
                    remedy=f"make {attribute} an nn.ModuleList, nn.ModuleDict or nn.Parameter"
                    if "[" in name
                    else f"make {attribute} an nn.Module or nn.Parameter that is registered",
                )
            )
    return found
