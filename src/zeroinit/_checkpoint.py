"""Keep in sight what a reentrant checkpoint hides: its part of autograd's graph."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch.utils.checkpoint
from torch import Tensor
from torch.autograd.graph import Node
from torch.utils.checkpoint import checkpoint

from zeroinit._graph import operation


@contextmanager
def in_sight() -> Iterator[None]:
    """Run the reentrant checkpoints of PyTorch as those that are not reentrant.

    These give the same numbers, keep as little and recompute as often, and the graph has all of
    it. A reentrant checkpoint without an input that wants a gradient gives none to what is inside,
    so it stays as it is.
    """
    reentrant = torch.utils.checkpoint.CheckpointFunction

    def apply(function: Callable[..., Any], preserve: bool, *inputs: Any) -> Any:
        if not any(isinstance(t, Tensor) and t.requires_grad for t in inputs):
            return reentrant.apply(function, preserve, *inputs)
        return checkpoint(
            function,
            *inputs,
            use_reentrant=False,
            preserve_rng_state=preserve,
            determinism_check="none",  # as a reentrant one has none
        )

    torch.utils.checkpoint.CheckpointFunction = SimpleNamespace(apply=apply)  # type: ignore
    try:
        yield
    finally:
        torch.utils.checkpoint.CheckpointFunction = reentrant  # type: ignore[misc]


def out_of_sight(nodes: Iterable[Node]) -> str:
    """Return the name of an operation that calls backward() on a graph of its own, if one does."""
    names = {operation(node) for node in nodes}
    return next((name for name in sorted(names) if "checkpoint" in name.lower()), "")
