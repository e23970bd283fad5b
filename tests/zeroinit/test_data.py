"""The points and their labels: what they are, and what is refused."""

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.distributions import Categorical

from zeroinit import Data, half_plane, moons, xor

LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=30).filter(lambda y: len(set(y)) > 1)


@given(LABELS)
def test_frequencies_and_entropy_are_those_of_the_labels(labels: list[int]) -> None:
    data = Data(torch.zeros(len(labels), 1, dtype=torch.float64), torch.tensor(labels))
    shares = [labels.count(c) / len(labels) for c in range(max(labels) + 1)]
    assert data.frequencies.tolist() == shares
    assert len(data) == len(labels)
    assert data.entropy == pytest.approx(
        float(Categorical(torch.tensor(shares)).entropy()), rel=1e-5
    )
    assert 0 < data.entropy <= math.log(len(set(labels))) + 1e-12


def test_the_half_plane_is_the_lessons() -> None:
    data = half_plane(128, seed=5)
    assert torch.equal(data.x, torch.randn(128, 2, generator=Generator().manual_seed(5)))
    assert data.y.tolist() == [int(x1 + x2 > 0) for x1, x2 in data.x]
    assert 0.5 < data.entropy < math.log(2)


def test_the_lessons_labels_are_not_exactly_balanced() -> None:
    """The book's default data let the all-zero network's loss move, if only a little."""
    assert half_plane().frequencies.tolist() != [0.5, 0.5]


@given(n=st.integers(40, 60), seed=st.integers(0, 10**6), noise=st.floats(0, 0.1))
def test_xor_labels_whether_the_signs_differ(n: int, seed: int, noise: float) -> None:
    data = xor(n, noise=noise, seed=seed, dtype=torch.float64)
    assert data.x.shape == (n, 2)
    assert data.y.tolist() == [int(x1 * x2 < 0) for x1, x2 in data.x]
    # Six deviations: two draws in a billion lie beyond.
    assert (data.x.abs() - 1).abs().max() < 0.6


@given(n=st.integers(2, 60), seed=st.integers(0, 10**6))
def test_moons_are_two_half_circles(n: int, seed: int) -> None:
    data = moons(n, noise=0, seed=seed, dtype=torch.float64)
    upper = data.y == 0
    assert len(data) - 1 <= 2 * int(upper.sum()) <= len(data) + 1
    for side, moon in ((1, data.x[upper]), (-1, data.x[~upper])):
        across, up = (side * moon + torch.tensor([0.5, 0.25])).T  # from its centre, the bow up
        assert torch.allclose(across**2 + up**2, torch.ones_like(up), atol=1e-6)
        assert (up > -1e-6).all()


@pytest.mark.parametrize(
    ("points", "told"),
    [(half_plane, {}), (xor, {"noise": 0.3}), (moons, {"noise": 0.12})],
)
def test_unasked_there_are_128_points_of_seed_0(
    points: Callable[..., Data], told: dict[str, float]
) -> None:
    data, same = points(), points(128, seed=0, **told)
    assert torch.equal(data.x, same.x)
    assert torch.equal(data.y, same.y)


@pytest.mark.parametrize(
    ("points", "x", "y"),
    [
        (half_plane, [[-1.605, 0.232], [2.240, 0.847], [1.201, -0.402]], [0, 1, 1]),
        (xor, [[-0.315, -1.256], [0.708, 0.902], [1.009, -1.143]], [0, 0, 1]),
        (moons, [[-0.730, 0.639], [0.612, -0.532], [0.418, -0.174]], [0, 1, 0]),
    ],
)
def test_the_points_of_a_seed_are_the_same_in_every_edition(
    points: Callable[..., Data], x: list[list[float]], y: list[int]
) -> None:
    data = points(3, seed=4)
    torch.testing.assert_close(data.x, torch.tensor(x), rtol=0, atol=6e-4)
    assert data.y.tolist() == y


@pytest.mark.parametrize("points", [xor, moons])
def test_noise_is_a_deviation(points: Callable[..., Data]) -> None:
    clean, noisy = (points(4000, noise=noise, dtype=torch.float64) for noise in (0, 0.3))
    assert torch.equal(clean.y, noisy.y)
    assert float((noisy.x - clean.x).std()) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("points", [half_plane, xor, moons])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_are_a_function_of_the_seed_alone(
    points: Callable[..., Data], dtype: torch.dtype
) -> None:
    state = torch.get_rng_state()
    one, same, other = points(64, seed=1, dtype=dtype), points(64, seed=1, dtype=dtype), points(64)
    assert torch.equal(one.x, same.x)
    assert torch.equal(one.y, same.y)
    assert one.x.dtype == dtype
    assert one.y.dtype == torch.int64
    assert not torch.equal(one.x, other.x.to(dtype))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("points", [half_plane, xor, moons])
