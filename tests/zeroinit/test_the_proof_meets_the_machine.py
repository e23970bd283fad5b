"""Exact arithmetic, rounding that is even, and zero that is never rounded."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import OPTIMIZERS, MatrixRule, State, shampoo, soap
from strategies import ZERO_AT_ZERO
from torch import Tensor
from torch.nn.functional import leaky_relu
from torch.optim import SGD, Adam, Muon, Optimizer

from zeroinit import MLP, gap, half_plane, train, zeros_
from zeroinit.exact import descend, gradients

FRACTIONS = st.fractions(-2, 2, max_denominator=9)
SLOPE, RATE = Fraction(1, 10), Fraction(1, 7)
ONE, HALF = Fraction(1), Fraction(1, 2)

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


@pytest.mark.theorem("exact-arithmetic")
@given(unit=unit(), width=st.integers(2, 5), data=points(), draw=st.randoms(use_true_random=False))
def test_a_sum_over_the_units_may_be_rounded_in_any_way(
    unit: Unit, width: int, data: Points, draw: Random
) -> None:
    """All twins share it: at each step and point it is off by an error that is the same for all."""
    x, y = zip(*data, strict=True)
    twins, offset = floats([unit]) * width, 0.1
    for _ in range(20):
        off = [target + draw.uniform(-1e-3, 1e-3) for target in floats([y])[0]]
        (_, (twins, offset)) = descend(twins, offset, floats(x), off, slope=0.1, rate=0.01, steps=1)
    assert all(twin == twins[0] for twin in twins)


@pytest.mark.theorem("exact-arithmetic")
def test_another_order_of_operations_for_one_twin_parts_it_if_the_arithmetic_rounds() -> None:
    """One twin adds up its gradient from the last point to the first; in fractions it may."""
    x, y = [[Fraction(n, 10)] for n in (1, 2, 3)], [Fraction(0)] * 3
    unit = [Fraction(1), Fraction(0), Fraction(1)]
    exact, _ = gradients([unit], Fraction(0), x, y, SLOPE)
    assert exact == gradients([unit], Fraction(0), x[::-1], y, SLOPE)[0]
    rounded, _ = gradients(floats([unit]), 0.0, floats(x), floats([y])[0], 0.1)
    other, _ = gradients(floats([unit]), 0.0, floats(x[::-1]), floats([y])[0], 0.1)
    assert rounded != other
    assert rounded[0] == pytest.approx(other[0], rel=1e-15)


@pytest.mark.parametrize("size", [0, 1])
@given(seed=st.integers(0, 10**6))
def test_which_rules_amplify_a_difference_between_twins(size: int, seed: int) -> None:
    """Shampoo by δ^(-1/2) for any gradient; Adam by 1/ε only where it is zero."""
    draw = torch.Generator().manual_seed(seed)
    row = size * (1 + torch.rand(1, 3, generator=draw, dtype=torch.float64))
    noise = 1e-12 * torch.randn(5, 3, generator=draw, dtype=torch.float64)
    slope = row + noise - noise.mean(0)

    found = shampoo(slope, {}, damping=1e-8)
    u, s, vt = torch.linalg.svd(slope, full_matrices=False)
    torch.testing.assert_close(found, u * (s / (s**2 + 1e-8).sqrt()) @ vt, rtol=0, atol=1e-9)
    # With equal rows one direction on the right has been seen, which leaves less of the noise.
    unseen = noise if size == 0 else noise - noise @ row.T @ row / row.norm() ** 2
    assert gap(found) == pytest.approx(gap(unseen - unseen.mean(0)) / 1e-4, rel=0.2)

    p = torch.nn.Parameter(torch.zeros_like(slope))
    p.grad = slope
    Adam([p], lr=1).step()
    if size == 0:
        assert gap(p.detach()) == pytest.approx(gap(slope) / 1e-8, rel=1e-3)
    else:
        assert gap(p.detach()) < 1e-3 * gap(slope) + 1e-15


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


@pytest.mark.theorem("zero-never-rounds")
@pytest.mark.parametrize("rule", [shampoo, soap])
def test_rules_for_whole_matrices_keep_zero_too(rule: Callable[[Tensor, State], Tensor]) -> None:
    """A root of nothing but damping, times zero, is zero; an eigenbasis turns zero into zero."""
    model = zeros_(MLP([2, 7, 5, 2], "tanh", dtype=torch.float64))
    optimizer = partial(MatrixRule, rule=rule)
    train(model, half_plane(37, dtype=torch.float64), lr=0.1, steps=10, optimizer=optimizer)
    *others, last = model.parameters()
    assert last.any()
    assert not any(p.any() for p in others)


@pytest.mark.theorem("zero-never-rounds")
def test_muon_keeps_zero_too() -> None:
    """Without biases nothing moves at all."""
    model = zeros_(MLP([2, 7, 5, 2], "tanh", bias=False))
    train(model, half_plane(37), lr=0.1, steps=3, optimizer=Muon)
    assert not any(p.any() for p in model.parameters())


@pytest.mark.theorem("zero-never-rounds")
def test_without_a_finite_slope_at_zero_a_parameter_becomes_nan() -> None:
    """σ(z) = sign(z)·√|z| has σ(0) = 0, but there σ′ is infinite: zero times that is no number."""
    data = half_plane()
    first, last = (zeros_(torch.nn.Linear(2, 2)) for _ in range(2))
    z = first(data.x)
    torch.nn.functional.cross_entropy(last(z.sign() * z.abs().sqrt()), data.y).backward()
    assert isinstance(first.weight.grad, Tensor)
    assert first.weight.grad.isnan().all()


@pytest.mark.theorem("zero-never-rounds")
def test_an_optimizer_that_does_not_answer_zero_with_zero_moves_zero() -> None:
    """Momentum that starts at 10⁻⁶ moves, and Adam's ε in half precision is 0, its step 0/0."""
    p = torch.nn.Parameter(torch.zeros(1))
    p.grad = torch.zeros_like(p)
    momentum = SGD([p], 0.1, momentum=0.9)
    momentum.state[p]["momentum_buffer"] = torch.full_like(p, 1e-6)
    momentum.step()
    assert p.item() < 0

    half = torch.nn.Parameter(torch.zeros(1, dtype=torch.half))
    half.grad = torch.zeros_like(half)
    Adam([half]).step()
    assert half.isnan()


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


