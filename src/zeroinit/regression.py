r"""Gradient descent on least squares, and the point it goes to, in closed form.

The loss is :math:`\mathcal L(w) = \lVert Xw - y\rVert^2 / n`, the mean squared error.
"""

import math

import torch
from torch import Tensor

from zeroinit._checks import check_count


def largest_rate(x: Tensor) -> float:
    r"""Return :math:`2/\lambda_{\max}`, the rate below which the descent converges.

    Parameters
    ----------
    x : Tensor, shape (n, d)
        The inputs, floating point and not all zero; :math:`\lambda_{\max}` is the largest
        eigenvalue of the Hessian :math:`2X^{\top}X/n`, computed in double precision.

    Returns
    -------
    float
        Infinity if the rate overflows, and 0 if it underflows.

    Raises
    ------
    ValueError
        If ``x`` is not a matrix, holds NaN or infinity, or is zero: then the loss does not depend
        on the weights.

    Examples
    --------
    >>> largest_rate(torch.eye(2))
    2.0
    """
    _check_matrix(x)
    scale = float(x.abs().max()) if x.numel() else 0.0
    if scale == 0:
        raise ValueError(
            "x is zero: the loss does not depend on the weights, and no rate is too large"
        )
    # The largest entry is now 1, so no square in the norm overflows or underflows.
    largest = float(torch.linalg.matrix_norm(x.double() / scale, 2))
    return len(x) / largest**2 / scale / scale


def descend(x: Tensor, y: Tensor, start: Tensor, *, lr: float, steps: int) -> Tensor:
    r"""Return the path of gradient descent on the mean squared error of a linear model.

    Parameters
    ----------
    x : Tensor, shape (n, d)
        The inputs.
    y : Tensor, shape (n,)
        The targets.
    start : Tensor, shape (d,)
        The weights before the first step.
    lr : float, above 0 and below :func:`largest_rate`
        Learning rate.
    steps : int, at least 1
        Number of steps.

    Returns
    -------
    Tensor, shape (steps + 1, d)
        The weights before each step, and after the last.

    Raises
    ------
    TypeError
        If the dtypes differ, or ``steps`` is not an int.
    ValueError
        If a shape or a device does not fit, a number is not finite, ``steps`` is below 1, or
        ``lr`` is not positive or would diverge.

    Examples
    --------
    >>> x, y = torch.eye(2), torch.tensor([1.0, 2.0])
    >>> torch.equal(descend(x, y, torch.zeros(2), lr=0.5, steps=60)[-1], y)
    True

    A rate that would diverge is refused:

    >>> descend(x, y, torch.zeros(2), lr=3.0, steps=60)
    Traceback (most recent call last):
        ...
    ValueError: lr must lie between 0 and largest_rate(x) = 2, got 3.0
    """
    _check(x, y, start)
    check_count("steps", steps)
    bound = largest_rate(x)
    if not (math.isfinite(lr) and 0 < lr < bound):
        raise ValueError(f"lr must lie between 0 and largest_rate(x) = {bound:.4g}, got {lr}")
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - lr * 2 / len(x) * x.T @ (x @ path[-1] - y))
    return torch.stack(path)


def limit(x: Tensor, y: Tensor, start: Tensor) -> Tensor:
    r"""Return where that path ends: :math:`X^+y + (I - X^+X)\,w_0`.

    From :math:`w_0 = 0` it is :math:`X^+y`, the least-squares solution of least norm
    (Theorem *Linear regression from zero*).

    Parameters
    ----------
    x, y, start
        As for :func:`descend`.

    Returns
    -------
    Tensor, shape (d,)
        The limit; :math:`X^+` is the Moore-Penrose inverse. All is computed in double precision,
        where a singular value counts as zero if it is below :math:`\max(n, d)\,2^{-52}` of the
        largest.

    Raises
    ------
    TypeError, ValueError
        As :func:`descend`.

    Examples
    --------
    One equation, two unknowns: from 0 the path ends at the solution of least norm, from elsewhere
    at the solution nearest to the start:

    >>> x, y = torch.tensor([[1.0, 1.0]]), torch.tensor([2.0])
    >>> torch.allclose(limit(x, y, torch.zeros(2)), torch.tensor([1.0, 1.0]))
    True
    >>> torch.allclose(limit(x, y, torch.tensor([2.0, 0.0])), torch.tensor([2.0, 0.0]))
    True
    """
    _check(x, y, start)
    exact, w = x.double(), start.double()
    end: Tensor = w + torch.linalg.pinv(exact) @ (y.double() - exact @ w)
    return end.to(start.dtype)


def _check(x: Tensor, y: Tensor, start: Tensor) -> None:
    _check_matrix(x)
    if not x.dtype == y.dtype == start.dtype:
        raise TypeError(
            f"x, y and start must share a dtype, got {x.dtype}, {y.dtype}, {start.dtype}: "
            "convert them with .to(dtype)"
        )
    if not x.device == y.device == start.device:
        raise ValueError(
            f"x, y and start must share a device, got {x.device}, {y.device}, {start.device}: "
            "move them with .to(device)"
        )
    if y.shape != x.shape[:1] or start.shape != x.shape[1:]:
        raise ValueError(
            f"x is {tuple(x.shape)}, so y must be {tuple(x.shape[:1])} and start "
            f"{tuple(x.shape[1:])}, "
            f"got {tuple(y.shape)} and {tuple(start.shape)}"
        )
    for name, value in (("y", y), ("start", start)):
        _check_finite(name, value)


def _check_matrix(x: Tensor) -> None:
    if x.ndim != 2 or len(x) == 0 or not x.is_floating_point():
        raise ValueError(
            "x must be a floating point matrix (n, d) with n >= 1, "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )
    _check_finite("x", x)


def _check_finite(name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinity: give finite numbers only")
