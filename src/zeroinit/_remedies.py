"""Changes of a running model that may wake what is dead: each is tried before it is recommended."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zeroinit._causes import Cause, listed
from zeroinit._sharded import as_sharded, whole

Change = tuple[str, Callable[[], AbstractContextManager[object]]]


def changes(model: nn.Module, cause: Cause, dead: Sequence[str]) -> Iterator[Change]:
    """Give the changes that may mend a cause, the smallest first, each with how to try it."""
    if cause.what in ("zero", "frozen"):
        matrices = [n for n in dead if model.get_parameter(n).ndim > 1]
        several = [[name] for name in sorted(cause.at)[:4]]
        for names in dict.fromkeys(map(tuple, [*several, sorted(cause.at), matrices])):
            text = f"give {listed(names)} small random numbers"
            yield text, partial(filled, model, names)
    for at in cause.at:
        name = at.partition(" (")[0]
        module = dict(model.named_modules()).get(name)
        if cause.what == "off" and module is not None:
            yield (
                f"put a LeakyReLU in place of {at}, or move the bias before it",
                partial(_replaced, module, F.leaky_relu),
            )
        elif cause.what == "saturated" and module is not None:
            yield (
                f"scale the input of {at} down to about 1",
                partial(_input_scaled, module),
            )
        elif cause.what == "one logit":
            yield f"put a sigmoid in place of {at}", partial(_Instead, "softmax", torch.sigmoid)
        elif at == "relu()":
            yield (
                "put leaky_relu() in place of relu(), or move the bias before it",
                partial(_Instead, "relu", F.leaky_relu),
            )
        elif cause.what in ("round", "off") and name.endswith("()"):
            yield (
                f"let a gradient pass {name}: h + ({name[:-1]}h) - h).detach()",
                partial(_Instead, name[:-2].replace("clampm", "clamp_m"), None),
            )


def fill_units(parameter: Tensor, places: Tensor) -> Change:
    """Give the change that fills the dead units of a parameter, which has a row of places each."""

    def fill() -> AbstractContextManager[object]:
        numbers = whole(parameter.data)
        flat = numbers.flatten()
        at = places.to(flat.device)
        flat[at] = _small(flat[at], _draw(flat))
        parameter.data.copy_(as_sharded(flat.view(numbers.shape), parameter))
        return nullcontext()

    return f"give its {len(places)} units of weight zero small random numbers", fill


def start_whole(model: nn.Module, names: Sequence[str]) -> Change:
    """Give the change that draws a parameter as a whole, and each rank's shard from it."""
    return "start the model before it is sharded", partial(filled, model, names)


def _draw(like: Tensor) -> torch.Generator:
    return torch.Generator(like.device).manual_seed(0)


def _small(like: Tensor, draw: torch.Generator) -> Tensor:
    width = math.prod(like.shape[1:]) if like.ndim > 1 else 10
    numbers = torch.randn(like.shape, generator=draw, device=like.device, dtype=torch.float32)
    small: Tensor = (numbers / max(width, 1) ** 0.5).to(like.dtype)
    return small


def filled(model: nn.Module, names: Sequence[str]) -> AbstractContextManager[object]:
    """Give parameters or buffers small random numbers, to each its own."""
    draws: dict[torch.device, torch.Generator] = {}
    for name in names:
        module, _, own = name.rpartition(".")
        numbers = getattr(model.get_submodule(module), own).data
        draw = draws.setdefault(numbers.device, _draw(numbers))
        numbers.copy_(as_sharded(_small(numbers, draw), numbers))
    return nullcontext()


@contextmanager
def _replaced(module: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    hook = module.register_forward_hook(lambda _, inputs, output: function(inputs[0]))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _input_scaled(module: nn.Module) -> Iterator[None]:
    def scale(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] / inputs[0].detach().abs().max().clamp_min(1), *inputs[1:])

    hook = module.register_forward_pre_hook(scale)
    try:
        yield
    finally:
        hook.remove()


class _Instead(TorchFunctionMode):
    """Call another function in place of one, or let its gradient pass as if it did nothing."""

    def __init__(self, name: str, other: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.name, self.other = name, other

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "").rstrip("_")
        if name != self.name and not (name == "clamp" and self.name.startswith("clamp")):
            return func(*args, **(kwargs or {}))
        if self.other is not None:
            return self.other(args[0])
        h = args[0].clone()  # the function may change its argument in place
        return h + (func(*args, **(kwargs or {})) - h).detach()
