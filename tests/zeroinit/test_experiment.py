"""The lesson's own experiment: where the loss of a dead network goes, and what does work."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import plain_loop
from strategies import ZERO_AT_ZERO, Problem, problems
from torch import nn
from torch.distributions import Categorical
from torch.optim import SGD

from zeroinit import MLP, Data, half_plane, linear_layers, train, zeros_


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
@given(problems(ZERO_AT_ZERO), st.floats(0.1, 3.99))
def test_below_the_rate_4_the_loss_falls_at_every_step(problem: Problem, lr: float) -> None:
    """By η(1 − η/4)‖q − p‖² at least, for any classes."""
    model, data = problem
    run = train(zeros_(model), data, lr=lr, steps=20, every=1)
    q = run.parameters[f"layers.{len(model.layers) - 1}.bias"].softmax(1)
    distance = (q - data.frequencies).square().sum(1)
    fall = run.losses[:-1] - run.losses[1:]
    assert (fall > lr * (1 - lr / 4) * distance[:-1] - 1e-15).all()


@pytest.mark.theorem("prior-limit")
@pytest.mark.parametrize(("lr", "arrives"), [(3.9, True), (4.1, False)])
def test_the_rate_4_is_sharp(lr: float, arrives: bool) -> None:
    """Of two classes with shares 0.51 and 0.49 the bias arrives below it, and swings above it."""
    data = Data(torch.zeros(100, 1).double(), (torch.arange(100) >= 51).long())
    run = train(zeros_(MLP([1, 2, 2], dtype=torch.float64)), data, lr=lr, steps=600)
    q = run.parameters["layers.1.bias"][-1].softmax(0)
    distance = (q - data.frequencies).abs().max()
    assert distance < 1e-6 if arrives else distance > 0.1


@pytest.mark.theorem("prior-limit")
@pytest.mark.parametrize("share", [(51, 100), (501, 1000)], ids=["51 of 100", "501 of 1000"])
@pytest.mark.parametrize("lr", [3.99, 4.01, 4.5, 6.0, 20.0])
def test_above_4_every_rate_has_shares_at_which_the_bias_never_arrives(
    share: tuple[int, int], lr: float
) -> None:
    """The plain recursion for a thousand steps, and the network beside it for the first twenty."""
    k, n = share
    p = torch.tensor([k / n, 1 - k / n], dtype=torch.float64)
    b, path = torch.zeros_like(p), []
    for _ in range(1000):
        path.append(b)
        b = b - lr * (b.softmax(0) - p)
    distance = (torch.stack(path).softmax(1) - p)[:, 0].abs()
    if lr < 4:
        assert distance[-1] < distance[0] / 100
    else:
        assert 2 * lr * p.prod() > 2  # at the rest a step turns the distance round and enlarges it
        assert distance.min() > 0.99 * distance[0]
        assert distance[-100:].min() > 0.03

    data = Data(torch.zeros(n, 1).double(), (torch.arange(n) >= k).long())
    run = train(zeros_(MLP([1, 2, 2], dtype=torch.float64)), data, lr=lr, steps=20)
    torch.testing.assert_close(run.parameters["layers.1.bias"], torch.stack(path[:21]))


@pytest.mark.theorem("prior-limit")
@given(problems(), st.integers(0, 10**6))
def test_no_constant_answer_has_a_lower_loss_than_the_entropy(problem: Problem, seed: int) -> None:
    """Whatever the network: with a zero last weight its answer is constant, and its loss ≥ H(p)."""
    model, data = problem
    last = linear_layers(model)[-1]
    nn.init.zeros_(last.weight)
    nn.init.normal_(last.bias, std=2, generator=torch.Generator().manual_seed(seed))
    entropy = Categorical(data.y.bincount().double() / len(data)).entropy()
    assert F.cross_entropy(model(data.x), data.y) >= entropy - 1e-12


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
