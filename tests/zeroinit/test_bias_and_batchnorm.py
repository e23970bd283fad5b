"""Biases that may be zero, biases that must not, and the right and wrong places for γ = 0."""

import math
from collections.abc import Iterator
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from oracles import autograd
from strategies import NONZERO_AT_ZERO, Problem, problems
from torch import Tensor, nn
from torch.distributions import Categorical

from zeroinit import (
    MLP,
    Data,
    distinct_units,
    half_plane,
    linear_layers,
    log_prior_,
    train,
    twins,
    zeros_,
)

#: Two ReLU units that fire for no point have one gradient, 0, whatever their weights.
NEVER_FLAT = ("tanh", "gelu", "silu", "elu", "identity", *NONZERO_AT_ZERO)


@pytest.mark.theorem("zero-biases")
@given(problems(NEVER_FLAT, start="kaiming"))
def test_units_with_different_weights_have_different_gradients_though_biases_are_zero(
    problem: Problem,
) -> None:
    """Every hidden layer has as many different gradients as units, for weight and for bias."""
    model, data = problem
    slopes = autograd(model, data)
    for index, layer in enumerate(linear_layers(model)[:-1]):
        assert not layer.bias.any()
        assert distinct_units(slopes[f"layers.{index}.weight"]) == layer.out_features
        assert slopes[f"layers.{index}.bias"].unique().numel() == layer.out_features


@pytest.mark.theorem("zero-biases")
@given(problems(NEVER_FLAT, start="kaiming"))
def test_zero_biases_wake_at_the_first_step(problem: Problem) -> None:
    """No parameter is stuck: from zero biases and random weights all move at once."""
    model, data = problem
    assert set(train(model, data, lr=0.1, steps=1).wakes().values()) == {1}


@pytest.mark.theorem("different-biases")
@given(problems(["sigmoid", "tanh"], start="zeros"))
def test_zero_weights_with_different_biases_wake_a_layer_a_step_and_all_units_differ(
    problem: Problem,
) -> None:
    """The difference of the biases becomes a difference of the weights, from the top down."""
    model, data = problem
    *hidden, _ = linear_layers(model)
    for h in hidden:
        nn.init.normal_(h.bias, generator=torch.Generator().manual_seed(0))
    depth = len(model.layers)
    wakes = train(model, data, lr=0.5, steps=depth).wakes()
    for layer in range(1, depth + 1):
        assert wakes[f"layers.{layer - 1}.weight"] == depth - layer + 1
    assert [distinct_units(h.weight) for h in hidden] == [h.out_features for h in hidden]


@pytest.mark.theorem("different-biases")
def test_under_relu_only_units_whose_first_bias_is_positive_wake() -> None:
    """A unit whose bias is not positive says 0 to every point, and ReLU passes no gradient on."""
    model = zeros_(MLP([2, 16, 2], "relu"))
    first, last = linear_layers(model)
    positive = nn.init.normal_(first.bias, generator=torch.Generator().manual_seed(0)) > 0
    train(model, half_plane(), lr=0.1, steps=20)
    assert torch.equal(first.weight.any(1), positive)
    assert torch.equal(last.weight.any(0), positive)


@pytest.mark.theorem("log-prior")
@given(problems())
def test_with_the_log_prior_as_output_bias_the_loss_starts_at_the_entropy(
    problem: Problem,
) -> None:
    """Zero output weight and b = ln p: the loss begins at H(p), and not at ln C above it."""
    model, data = problem
    output = linear_layers(model)[-1]
    nn.init.zeros_(output.weight)
    log_prior_(output, data)
    p = data.y.bincount().double() / len(data)
    loss = F.cross_entropy(model(data.x), data.y).detach()
    torch.testing.assert_close(loss, Categorical(p).entropy())
    assert loss < math.log(len(p))


class Residual(nn.Module):
    """A block x + branch(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.branch(x))


@pytest.fixture(autouse=True)
def _modules_draw_from_a_known_state() -> Iterator[None]:
    """PyTorch's modules draw their start from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.theorem("gamma-zero")
def test_gamma_may_be_zero_at_the_end_of_a_residual_branch() -> None:
    """The block begins as the identity; γ moves at step 1, what lies before it at step 2."""
    norm = nn.BatchNorm1d(8)
    nn.init.zeros_(norm.weight)
    block = Residual(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False), norm)
    h = torch.randn(5, 8)
    assert torch.equal(block(h), h)

    model = nn.Sequential(nn.Linear(2, 8), block, nn.Linear(8, 2))
    assert train(model, half_plane(), lr=0.1, steps=3).wakes() == {
        "0.weight": 1,
        "0.bias": 1,
        "1.branch.0.weight": 2,
        "1.branch.2.weight": 2,
        "1.branch.3.weight": 1,  # γ
        "1.branch.3.bias": 1,  # β
        "2.weight": 1,
        "2.bias": 1,
    }


