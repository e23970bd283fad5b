"""Audit one model that several ranks hold: what it is as a whole, and what they must agree on.

A parameter may be a DTensor, of which each rank holds a shard; FSDP2 puts another tensor in its
place for as long as a module runs; DDP adds up the gradients of equal copies. Where no process
group is made nothing of this is imported, and every function gives back what it is given.
"""

import hashlib
import os
import pickle
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zeroinit._equal_rows import groups_of_equal

T = TypeVar("T")

#: For a tensor that stands in a module while it runs, by its id: itself, and the parameter.
_STANDS_FOR: dict[int, tuple[Tensor, Tensor]] = {}
#: How many audits there were of a model that these ranks hold.
_audits: Counter[tuple[int, ...]] = Counter()


def speaks() -> bool:
    """Whether this process is rank 0, which writes for all; of ``torchrun`` also before a group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return os.environ.get("RANK", "0") == "0"


def sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; all ranks that hold it must ask."""
    full: Tensor = tensor.full_tensor() if sharded(tensor) else tensor  # type: ignore[attr-defined]
    return full


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this rank holds."""
    if not sharded(tensor):
        return tensor
    with torch.no_grad():
        part: Tensor = tensor.to_local()  # type: ignore[attr-defined]
    return part


def freed(tensor: Tensor) -> bool:
    """Whether FSDP2 has let the numbers of a tensor go, until its module runs again."""
    return bool(_STANDS_FOR and tensor.numel() and not tensor.untyped_storage().nbytes())


def as_sharded(numbers: Tensor, like: Tensor) -> Tensor:
    """Return numbers that all ranks have, sharded as a tensor is."""
    if not sharded(like):
        return numbers
    copies = _on_all(numbers, like)
    mine: Tensor = copies.redistribute(like.device_mesh, like.placements)  # type: ignore
    return mine


def for_product(numbers: Tensor, other: Tensor) -> Tensor:
    """Return numbers that all ranks have, so that they can be multiplied by a tensor."""
    return _on_all(numbers, other) if sharded(other) else numbers


def _on_all(numbers: Tensor, like: Any) -> Any:
    from torch.distributed.tensor import DTensor, Replicate

    mesh = like.device_mesh
    return DTensor.from_local(numbers, mesh, [Replicate()] * mesh.ndim, run_check=False)


def parameter_of(tensor: Tensor) -> Tensor:
    """Return the parameter for which a tensor stands while its module runs, or the tensor."""
    return _STANDS_FOR.get(id(tensor), (tensor, tensor))[1]


def parameters_of(model: nn.Module) -> list[Tensor]:
    """Return the parameters of a model."""
    return [parameter_of(p) for p in model.parameters()]


def class_of(module: nn.Module) -> type[nn.Module]:
    """Return the class of a module; fully_shard gives it one of its own, made of two."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not isinstance(module, fsdp.FSDPModule):
        return type(module)
    both = type(module).__mro__
    return both[both.index(fsdp.FSDPModule) + 1]


