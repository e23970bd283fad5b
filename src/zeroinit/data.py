"""Small labelled point sets, generated: the lesson's half-plane, XOR, and two moons.

A data set is a pair (x, y). The entropy of y is the least loss of a network whose output does not
depend on x.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zeroinit._checks import check_count


@dataclass(frozen=True, eq=False)
class Data:
    """Points and their labels, checked when the object is made.

    Parameters
    ----------
    x : Tensor, shape (n, fan_in), floating point
        The points, one a row; n is at least 1.
    y : Tensor, shape (n,), int64, or shape (n, fan_out), the dtype of ``x``
        Class labels from 0, of at least two classes; or targets of a regression.

    Raises
    ------
    TypeError
        If either is not a tensor, ``x`` is not floating point, or ``y`` is neither int64 nor of
        the dtype of ``x``.
    ValueError
        If there are no rows, the lengths or devices differ, a shape is wrong, a number is not
        finite, a label is negative, or all labels are the same.

    Examples
    --------
    >>> data = Data(torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 1, 1]))
    >>> data.frequencies
    tensor([0.3333, 0.6667])

    Labels of a single class are refused:

    >>> Data(torch.zeros(2, 2), torch.tensor([1, 1]))
    Traceback (most recent call last):
        ...
    ValueError: y holds one class only (1): give points of at least two classes
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        for name, value in (("x", x), ("y", y)):
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{name} must be a tensor, got {type(value).__name__}: use torch.tensor({name})"
                )
        if not x.is_floating_point():
            raise TypeError(f"x must be floating point, got {x.dtype}: convert it with x.float()")
        if x.ndim != 2 or len(x) == 0:
            raise ValueError(
                f"x must be points, one a row, (n, fan_in) with n >= 1, got {tuple(x.shape)}"
            )
        if y.shape[:1] != x.shape[:1]:
            raise ValueError(
                "x and y must be equally long, "
                f"got shapes {tuple(x.shape)} and {tuple(y.shape)}: drop what has no partner"
            )
        if x.device != y.device:
            raise ValueError(f"x is on {x.device} and y on {y.device}: move one with .to(device)")
        if not x.isfinite().all():
            raise ValueError("x holds NaN or infinity: drop those points, or mend them")
        if y.dtype == torch.int64:
            self._check_labels()
        elif y.dtype != x.dtype:
            raise TypeError(f"y must be int64 labels or {x.dtype} targets as x is, got {y.dtype}")
        elif y.ndim != 2:
            raise ValueError(
                f"targets must have shape (n, fan_out), got {tuple(y.shape)}: y[:, None]?"
            )
        elif not y.isfinite().all():
            raise ValueError("y holds NaN or infinity: drop those points, or mend them")

    def _check_labels(self) -> None:
        if self.y.ndim != 1:
            raise ValueError(f"labels must have shape (n,), got {tuple(self.y.shape)}")
        if self.y.min() < 0:
            raise ValueError(f"labels count from 0, got {int(self.y.min())}")
        if self.y.min() == self.y.max():
            raise ValueError(
                f"y holds one class only ({int(self.y[0])}): give points of at least two classes"
            )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def frequencies(self) -> Tensor:
        """Share of each class, shape (classes,), in the dtype of ``x``; for labels only."""
        if self.y.dtype != torch.int64:
            raise TypeError(f"frequencies are of class labels, and y holds {self.y.dtype} targets")
        return torch.bincount(self.y).to(self.x.dtype) / len(self)

    @property
    def entropy(self) -> float:
        r"""Entropy of the labels in nats, :math:`H(p) = -\sum_c p_c \ln p_c`.

        The least mean cross-entropy of a network whose output does not depend on x (Gibbs'
        inequality), from 0 to ln C.

        Examples
        --------
        Balanced labels of two classes cost ln 2:

        >>> Data(torch.zeros(4, 1), torch.tensor([0, 1, 0, 1])).entropy
        0.6931471805599453
        """
        return float(torch.special.entr(self.frequencies.double()).sum())


