"""Checks of arguments that several modules share; each error names what came, and the remedy."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return ``known[name]``; the error for an unknown name lists the known ones.

    Examples
    --------
    >>> lookup("start", "zero", {"zeros": 0, "tied": 1})
    Traceback (most recent call last):
        ...
    ValueError: unknown start 'zero': choose one of zeros, tied
    """
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}: choose one of {', '.join(known)}")
    return known[name]


def check_count(name: str, value: int, least: int = 1, why: str = "") -> int:
    """Return a count, or refuse what is none.

    Raises
    ------
    TypeError
        If it is not an int; ``True`` is none.
    ValueError
        If it is below the least; ``why`` says in the message what for.

    Examples
    --------
    >>> check_count("steps", True)
    Traceback (most recent call last):
        ...
    TypeError: steps must be an int, got True
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}{why}, got {value}")
    return value


def check_rate(lr: float) -> None:
    """Refuse a learning rate that is not a positive finite number.

    Raises
    ------
    TypeError
        If ``lr`` is not a number.
    ValueError
        If it is not positive and finite.

    Examples
    --------
    >>> check_rate(-0.1)
    Traceback (most recent call last):
        ...
    ValueError: lr must be a positive finite number, got -0.1: 0.1 is a good first try
    """
    if not isinstance(lr, Real) or isinstance(lr, bool):
        raise TypeError(f"lr must be a number, got {lr!r}: 0.1 is a good first try")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr must be a positive finite number, got {lr}: 0.1 is a good first try")


def check_not_negative(name: str, value: float) -> None:
    """Refuse a number that is negative or not finite.

    Raises
    ------
    ValueError
        If it is.

    Examples
    --------
    >>> check_not_negative("std", -1)
    Traceback (most recent call last):
        ...
    ValueError: std must be a finite number of at least 0, got -1
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")


def check_fit(model: nn.Module, x: Tensor, y: Tensor | None = None) -> None:
    """Refuse points, and labels or targets, that ``model`` cannot take.

    Parameters
    ----------
    model : nn.Module
        A network; the shapes are checked if it is an :class:`MLP`.
    x : Tensor, shape (n, fan_in)
        The points.
    y : Tensor, shape (n,), int64, or shape (n, fan_out), optional
        Class labels, or targets of a regression.

    Raises
    ------
    TypeError
        If the dtype of ``x`` is not that of the parameters.
    ValueError
        If the devices differ, a shape does not fit, or a label has no output.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> check_fit(MLP([2, 16, 2]), torch.zeros(128, 3))
    Traceback (most recent call last):
        ...
    ValueError: x has 3 columns and the network takes 2: make its first width 3
    """
    from zeroinit.networks import MLP  # here, because that module imports this one

    for name, p in model.named_parameters():
        if p.dtype != x.dtype:
            raise TypeError(f"{name} is {p.dtype} and x is {x.dtype}: convert one with .to(dtype)")
        if p.device != x.device:
            raise ValueError(
                f"{name} is on {p.device} and x on {x.device}: move one with .to(device)"
            )
    if not isinstance(model, MLP):
        return
    first, *_, last = model.widths
    if x.ndim != 2:
        raise ValueError(
            f"x must be points, one a row, (n, {first}), got shape {tuple(x.shape)}: reshape it"
        )
    if x.shape[1] != first:
        raise ValueError(
            f"x has {x.shape[-1]} columns and the network takes {first}: "
            f"make its first width {x.shape[-1]}"
        )
    if y is None:
        return
    needed = int(y.max()) + 1 if y.dtype == torch.int64 else y.shape[1]
    if y.dtype == torch.int64 and needed > last:
        raise ValueError(
            f"labels go up to {needed - 1} and the network has {last} outputs: "
            f"make its last width {needed}"
        )
    if y.dtype != torch.int64 and needed != last:
        raise ValueError(
            f"y has {needed} columns and the network gives {last}: make its last width {needed}"
        )
