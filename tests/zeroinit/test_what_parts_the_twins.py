"""What parts the twins, what does not, and where dropout wakes nothing."""

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_twins, autograd
from strategies import NONZERO_AT_ZERO, ZERO_AT_ZERO, Problem, problems
from torch import Generator, Tensor, nn

from zeroinit import (
    MLP,
    Data,
    distinct_units,
    gap,
    half_plane,
    linear_layers,
    tied_,
    train,
    units,
    zeros_,
)

SEEDS = st.integers(0, 10**6)
PIECES = {"incoming": "layers.0.weight", "bias": "layers.0.bias", "outgoing": "layers.1.weight"}


def dropout(model: MLP, x: Tensor, draw: Generator, rate: float = 0.5) -> Tensor:
    """Return the logits with dropout after every hidden layer."""
    *hidden, last = linear_layers(model)
    for layer in hidden:
        h = model.sigma.function(layer(x))
        keep = torch.rand(h.shape, generator=draw, dtype=h.dtype) >= rate
        x = h * keep / (1 - rate)
    return cast(Tensor, last(x))


def descend(model: MLP, loss: Tensor, lr: float = 0.1) -> None:
    """Take one step of gradient descent."""
    parameters = [*model.parameters()]
    for p, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.data -= lr * slope


@pytest.mark.theorem("what-parts")
@given(problem=problems(start="tied"), seed=SEEDS)
def test_no_chance_in_the_data_parts_twins(problem: Problem, seed: int) -> None:
    """Batches, noisy points, wrong labels and weights of the samples: all units see the same."""
    model, data = problem
    draw = Generator().manual_seed(seed)
    for _ in range(15):
        rows = torch.randint(len(data), (4,), generator=draw)
        x = data.x[rows] + torch.randn(4, data.x.shape[1], generator=draw, dtype=torch.float64)
        y = data.y[rows.flip(0)]
        weight = torch.rand(4, generator=draw, dtype=torch.float64)
        descend(model, (weight * F.cross_entropy(model(x), y, reduction="none")).mean())
    assert_twins(model)


@pytest.mark.theorem("what-parts")
@given(problem=problems(["tanh"], start="tied"), seed=SEEDS)
def test_noise_of_each_unit_parts_twins(problem: Problem, seed: int) -> None:
    """A step that adds to each unit's output a number of its own does not commute with π."""
    model, data = problem
    draw = Generator().manual_seed(seed)
    x = data.x
    *hidden, last = linear_layers(model)
    for layer in hidden:
        h = torch.tanh(layer(x))
        x = h + 0.1 * torch.randn(h.shape, generator=draw, dtype=h.dtype)
    descend(model, F.cross_entropy(last(x), data.y))
    for number, _ in enumerate(hidden, start=1):
        assert gap(units(model, number)) > 1e-6


@pytest.mark.theorem("what-parts")
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("activation", [*ZERO_AT_ZERO, *NONZERO_AT_ZERO])
def test_the_gradients_of_two_units_differ_by_the_formula(activation: str, piece: str) -> None:
    """Two units that differ in one piece: autograd's gradients against the three sums."""
    data = half_plane(dtype=torch.float64)
    model = MLP([2, 2, 2], activation, dtype=torch.float64)
    first, last = linear_layers(model)
    for name, p in model.named_parameters():
        if name in PIECES.values() and name != PIECES[piece]:
            axis = 1 if name == PIECES["outgoing"] else 0
            p.data.copy_(p.data.narrow(axis, 0, 1).clone().expand_as(p))

    z = first(data.x)
    delta = (model(data.x).softmax(1) - F.one_hot(data.y)) / len(data)
    d = model.sigma.derivative(z) * (delta @ last.weight)
    h = model.sigma.function(z)
    slopes = autograd(model, data)
    incoming, bias, outgoing = (slopes[name] for name in PIECES.values())
    torch.testing.assert_close(outgoing[:, 0] - outgoing[:, 1], (h[:, 0] - h[:, 1]) @ delta)
    torch.testing.assert_close(bias[0] - bias[1], (d[:, 0] - d[:, 1]).sum())
    torch.testing.assert_close(incoming[0] - incoming[1], (d[:, 0] - d[:, 1]) @ data.x)
    assert gap(torch.cat([incoming, bias[:, None], outgoing.T], dim=1)) > 1e-4


