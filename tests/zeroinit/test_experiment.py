"""The lesson's own experiment: where the loss of a dead network goes, and what does work."""

import math

import pytest
import torch
from hypothesis import given
from oracles import plain_loop
from strategies import ZERO_AT_ZERO, Problem, problems
from torch import nn
from torch.distributions import Categorical
from torch.optim import SGD

from zeroinit import MLP, half_plane, train, zeros_


@pytest.mark.theorem("prior-limit")
@given(problems(ZERO_AT_ZERO))
def test_the_loss_of_a_dead_network_is_that_of_one_bias(problem: Problem) -> None:
    """Step by step: b ← b − η(softmax b − p), and the loss is the cross-entropy of p and that."""
    model, data = problem
    p = data.y.bincount().double() / len(data)
    b = torch.zeros_like(p)
    for loss in train(zeros_(model), data, lr=0.5, steps=40).losses:
        torch.testing.assert_close(loss, -(p @ b.log_softmax(0)))
        b = b - 0.5 * (b.softmax(0) - p)


@pytest.mark.theorem("prior-limit")
@given(problems(ZERO_AT_ZERO))
def test_the_loss_of_a_dead_network_falls_from_ln_c_to_the_entropy_and_stops(
    problem: Problem,
) -> None:
    """It starts at ln C, never rises, never falls below H(p), and reaches H(p)."""
    model, data = problem
    p = data.y.bincount().double() / len(data)
    losses = train(zeros_(model), data, lr=1.0, steps=400).losses
    assert losses[0].item() == pytest.approx(math.log(len(p)))
    assert (losses.diff() < 1e-12).all()
    assert (losses > Categorical(p).entropy() - 1e-12).all()
    torch.testing.assert_close(losses[-1], Categorical(p).entropy())


@pytest.mark.theorem("prior-limit")
def test_the_lessons_own_network_never_tells_two_points_apart() -> None:
    """fc1, ReLU, fc2, all zero, plain PyTorch: constant logits, one answer, the loss H(p)."""
    data = half_plane(128, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2)).double()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.0)
    losses = plain_loop(model, data, SGD(model.parameters(), lr=0.1), steps=500)
    logits = model(data.x)
    assert torch.equal(logits, logits[:1].expand(128, 2))
    assert losses[-1].item() == pytest.approx(data.entropy, abs=1e-9)


def test_logistic_regression_from_zero_learns_the_same_points() -> None:
    data = half_plane(128, dtype=torch.float64)
    model = zeros_(MLP([2, 2], dtype=torch.float64))
    run = train(model, data, lr=1.0, steps=300)
    assert run.losses[-1] < data.entropy / 4
    assert (model(data.x).argmax(1) == data.y).double().mean() > 0.95


def test_the_lessons_network_learns_the_same_points_from_pytorchs_start() -> None:
    data = half_plane(128, dtype=torch.float64)
    run = train(MLP([2, 16, 2], dtype=torch.float64), data, lr=1.0, steps=300)
    assert run.losses[-1] < data.entropy / 4