def test_points_do_not_depend_on_the_dtype_they_are_wanted_in(
    points: Callable[..., Data],
) -> None:
    usual = points(8)
    torch.set_default_dtype(torch.float64)
    try:
        data = points(8)
    finally:
        torch.set_default_dtype(torch.float32)
    assert data.x.dtype == torch.float64
    assert torch.equal(data.y, usual.y)
    torch.testing.assert_close(data.x.float(), usual.x)


def test_no_line_parts_the_moons() -> None:
    """The best line of logistic regression, which is convex, leaves points on the wrong side."""
    data = moons(dtype=torch.float64)
    x = torch.cat([data.x, torch.ones(len(data), 1, dtype=torch.float64)], dim=1)
    w = torch.zeros(3, dtype=torch.float64)
    for _ in range(30):  # Newton's method
        p = torch.sigmoid(x @ w)
        hessian = (x.T * (p * (1 - p))) @ x
        w -= torch.linalg.solve(hessian, x.T @ (p - data.y))
    wrong = int((((x @ w) > 0).long() != data.y).sum())
    assert wrong > 5


def test_data_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        half_plane().x = torch.zeros(1, 1)  # type: ignore[misc]


def test_targets_of_a_regression_are_data_too() -> None:
    data = Data(torch.zeros(3, 2), torch.zeros(3, 1))
    assert len(data) == 3
    for ask in ("frequencies", "entropy"):
        with pytest.raises(TypeError, match=r"of class labels, and y holds torch.float32 targets"):
            getattr(data, ask)


X, Y = torch.zeros(2, 3), torch.tensor([0, 1])
BAD = torch.tensor([[0.0, torch.nan, 0.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X[:0], Y[:0], ValueError, r"one a row, .* with n >= 1, got \(0, 3\)"),
        (X[0], Y, ValueError, r"one a row, .* with n >= 1, got \(3,\)"),
        (X, torch.tensor([1, 1]), ValueError, r"one class only \(1\): give points of at least two"),
        (X, torch.tensor([0, -1]), ValueError, "labels count from 0, got -1"),
        (X, torch.tensor([0, 1, 1]), ValueError, r"equally long, got shapes \(2, 3\) and \(3,\)"),
        (X, torch.tensor(1), ValueError, r"equally long, got shapes \(2, 3\) and \(\)"),
        (X, Y[:, None], ValueError, r"labels must have shape \(n,\), got \(2, 1\)"),
        (BAD, Y, ValueError, "x holds NaN or infinity: drop those points, or mend them"),
        (1 / X, Y, ValueError, "x holds NaN or infinity: drop those points, or mend them"),
        (X, BAD, ValueError, "y holds NaN or infinity: drop those points, or mend them"),
        (X, X[:, 0], ValueError, r"shape \(n, fan_out\), got \(2,\): y\[:, None\]\?"),
        (X, Y.to("meta"), ValueError, r"x is on cpu and y on meta: move one with .to\(device\)"),
        (X.long(), Y, TypeError, r"floating point, got torch.int64: convert it with x.float\(\)"),
        (X, Y.int(), TypeError, r"int64 labels or torch.float32 targets as x is, got torch.int32"),
        (X, X.double(), TypeError, r"or torch.float32 targets as x is, got torch.float64"),
        ([[0.0]], Y, TypeError, r"x must be a tensor, got list: use torch.tensor\(x\)"),
        (X, [0, 1], TypeError, r"y must be a tensor, got list: use torch.tensor\(y\)"),
    ],
)
def test_what_are_no_data_is_refused(
    x: Tensor, y: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Data(x, y)


def test_points_that_cannot_be_drawn_are_refused() -> None:
    for points in (half_plane, xor, moons):
        with pytest.raises(
            ValueError, match="n must be at least 2, one point for each class, got 1"
        ):
            points(1)
    for noisy in (xor, moons):
        with pytest.raises(ValueError, match=r"noise must be at least 0, got -0.1"):
            noisy(8, noise=-0.1)
        with pytest.raises(ValueError, match="noise must be at least 0, got nan"):
            noisy(8, noise=math.nan)


def test_a_draw_of_one_class_is_refused() -> None:
    # For every other seed both points lie on one side.
    with pytest.raises(ValueError, match="y holds one class only"):
        assert all(half_plane(2, seed=seed) for seed in range(99))


# Edges


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_labels_of_the_half_plane_fit_the_points_in_every_precision(dtype: torch.dtype) -> None:
    data, same = half_plane(4096, dtype=dtype), half_plane(4096, dtype=torch.float32)
    assert torch.equal(data.x, same.x.to(dtype))
    assert torch.equal(data.y, (data.x[:, 0].double() > -data.x[:, 1].double()).long())
    if dtype.itemsize > 2:
        assert torch.equal(data.y, same.y)


@pytest.mark.parametrize("make", [half_plane, xor, moons])
@pytest.mark.parametrize("n", [True, 8.0, "8"])
def test_a_number_of_points_is_an_int(make: Callable[[Any], Data], n: object) -> None:
    with pytest.raises(TypeError, match="n must be an int, got"):
        make(n)