def half_plane(n: int = 128, *, seed: int = 0, dtype: torch.dtype | None = None) -> Data:
    r"""Return the lesson's data: normal points of the plane, labelled by :math:`x_1 + x_2 > 0`.

    Parameters
    ----------
    n : int, at least 2
        Number of points.
    seed : int, default 0
        Seed of the points.
    dtype : torch.dtype, optional
        Of the points, which are drawn in single precision and are the same in it and in double; in
        half precision they are rounded first and labelled then. PyTorch's default if not given.

    Raises
    ------
    TypeError
        If ``n`` is not an int.
    ValueError
        If ``n`` is below 2, or so small that the draw holds one class only.

    Examples
    --------
    The classes are nearly, not exactly, balanced; whether they are decides whether the all-zero
    network's loss moves at all:

    >>> half_plane().frequencies
    tensor([0.4453, 0.5547])
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(_count(n), 2, generator=generator, dtype=torch.float32)
    x = x.to(dtype or torch.get_default_dtype())
    return Data(x, (x.double().sum(1) > 0).long())


def xor(
    n: int = 128, *, noise: float = 0.3, seed: int = 0, dtype: torch.dtype | None = None
) -> Data:
    r"""Return points about the corners (±1, ±1), labelled by whether the corner's signs differ.

    No single unit can tell the classes apart; two can.

    Parameters
    ----------
    n : int, at least 2
        Number of points.
    noise : float, at least 0, default 0.3
        Standard deviation of the points about their corner.
    seed : int, default 0
        Seed of the corners and the noise.
    dtype : torch.dtype, optional
        Of the points, which are drawn in single precision and are the same in it and in double; in
        half precision they are rounded. PyTorch's default if not given.

    Raises
    ------
    TypeError
        If ``n`` is not an int.
    ValueError
        If ``n`` is below 2, ``noise`` is negative, or the draw holds one class only.

    Examples
    --------
    Without noise the points are the corners themselves:

    >>> data = xor(16, noise=0)
    >>> bool((data.x.abs() == 1).all()), bool(((data.x.prod(1) < 0) == data.y.bool()).all())
    (True, True)
    """
    _check_noise(noise)
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 2, (_count(n), 2), generator=generator)
    shifts = torch.randn(n, 2, generator=generator, dtype=torch.float32)
    x = 2 * corners - 1 + noise * shifts
    return Data(x.to(dtype or torch.get_default_dtype()), corners[:, 0] ^ corners[:, 1])


def moons(
    n: int = 128, *, noise: float = 0.12, seed: int = 0, dtype: torch.dtype | None = None
) -> Data:
    r"""Return points about two half circles that reach into each other, labelled by which.

    No line can tell the classes apart. Points of the classes alternate, so they are balanced if
    ``n`` is even.

    Parameters
    ----------
    n : int, at least 2
        Number of points.
    noise : float, at least 0, default 0.12
        Standard deviation of the points about their half circle, whose radius is 1.
    seed : int, default 0
        Seed of the angles and the noise.
    dtype : torch.dtype, optional
        Of the points, which are drawn in single precision and are the same in it and in double; in
        half precision they are rounded. PyTorch's default if not given.

    Raises
    ------
    TypeError
        If ``n`` is not an int.
    ValueError
        If ``n`` is below 2, or ``noise`` is negative.

    Examples
    --------
    Without noise each point is at distance 1 from the centre of its half circle:

    >>> data = moons(64, noise=0)
    >>> centres = torch.tensor([[-0.5, -0.25], [0.5, 0.25]])[data.y]
    >>> torch.allclose((data.x - centres).norm(dim=1), torch.ones(64))
    True

    Balanced classes leave the all-zero network nothing to learn:

    >>> data.frequencies
    tensor([0.5000, 0.5000])
    """
    _check_noise(noise)
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(_count(n)) % 2
    angles = math.pi * torch.rand(n, generator=generator, dtype=torch.float32)
    side = 1 - 2 * y  # the lower moon is the upper one, turned by half a circle about the origin
    arc = torch.stack([angles.cos() - 0.5, angles.sin() - 0.25], dim=1) * side[:, None]
    shifts = torch.randn(n, 2, generator=generator, dtype=torch.float32)
    return Data((arc + noise * shifts).to(dtype or torch.get_default_dtype()), y)


def _check_noise(noise: float) -> None:
    if not noise >= 0:
        raise ValueError(f"noise must be at least 0, got {noise}")


def _count(n: int) -> int:
    return check_count("n", n, 2, ", one point for each class")
