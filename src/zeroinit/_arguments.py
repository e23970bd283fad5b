"""What came in place of the arguments of an audit, or of its loss, and what to write instead."""

import inspect
from typing import Any

from torch import Tensor, nn, strided
from torch.nn.parameter import is_lazy

#: What is said of a loss that no parameter has a part in.
NO_PATH = (
    "the loss does not depend on the model: compute it from the model that it is given, "
    "with gradients on; if the model works on another one, audit a module that holds both"
)


def check_steps(steps: int) -> None:
    """Refuse a number of steps that is none, or below 1."""
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise TypeError(f"steps must be an int, got {steps!r}: 3 is enough for most networks")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}: 3 is enough for most networks")


def check_arguments(model: Any, loss: Any) -> None:
    """Say what came in place of a model, or of a function of it."""
    write = "write `lambda model: criterion(model(x), y)`"
    if not isinstance(model, nn.Module):
        if isinstance(loss, nn.Module) and callable(model):
            raise TypeError("the model comes first, then the loss: write audit(model, loss)")
        raise TypeError(f"the model must be an nn.Module, got {type(model).__name__}")
    if isinstance(loss, Tensor):
        raise TypeError(f"the loss must be a function of the model, got its value: {write}")
    if not callable(loss):
        raise TypeError(f"the loss must be a function, got {type(loss).__name__}: {write}")
    if isinstance(loss, nn.modules.loss._Loss):
        name = type(loss).__name__
        raise TypeError(f"the loss must be a function of the model, got {name}: {write}")
    try:
        inspect.signature(loss).bind(model)
    except ValueError:
        return  # a function of C, which does not say what it takes
    except TypeError as error:
        raise TypeError(f"the loss is called with the model alone ({error}): {write}") from None


def check_model(model: nn.Module) -> None:
    """Refuse a model whose parameters have no numbers, or of which none is trained."""
    parameters = dict(model.named_parameters())
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters: there is nothing to audit")
    for name, p in parameters.items():
        if is_lazy(p):
            raise ValueError(
                f"{name} has no shape yet: call the model once on a batch, then audit it"
            )
        if p.is_meta:
            raise ValueError(
                f"{name} is on the meta device: move the model with to_empty, then start it"
            )
        if p.layout is not strided:
            raise ValueError(
                f"{name} is sparse ({p.layout}), and an audit reads dense parameters: for the "
                "audit, set it to nn.Parameter of its to_dense()"
            )
    if not any(p.requires_grad for p in parameters.values()):
        raise ValueError(
            "every parameter is frozen: set requires_grad on those that train, or audit the module "
            "that holds them"
        )


def no_number(value: Any) -> str:
    """Say what came in place of a loss, and what to return."""
    expected = "the loss must be a tensor with one number, got "
    if isinstance(value, Tensor):
        return f"{expected}{tuple(value.shape)}: take its mean"
    kind = type(value).__name__
    if isinstance(getattr(value, "loss", None), Tensor):
        return f"{expected}{kind}: return its .loss"
    if isinstance(value, dict):
        keys = ", ".join(map(repr, list(value)[:5]))
        return f"{expected}{kind} with {keys}: return the entry that is the loss"
    if isinstance(value, tuple | list):
        return f"{expected}{kind} of {len(value)}: return the entry that is the loss, such as [0]"
    if isinstance(value, int | float):
        return f"{expected}{kind}: return the tensor itself, without .item() or float()"
    return f"{expected}{kind}: return the loss that training would minimize"


def finite(value: Any) -> bool:
    """Whether all numbers in a tensor, or in a collection of tensors, are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return all(map(finite, value)) if isinstance(value, tuple | list) else True
