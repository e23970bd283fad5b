"""Gradient descent in exact arithmetic: leaky ReLU is a rational function, so fractions suffice.

A unit is a row (w₁, …, w_d, b, v); the network is f(x) = c + Σᵢ vᵢ σ(wᵢ·x + bᵢ), and the loss is
the mean of (f(x) − y)²/2. Every number is a Fraction; given floats, the same code rounds.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

# A number that is exact, or one that is rounded.
N = TypeVar("N", Fraction, float)


def gradients(
    units: Sequence[Sequence[N]], offset: N, x: Sequence[Sequence[N]], y: Sequence[N], slope: N
) -> tuple[list[list[N]], N]:
    r"""Return the gradient of the mean of :math:`(f(x) - y)^2/2`, by the formula.

    Parameters
    ----------
    units : sequence of rows of d + 2 numbers
        Incoming weights, bias and outgoing weight of every unit.
    offset : number
        The output bias c.
    x : sequence of rows of d numbers
        The points.
    y : sequence of numbers
        Their targets.
    slope : number
        That of the leaky ReLU where its argument is not above 0.

    Returns
    -------
    units, offset
        The gradient, in the form of the parameters.

    Raises
    ------
    TypeError
        If the numbers are not all ``Fraction`` or all ``float``.
    ValueError
        If there is no unit or no point, or the lengths do not fit.

    Examples
    --------
    >>> third = Fraction(1, 3)
    >>> gradients([[third, third, third]], third, [[third]], [third], third)
    ([[Fraction(4, 243), Fraction(4, 81), Fraction(16, 243)]], Fraction(4, 27))
    """
    _check(units, offset, x, y, slope)
    zero = 0 * offset
    unit_gradients, offset_gradient = [[zero for _ in unit] for unit in units], zero
    for point, target in zip(x, y, strict=True):
        inputs = list(point) + [zero + 1]  # noqa: RUF005 - the bias is a weight from 1
        z = [sum((w * h for w, h in zip(u[:-1], inputs, strict=True)), zero) for u in units]
        gain = [zero + 1 if value > 0 else slope for value in z]
        output = sum(
            (u[-1] * g * value for u, g, value in zip(units, gain, z, strict=True)), offset
        )
        delta = (output - target) / len(y)
        offset_gradient += delta
        for i, unit in enumerate(units):
            back = delta * unit[-1] * gain[i]
            terms = [back * h for h in inputs] + [delta * gain[i] * z[i]]
            unit_gradients[i] = [s + t for s, t in zip(unit_gradients[i], terms, strict=True)]
    return unit_gradients, offset_gradient


def descend(
    units: Sequence[Sequence[N]],
    offset: N,
    x: Sequence[Sequence[N]],
    y: Sequence[N],
    *,
    slope: N,
    rate: N,
    steps: int,
) -> list[tuple[list[list[N]], N]]:
    """Return units and offset before each step of gradient descent, and after the last.

    Fractions stay exact, and grow: each step about triples their digits.

    Parameters
    ----------
    units, offset, x, y, slope
        As for :func:`gradients`.
    rate : number, above 0
        The learning rate.
    steps : int, at least 1
        Number of updates.

    Raises
    ------
    TypeError, ValueError
        As :func:`gradients`, and if ``rate`` is not above 0 or ``steps`` is below 1.

    Examples
    --------
    Twins stay equal, as fractions:

    >>> half, one = Fraction(1, 2), Fraction(1)
    >>> path = descend([[half, half, half]] * 3, half, [[one], [-one]], [one, half],
    ...                slope=Fraction(1, 10), rate=half, steps=4)
    >>> [unit == units[0] for units, _ in path for unit in units].count(False)
    0

    A float among the fractions would round them all:

    >>> descend([[half, half, half]] * 3, half, [[one], [-one]], [one, half],
    ...         slope=0.1, rate=half, steps=4)
    Traceback (most recent call last):
        ...
    TypeError: give all numbers as Fraction or all as float, got Fraction, float
    """
    _check(units, offset, x, y, slope, rate)
    if not rate > 0:
        raise ValueError(f"rate must be above 0, got {rate}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    path = [([list(unit) for unit in units], offset)]
    for _ in range(steps):
        now, offset = path[-1]
        unit_gradients, offset_gradient = gradients(now, offset, x, y, slope)
        moved = [
            [p - rate * g for p, g in zip(unit, unit_gradient, strict=True)]
            for unit, unit_gradient in zip(now, unit_gradients, strict=True)
        ]
        path.append((moved, offset - rate * offset_gradient))
    return path


def _check(
    units: Sequence[Sequence[N]], offset: N, x: Sequence[Sequence[N]], y: Sequence[N], *more: N
) -> None:
    numbers = [n for row in (*units, *x, y, more) for n in row] + [offset]
    kinds = sorted({type(number).__name__ for number in numbers})
    if kinds not in (["Fraction"], ["float"]):
        raise TypeError(f"give all numbers as Fraction or all as float, got {', '.join(kinds)}")
    if not units or not x:
        raise ValueError("there must be a unit and a point at least")
    if len(x) != len(y):
        raise ValueError(f"x and y must be equally long, got {len(x)} points and {len(y)} targets")
    lengths = sorted({len(unit) for unit in units} | {len(point) + 2 for point in x})
    if len(lengths) > 1:
        raise ValueError(
            f"a unit holds one number for each coordinate, a bias and an outgoing weight, "
            f"so all units len(point) + 2; got lengths {lengths}"
        )