class Ranks:
    """The ranks that hold a model together; most models are held by this process alone."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.ranks: tuple[int, ...] = ()
        self.copies: dict[int, Any] = {}
        self.fully_sharded: list[Any] = []
        self.round = 0
        if dist.is_available() and dist.is_initialized() and isinstance(model, nn.Module):
            self._find()

    @property
    def first(self) -> int | None:
        """The rank that speaks for all, if it is another one."""
        return self.ranks[0] if self.ranks and self.ranks[0] != dist.get_rank() else None

    def _find(self) -> None:
        fsdp = sys.modules.get("torch.distributed.fsdp")
        held: set[tuple[int, ...]] = set()
        for module in self.model.modules():
            if isinstance(module, DistributedDataParallel):
                group = module.process_group
                held.add(tuple(dist.get_process_group_ranks(group)))
                for name, p in module.module.named_parameters():
                    if name not in module.parameters_to_ignore:
                        self.copies[id(p)] = group
            elif fsdp and isinstance(module, fsdp.FSDPModule):
                self.fully_sharded.append(module)
            elif fsdp and isinstance(module, fsdp.FullyShardedDataParallel):
                raise TypeError(
                    "FullyShardedDataParallel keeps weights in flat pieces, without units: wrap "
                    "with torch.distributed.fsdp.fully_shard, or audit the model before"
                )
        self.settle()
        for p in self.model.parameters():
            if sharded(p):
                held.add(tuple(p.device_mesh.mesh.flatten().tolist()))  # type: ignore[attr-defined]
        if held:
            self.ranks = held.pop() if len(held) == 1 else tuple(range(dist.get_world_size()))
            _audits[self.ranks] += 1

    def settle(self) -> None:
        """Put the sharded parameters into the modules."""
        for module in self.fully_sharded:
            module.reshard()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make an error of one rank an error of all."""
        try:
            yield
        except BaseException as error:
            if self.ranks:
                self._say((type(error).__name__, str(error)), None)
            raise

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Know what stands for the parameters, and leave gradients to :meth:`added_up`."""
        if not self.ranks:
            yield
            return
        with ExitStack() as stack:
            stack.callback(_STANDS_FOR.clear)
            stack.callback(self.settle)
            for module in self.fully_sharded:
                places = [
                    (owner._parameters, own, p)
                    for owner in module.modules()
                    for own, p in owner._parameters.items()
                ]

                def look(*_: Any, places: Any = places) -> None:
                    for held, own, p in places:
                        if held[own] is not p:
                            _STANDS_FOR[id(held[own])] = held[own], p

                stack.callback(module.register_forward_pre_hook(look).remove)
            for module in self.model.modules():
                if isinstance(module, DistributedDataParallel):
                    stack.enter_context(module.no_sync())
            yield

    def all(self, mine: T) -> list[T]:
        """Return what each of the ranks says, or raise the error of one of them."""
        if not self.ranks:
            return [mine]
        self._say(None, mine)
        store = _store()
        heard = [pickle.loads(s) for s in store.multi_get([*map(self._key, self.ranks)])]
        store.delete_key(self._key(dist.get_rank(), ago=1))  # as all are a round further
        for other, (error, _) in zip(self.ranks, heard, strict=True):
            if error:
                kind = {"ValueError": ValueError, "TypeError": TypeError}.get(error[0])
                if kind:
                    raise kind(f"rank {other}: {error[1]}")
                raise RuntimeError(f"rank {other}: {': '.join(filter(None, error))}")
        return [said for _, said in heard]

    def either(self, *mine: bool) -> list[bool]:
        """Return what is true on one of the ranks."""
        return [any(said) for said in zip(*self.all(mine), strict=True)]

    def _say(self, error: tuple[str, str] | None, mine: object) -> None:
        self.round += 1
        _store().set(self._key(dist.get_rank()), pickle.dumps((error, mine)))

    def _key(self, rank: int, ago: int = 0) -> str:
        ranks = "-".join(map(str, self.ranks))
        return f"zeroinit/{ranks}/{_audits[self.ranks]}/{self.round - ago}/{rank}"

    def added_up(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """Return the gradients of the whole batch: the mean of those of equal copies."""
        if not self.ranks:
            return gradients
        there = self.either(*(g is not None for g in gradients))
        found = list(gradients)
        for n, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            group = self.copies.get(id(p))
            if there[n] and g is None and (group or sharded(p)):
                found[n] = g = torch.zeros_like(p)
            if g is not None and group:
                part = local(g)
                part = part.coalesce() if part.is_sparse else part
                dist.all_reduce(part, group=group)
                part /= dist.get_world_size(group)
                found[n] = part if g.is_sparse else g
        return found

    def drawn_alike(self, parameters: Iterable[Tensor]) -> list[int]:
        """Return how many shards of each parameter are equal."""
        heard = self.all([_shard(p) for p in parameters])
        found = []
        for shards in zip(*heard, strict=True):
            holders: dict[bytes, set[Any]] = {}
            for place, numbers in filter(None, shards):
                holders.setdefault(numbers, set()).add(place)
            found.append(max(map(len, holders.values()), default=0))
        return found


def _shard(tensor: Any) -> tuple[tuple[int, ...], bytes] | None:
    """Return which shard of a tensor this rank holds, and a hash of its numbers.

    A shard that is the same all along has none: it tells nothing of how it came.
    """
    if not sharded(tensor):
        return None
    numbers = local(tensor.detach())
    place = []
    for n, placement in zip(tensor.device_mesh.get_coordinate(), tensor.placements, strict=True):
        if placement.is_shard():
            place.append(n)
            if not numbers.numel() or bool((numbers == numbers.narrow(placement.dim, 0, 1)).all()):
                return None
    prints = groups_of_equal(numbers.reshape(len(numbers), -1)) if place else numbers.new_zeros(1)
    return tuple(place), hashlib.sha256(prints.cpu().numpy().tobytes()).digest()


def _store() -> Any:
    return dist.distributed_c10d._get_default_store()