@pytest.mark.theorem("what-parts")
@given(problem=problems(["relu"]), seed=SEEDS)
def test_a_difference_in_front_of_a_relu_that_is_off_never_reaches_a_gradient(
    problem: Problem, seed: int
) -> None:
    """First-layer units with z ≤ 0 for every sample differ, stay as they are, and say nothing."""
    model, data = problem
    first = linear_layers(model)[0]
    nn.init.zeros_(first.weight)
    first.bias.data.copy_(-torch.rand(len(first.bias), generator=Generator().manual_seed(seed)))
    before = units(model, 1)
    train(model, data, lr=0.5, steps=20)
    assert distinct_units(before) > 1
    assert torch.equal(units(model, 1), before)
    assert gap(model(data.x).detach()) < 1e-12


@pytest.mark.theorem("dropout-limit")
@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid", "softplus"])
def test_dropout_parts_twins_by_the_formula(activation: str) -> None:
    """Twins' gradients differ by Σ δ(mᵢ − mⱼ)h and by Σ (mᵢ − mⱼ) σ′(z) (v·δ) x."""
    data = half_plane(dtype=torch.float64)
    model = MLP([2, 2, 2], activation, dtype=torch.float64)
    tied_(model, generator=Generator().manual_seed(0))
    first, last = linear_layers(model)
    with torch.no_grad():
        z = first(data.x)[:, 0]
        m = 2 * (
            torch.rand(len(data), 2, generator=Generator().manual_seed(1), dtype=z.dtype) >= 0.5
        )
        h = model.sigma.function(z)
        delta = (last(h[:, None] * m).softmax(1) - F.one_hot(data.y)) / len(data)
        outgoing = ((m[:, 0] - m[:, 1]) * h) @ delta
        signal = model.sigma.derivative(z) * (delta @ last.weight[:, 0])
        incoming = ((m[:, 0] - m[:, 1]) * signal) @ data.x

    F.cross_entropy(dropout(model, data.x, Generator().manual_seed(1)), data.y).backward()
    assert first.weight.grad is not None
    assert last.weight.grad is not None
    torch.testing.assert_close(last.weight.grad[:, 0] - last.weight.grad[:, 1], outgoing)
    torch.testing.assert_close(first.weight.grad[0] - first.weight.grad[1], incoming)
    assert outgoing.abs().min() > 1e-6
    assert incoming.abs().min() > 1e-6


@pytest.mark.theorem("dropout-limit")
@given(problem=problems(ZERO_AT_ZERO, start="zeros"), seed=SEEDS)
def test_from_all_zero_a_run_with_dropout_is_the_run_without(problem: Problem, seed: int) -> None:
    """σ(0) = 0: zero times a mask is zero, and only the last bias moves, as it does without."""
    model, data = problem
    plain = zeros_(MLP(model.widths, model.activation, dtype=torch.float64))
    draw = Generator().manual_seed(seed)
    for _ in range(15):
        descend(model, F.cross_entropy(dropout(model, data.x, draw), data.y))
        descend(plain, F.cross_entropy(plain(data.x), data.y))
    *others, last_bias = model.parameters()
    assert not any(p.any() for p in others)
    assert last_bias.any()
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


@pytest.mark.theorem("dropout-limit")
@pytest.mark.parametrize("activation", NONZERO_AT_ZERO)
def test_dropout_parts_the_units_of_an_all_zero_network_that_thaws(activation: str) -> None:
    """Step 1: outgoing weights −η σ(0) Σ mᵢ δ, of each unit its own, though labels are balanced."""
    x = half_plane(dtype=torch.float64).x
    data = Data(x, torch.arange(len(x)) % 2)
    model = zeros_(MLP([2, 8, 8, 2], activation, dtype=torch.float64))
    draw = Generator().manual_seed(0)
    descend(model, F.cross_entropy(dropout(model, x, draw), data.y), lr=0.5)

    draw.manual_seed(0)
    _, keep = (torch.rand(len(x), 8, generator=draw, dtype=x.dtype) >= 0.5 for _ in range(2))
    delta = (0.5 - F.one_hot(data.y)) / len(x)
    value = model.sigma.function(torch.zeros((), dtype=x.dtype))
    last = linear_layers(model)[-1].weight
    torch.testing.assert_close(last.data, -0.5 * value * delta.T.double() @ (2.0 * keep).double())
    assert gap(units(model, 2)) > 1e-3
