"""Keep a model, and the random states, as they are, whatever is done to them in between."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._equal_rows import BITS, SMALL, any_number
from zeroinit._sharded import local

#: Longer lists and dicts are kept, but not what they hold: they are data, and no part of a model.
LONG = 1000
#: What nothing changes in place.
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type})


@contextmanager
def kept(model: nn.Module, optimizer: Optimizer | None = None) -> Iterator[Callable[[], None]]:
    """Leave a model, its optimizer and the random states as they were, also after an error.

    It keeps the parameters and buffers, their gradients and whether they have one, and the
    attributes of every module, with the tensors, arrays and generators in their lists and dicts.
    It gives a function that puts all of it back, to be called in between.
    """
    back: list[Callable[[], None]] = []
    keep_random_states(model, back)
    empty: list[Any] = []
    seen: set[int] = set()
    for own in (*model.parameters(), *model.buffers(), *model.modules()):
        _keep(own, back, empty, seen)
    if optimizer is not None:
        _keep(optimizer, back, empty, seen)

    def restore() -> None:
        for put in back:
            put()
        for container in empty:
            container.clear()

    try:
        yield restore
    finally:
        _whatever_comes(restore)


def _whatever_comes(restore: Callable[[], None]) -> None:
    """Restore to the end: after Ctrl-C from the beginning, and raise it then."""
    stopped: KeyboardInterrupt | None = None
    while True:
        try:
            restore()
        except KeyboardInterrupt as stop:
            stopped = stop
        else:
            break
    if stopped is not None:
        raise stopped


def _keep(value: Any, back: list[Callable[[], None]], empty: list[Any], seen: set[int]) -> None:
    """Append what puts back a value, and what it holds, or the value itself if it is empty."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inside: list[Any] = []
    if isinstance(value, Tensor):
        back.append(_tensor(value))
    elif isinstance(value, nn.Module):
        inside = [value.__dict__]
    elif isinstance(value, Optimizer):
        inside = [value.__dict__]
        for state in [value.state, *value.state.values()]:  # however many parameters it holds
            _keep(state, back, empty, seen)
    elif isinstance(value, dict | list | deque | set) and not value:
        empty.append(value)
    elif isinstance(value, dict):
        back.append(partial(_put_items, value, dict(value)))
        inside = list(value.values())
    elif isinstance(value, list | deque):
        back.append(partial(_put_items, value, list(value)))
        inside = list(value)
    elif isinstance(value, set):
        back.append(partial(_put_items, value, set(value)))
    elif isinstance(value, tuple):
        inside = list(value)
    elif isinstance(value, np.ndarray) and value.flags.writeable:
        back.append(_call(np.copyto, value, value.copy()))
    elif isinstance(value, torch.Generator):
        back.append(_call(value.set_state, value.get_state()))
    elif isinstance(value, random.Random):
        back.append(_call(value.setstate, value.getstate()))
    elif isinstance(value, np.random.Generator):
        back.append(_call(setattr, value.bit_generator, "state", value.bit_generator.state))
    for part in inside if len(inside) <= LONG else ():
        if type(part) not in PLAIN:
            _keep(part, back, empty, seen)


def _call(function: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    return lambda: function(*arguments)


def _put_items(container: Any, items: Any) -> None:
    """Give a dict, list or set its items back, if they have changed."""
    same = len(container) == len(items) and all(map(is_, container, items))
    if same and isinstance(container, dict):
        same = all(map(is_, container.values(), items.values()))
    if not same:
        container.clear()
        (container.extend if isinstance(container, list | deque) else container.update)(items)


def _tensor(tensor: Tensor) -> Callable[[], None]:
    """Return what puts a tensor back to its place in memory, with its numbers and its gradient.

    Its version stays as it is: a graph that holds it from before can still be walked.
    """
    if not tensor.is_leaf:
        return lambda: None  # a result of an earlier call, which nobody changes in place
    part = local(tensor.data)
    numbers = None
    try:
        if writable(tensor):
            numbers = part.new_zeros(()) if _is_zero(part) else part.clone()
    except (NotImplementedError, RuntimeError):
        pass  # a format that nobody can write to either
    attributes = tensor.requires_grad, tensor.grad, tensor._backward_hooks is None
    return partial(_put, tensor, tensor.data, part, numbers, *attributes)


def _put(
    tensor: Tensor,
    data: Tensor,
    part: Tensor,
    numbers: Tensor | None,
    asked: bool,
    gradient: Tensor | None,
    hookless: bool,
) -> None:
    if _place(local(tensor.data)) != _place(part):
        tensor.data = data
    if numbers is not None:
        part.copy_(numbers)
        if part.is_sparse:
            tensor.data = part  # a change in place gives the tensor new indices
    if tensor.requires_grad != asked:
        tensor.requires_grad_(asked)
    tensor.grad = gradient
    if hookless and tensor._backward_hooks is not None:
        tensor._backward_hooks = None  # what a hook that is removed leaves


def _is_zero(t: Tensor) -> bool:
    """Whether every bit of a large tensor is zero, so that it needs no copy."""
    if type(t) is not Tensor or t.layout is not torch.strided or t.numel() <= SMALL:
        return False
    bits = t.view(BITS[t.element_size()]) if t.element_size() in BITS else None
    return bits is not None and not any_number(bits[:1]) and not any_number(bits)


def _place(tensor: Tensor) -> tuple[int, torch.Size, torch.dtype]:
    """Return what tells a place in memory from another; of several parts, the shape."""
    if tensor.is_nested:
        tensor = tensor.values()
    try:
        return tensor.data_ptr(), tensor.shape, tensor.dtype
    except (NotImplementedError, RuntimeError):
        return 0, tensor.shape, tensor.dtype


def writable(tensor: Tensor) -> bool:
    """Whether each number of a tensor has a place in memory of its own."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return True
    lengths = zip(tensor.shape, tensor.stride(), strict=True)
    return not any(size > 1 and stride == 0 for size, stride in lengths)


def keep_random_states(model: nn.Module, back: list[Callable[[], None]]) -> None:
    """Keep the states of Python, NumPy and PyTorch, the last on all devices of the model too."""
    back.append(_call(random.setstate, random.getstate()))
    back.append(_call(np.random.set_state, np.random.get_state()))  # noqa: NPY002, others use it
    back.append(_call(torch.set_rng_state, torch.get_rng_state()))
    for device in {t.device for t in (*model.parameters(), *model.buffers())}:
        if device.type not in ("cpu", "meta"):
            of = torch.get_device_module(device)
            back.append(_call(of.set_rng_state, of.get_rng_state(device), device))