def test_on_the_kink_the_slope_is_that_of_the_negative_side() -> None:
    """As in PyTorch: at z = 0 the gradient of leaky ReLU is its slope below 0."""
    z = torch.zeros(1, requires_grad=True)
    leaky_relu(z, 0.5).backward()
    # One unit with z = 0 and v = 1, and f(x) − y = 1: the gradient of its bias is the slope.
    slopes, _ = gradients([[ONE, -ONE, ONE]], ONE, [[ONE]], [Fraction(0)], HALF)
    assert z.grad is not None
    assert slopes[0] == [HALF, HALF, 0]
    assert float(slopes[0][1]) == z.grad


@given(unit=unit(), data=points(), offset=FRACTIONS)
def test_a_step_goes_down_the_gradient(unit: Unit, data: Points, offset: Fraction) -> None:
    x, y = zip(*data, strict=True)
    path = descend([unit], offset, x, y, slope=SLOPE, rate=RATE, steps=2)
    for (units, c), (moved, d) in pairwise(path):
        slopes, slope = gradients(units, c, x, y, SLOPE)
        assert moved[0] == [p - RATE * s for p, s in zip(units[0], slopes[0], strict=True)]
        assert d == c - RATE * slope


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
        ({"rate": 0 * ONE}, ValueError, "rate must be above 0, got 0"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    assert len(descend(**GOOD)) == 2
    with pytest.raises(error, match=message):
        descend(**GOOD | change)


def test_a_slope_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="all as float, got Fraction, float"):
        gradients([[ONE, HALF, ONE]], ONE, [[ONE]], [HALF], 0.1)  # type: ignore[type-var]
