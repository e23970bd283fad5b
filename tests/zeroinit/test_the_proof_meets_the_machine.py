"""Exact arithmetic, rounding that is even, and zero that is never rounded."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import OPTIMIZERS
from strategies import ZERO_AT_ZERO
from torch import Tensor
from torch.nn.functional import leaky_relu
from torch.optim import Optimizer

from zeroinit import MLP, half_plane, train, zeros_
from zeroinit.exact import descend, gradients

FRACTIONS = st.fractions(-2, 2, max_denominator=9)
SLOPE, RATE = Fraction(1, 10), Fraction(1, 7)

Unit = list[Fraction]
Points = list[tuple[Unit, Fraction]]


def points(fan_in: int = 2) -> st.SearchStrategy[Points]:
    """Draw points and their targets."""
    row = st.lists(FRACTIONS, min_size=fan_in, max_size=fan_in)
    return st.lists(st.tuples(row, FRACTIONS), min_size=1, max_size=4)


def unit(fan_in: int = 2) -> st.SearchStrategy[Unit]:
    """Draw incoming weights, a bias and an outgoing weight."""
    return st.lists(FRACTIONS, min_size=fan_in + 2, max_size=fan_in + 2)


def floats(rows: Sequence[Sequence[Fraction]]) -> list[list[float]]:
    """Round every number."""
    return [[float(number) for number in row] for row in rows]


@pytest.mark.theorem("exact-arithmetic")
@given(unit=unit(), other=unit(), width=st.integers(2, 5), data=points(), offset=FRACTIONS)
def test_in_fractions_twins_are_equal_after_every_step(
    unit: Unit, other: Unit, width: int, data: Points, offset: Fraction
) -> None:
    """Equal, not nearly equal, and beside a unit that differs."""
    x, y = zip(*data, strict=True)
    path = descend([*[unit] * width, other], offset, x, y, slope=SLOPE, rate=RATE, steps=3)
    for units, _ in path:
        assert all(twin == units[0] for twin in units[:width])


@pytest.mark.theorem("exact-arithmetic")
@given(unit=unit(), width=st.integers(2, 9), data=points())
def test_even_rounding_keeps_twins_equal_to_the_last_bit(
    unit: Unit, width: int, data: Points
) -> None:
    """Plain Python treats every unit by the same operations in the same order, and rounds."""
    x, y = zip(*data, strict=True)
    path = descend(
        floats([unit]) * width, 0.1, floats(x), floats([y])[0], slope=0.1, rate=0.01, steps=50
    )
    for units, _ in path:
        assert all(twin == units[0] for twin in units)


@pytest.mark.theorem("zero-never-rounds")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_all_zero_network_stays_zero_to_the_last_bit(
    optimizer: type[Optimizer], dtype: torch.dtype
) -> None:
    """Whatever the activation with σ(0) = 0, and at widths that fill no register."""
    for activation in ZERO_AT_ZERO:
        model = zeros_(MLP([2, 7, 5, 2], activation, dtype=dtype))
        train(model, half_plane(37, dtype=dtype), lr=0.1, steps=10, optimizer=optimizer)
        *others, last = model.parameters()
        assert last.any()
        for p in others:
            assert torch.equal(p, torch.zeros_like(p))


@given(units=st.lists(unit(), min_size=1, max_size=3), data=points(), offset=FRACTIONS)
def test_the_gradient_in_fractions_is_that_of_autograd(
    units: list[Unit], data: Points, offset: Fraction
) -> None:
    x, y = zip(*data, strict=True)
    rows = torch.tensor(floats(units), dtype=torch.float64, requires_grad=True)
    c = torch.tensor(float(offset), dtype=torch.float64, requires_grad=True)
    inputs = torch.tensor(floats(x), dtype=torch.float64)
    exact = [[sum(w * h for w, h in zip(u, [*p, 1], strict=False)) for u in units] for p in x]
    # On the kink itself, a rounded zero may fall on either side of it: there z is set by hand.
    z = inputs @ rows[:, :2].T + rows[:, 2]
    z = z - z.detach() + torch.tensor(floats(exact), dtype=torch.float64)
    output = leaky_relu(z, float(SLOPE)) @ rows[:, 3] + c
    targets = torch.tensor(floats([y])[0], dtype=torch.float64)
    ((output - targets) ** 2 / 2).mean().backward()

    unit_slopes, offset_slope = gradients(units, offset, x, y, SLOPE)
    assert isinstance(rows.grad, Tensor)
    assert isinstance(c.grad, Tensor)
    found = torch.tensor(floats(unit_slopes), dtype=torch.float64)
    torch.testing.assert_close(found, rows.grad)
    assert float(offset_slope) == pytest.approx(c.grad.item())


@given(unit=unit(), data=points(), offset=FRACTIONS)
def test_a_step_goes_down_the_gradient(unit: Unit, data: Points, offset: Fraction) -> None:
    x, y = zip(*data, strict=True)
    path = descend([unit], offset, x, y, slope=SLOPE, rate=RATE, steps=2)
    for (units, c), (moved, d) in pairwise(path):
        slopes, slope = gradients(units, c, x, y, SLOPE)
        assert moved[0] == [p - RATE * s for p, s in zip(units[0], slopes[0], strict=True)]
        assert d == c - RATE * slope


ONE, HALF = Fraction(1), Fraction(1, 2)
GOOD: dict[str, Any] = {
    "units": [[ONE, HALF, ONE]],
    "offset": ONE,
    "x": [[ONE]],
    "y": [HALF],
    "slope": SLOPE,
    "rate": RATE,
    "steps": 1,
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rate": 0.1}, TypeError, "all as float, got Fraction, float"),
        ({"x": [[1]]}, TypeError, "got Fraction, int"),
        ({"units": []}, ValueError, "a unit and a point at least"),
        ({"x": [], "y": []}, ValueError, "a unit and a point at least"),
        ({"y": [ONE, ONE]}, ValueError, "got 1 points and 2 targets"),
        ({"units": [[ONE, ONE]]}, ValueError, r"got lengths \[2, 3\]"),
        ({"rate": -ONE}, ValueError, "rate must be above 0, got -1"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    assert len(descend(**GOOD)) == 2
    with pytest.raises(error, match=message):
        descend(**GOOD | change)