@pytest.mark.theorem("gamma-zero")
def test_the_gradient_of_gamma_is_delta_times_the_normalized_signal() -> None:
    """∂ℒ/∂γ = Σ δ ⊙ x̂, which does not ask what γ is."""
    data, head, norm = half_plane(dtype=torch.float64), nn.Linear(8, 2).double(), nn.BatchNorm1d(8)
    nn.init.zeros_(norm.double().weight)
    h, signal = torch.randn(2, 128, 8, dtype=torch.float64)
    output = h + norm(signal)
    (delta, gradient) = torch.autograd.grad(
        F.cross_entropy(head(output), data.y), (output, norm.weight)
    )
    normalized = (signal - signal.mean(0)) / (signal.var(0, correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(gradient, (delta * normalized).sum(0))
    assert gradient.all()


@pytest.mark.theorem("gamma-zero")
def test_gamma_zero_before_a_relu_is_dead() -> None:
    """ReLU receives 0 and passes no gradient back: nothing but the output bias ever moves."""
    norm = nn.BatchNorm1d(8)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Linear(2, 8, bias=False), norm, nn.ReLU(), nn.Linear(8, 2))
    wakes = train(model, half_plane(), lr=0.1, steps=20).wakes()
    assert [name for name, step in wakes.items() if step] == ["3.bias"]


@pytest.mark.theorem("gamma-zero")
def test_gamma_zero_before_a_tanh_wakes_in_two_steps() -> None:
    """tanh′(0) = 1 lets γ and β move at step 1, and they let the weights move at step 2."""
    norm = nn.BatchNorm1d(8)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Linear(2, 8, bias=False), norm, nn.Tanh(), nn.Linear(8, 2))
    assert train(model, half_plane(), lr=0.1, steps=3).wakes() == {
        "0.weight": 2,
        "1.weight": 1,  # γ
        "1.bias": 1,  # β
        "3.weight": 2,
        "3.bias": 1,
    }


@pytest.mark.theorem("no-rescue")
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_batchnorm_does_not_rescue_a_network_of_zero_weights(activation: nn.Module) -> None:
    """γ = 1 and β = 0 between zero layers: still nothing but the output bias ever moves."""
    first, last = zeros_(nn.Linear(2, 8, bias=False)), zeros_(nn.Linear(8, 2))
    model = nn.Sequential(first, nn.BatchNorm1d(8), activation, last)
    wakes = train(model, half_plane(), lr=0.1, steps=20).wakes()
    assert [name for name, step in wakes.items() if step] == ["3.bias"]


@pytest.mark.theorem("no-rescue")
def test_batchnorm_does_not_rescue_one_zero_weight_before_a_relu() -> None:
    """The last weight is random; but the norm says 0, and ReLU passes no gradient back."""
    first, last = zeros_(nn.Linear(2, 8, bias=False)), nn.Linear(8, 2)
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), last)
    wakes = train(model, half_plane(), lr=0.1, steps=20).wakes()
    assert [name for name, step in wakes.items() if step] == ["3.bias"]


@pytest.mark.theorem("no-rescue")
def test_batchnorm_normalizes_a_constant_to_zero() -> None:
    """A zero weight says its bias to every point, and the norm takes the mean away."""
    layer = nn.Linear(2, 8, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    norm = nn.BatchNorm1d(8, dtype=torch.float64)
    # The mean of equal numbers is rounded by some 1e-16, and ε = 1e-5 magnifies that by 316.
    assert norm(layer(half_plane(dtype=torch.float64).x)).abs().max() < 1e-12


def test_one_zero_weight_before_a_tanh_needs_no_rescue() -> None:
    first, last = zeros_(nn.Linear(2, 8, bias=False)), nn.Linear(8, 2)
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.Tanh(), last)
    assert None not in train(model, half_plane(), lr=0.1, steps=3).wakes().values()


def test_a_unit_with_a_twin_needs_no_more_than_another_bias() -> None:
    model = zeros_(MLP([2, 2, 2], "tanh"))
    first, _ = linear_layers(model)
    assert twins(model, 1) == [[0, 1]]
    with torch.no_grad():
        first.bias[1] = 0.1
    train(model, half_plane(), lr=0.5, steps=3)
    assert twins(model, 1) == []
    assert distinct_units(first.weight) == 2


@pytest.mark.parametrize(
    ("layer", "data", "error", "message"),
    [
        (
            nn.Linear(16, 2, bias=False),
            half_plane(),
            ValueError,
            r"no bias to fill: make it with nn.Linear\(16, 2, bias=True\)",
        ),
        (nn.Linear(16, 3), half_plane(), ValueError, "3 outputs and the data 2 classes: give the"),
        (
            nn.Linear(16, 3),
            Data(torch.zeros(2, 1), torch.tensor([0, 2])),
            ValueError,
            "class 1 has no point: its log-frequency is -inf",
        ),
        (
            nn.Linear(16, 2),
            Data(torch.zeros(2, 1), torch.zeros(2, 1)),
            TypeError,
            "of class labels, and y holds torch.float32 targets",
        ),
    ],
)
def test_the_log_prior_refuses_what_has_none_and_changes_nothing(
    layer: nn.Linear, data: Data, error: type[Exception], message: str
) -> None:
    before = [p.clone() for p in layer.parameters()]
    with pytest.raises(error, match=message):
        log_prior_(layer, data)
    assert all(map(torch.equal, layer.parameters(), before))
