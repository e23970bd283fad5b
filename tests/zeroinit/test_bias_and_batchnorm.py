"""Biases that may be zero, biases that must not, and the right and wrong places for γ = 0."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import autograd
from strategies import NONZERO_AT_ZERO, Problem, labelled_points, problems
from torch import Tensor, nn
from torch.distributions import Categorical

from zeroinit import (
    MLP,
    Data,
    constant_,
    distinct_units,
    half_plane,
    linear_layers,
    log_prior_,
    train,
    twins,
    units,
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
@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.weight"])
def test_units_that_differ_in_one_weight_are_no_twins_though_biases_are_zero(name: str) -> None:
    """Part (a): one incoming or one outgoing weight is enough."""
    model = constant_(MLP([2, 2, 2], "tanh"), 0.5)
    assert twins(model, 1) == [[0, 1]]
    with torch.no_grad():
        model.get_parameter(name)[0, 0] += 0.1
    assert twins(model, 1) == []


@pytest.mark.theorem("zero-biases")
@given(problems(start="kaiming"))
def test_zero_biases_leave_the_gradients_of_the_weights_as_they_are_without(
    problem: Problem,
) -> None:
    """Part (b): the network with the same weights and no biases has the same gradients."""
    model, data = problem
    without = MLP(model.widths, model.activation, bias=False, dtype=torch.float64)
    without.load_state_dict({name: p for name, p in model.state_dict().items() if "weight" in name})
    slopes = autograd(model, data)
    for name, slope in autograd(without, data).items():
        torch.testing.assert_close(slopes[name], slope)


@pytest.mark.theorem("zero-biases")
@given(problems(start="kaiming"))
def test_the_gradient_of_a_zero_bias_is_made_with_the_weights_of_its_unit(
    problem: Problem,
) -> None:
    """Part (c): ∂ℒ/∂b is the sum of δ = ∂ℒ/∂z, and each δᵢ is made with the weights of unit i."""
    model, data = problem
    layers, h, signals = linear_layers(model), data.x, list[Tensor]()
    for layer in layers:
        signals.append(h @ layer.weight.T)  # z = W h, with no bias
        h = model.sigma.function(signals[-1])
    deltas = torch.autograd.grad(F.cross_entropy(signals[-1], data.y), signals)
    slopes = autograd(model, data)
    for index, delta in enumerate(deltas):
        torch.testing.assert_close(slopes[f"layers.{index}.bias"], delta.sum(0))
    for z, delta, above, later in zip(signals, deltas, layers[1:], deltas[1:], strict=False):
        slope = model.sigma.derivative(z)
        for unit in range(z.shape[1]):
            expected = slope[:, unit] * (later @ above.weight[:, unit])
            torch.testing.assert_close(delta[:, unit], expected)


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
    run = train(model, data, lr=0.5, steps=depth)
    for layer in range(1, depth + 1):
        assert run.wakes()[f"layers.{layer - 1}.weight"] == depth - layer + 1
        # Until W¹ moves, at step L, every point has one output; equal rows may be rounded apart.
        assert run.network(model, record=layer - 1)(data.x).var(0).max() < 1e-24
    assert [distinct_units(h.weight) for h in hidden] == [h.out_features for h in hidden]


@pytest.mark.theorem("different-biases")
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "softplus", "gelu"])
def test_two_steps_from_zero_weights_give_each_unit_what_its_bias_says(activation: str) -> None:
    """Parts (a) and (b): outgoing −ησ(bᵢ)g, incoming σ(bᵢ)σ′(bᵢ) times a row."""
    data, lr = half_plane(dtype=torch.float64), 0.5
    model = zeros_(MLP([2, 15, 2], activation, dtype=torch.float64))
    b = torch.linspace(-1, 1, 15, dtype=torch.float64, requires_grad=True)
    model.load_state_dict({"layers.0.bias": b}, strict=False)
    value = model.sigma.function(b)
    (slope,) = torch.autograd.grad(value.sum(), b)
    run = train(model, data, lr=lr, steps=2)

    outputs = [run.network(model, record=step)(data.x) for step in (0, 1)]
    delta, later = (f.softmax(1) - F.one_hot(data.y) for f in outputs)
    g = delta.mean(0)
    torch.testing.assert_close(
        run.parameters["layers.1.weight"][1], -lr * torch.outer(g, value.detach())
    )
    row = lr**2 * g @ later.T @ data.x / len(data)
    factor = (value * slope).detach()
    torch.testing.assert_close(run.parameters["layers.0.weight"][2], torch.outer(factor, row))

    asleep = value == 0
    assert torch.equal(factor != 0, ~asleep)
    first, last = linear_layers(model)
    for piece in first.weight, last.weight.T:
        assert torch.equal(piece.any(1), ~asleep)
    assert torch.equal(first.bias[asleep], b[asleep])
    assert distinct_units(units(model, 1)) == 15


@pytest.mark.theorem("different-biases")
@pytest.mark.parametrize("loss", [F.mse_loss, F.huber_loss])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_under_another_loss_too_each_unit_gets_what_its_bias_says(
    activation: str, loss: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """Parts (a) and (b) with the δ that autograd finds for the squared error and for Huber's."""
    points, lr = half_plane(dtype=torch.float64), 0.5
    data = Data(points.x, F.one_hot(points.y).double())
    model = zeros_(MLP([2, 6, 2], activation, dtype=torch.float64))
    b = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5], dtype=torch.float64)
    model.load_state_dict({"layers.0.bias": b}, strict=False)
    run = train(model, data, lr=lr, steps=2, loss=loss)

    outputs = [run.network(model, record=step)(data.x) for step in (0, 1)]
    delta, later = (torch.autograd.grad(loss(out, data.y), out)[0] for out in outputs)
    g = delta.sum(0)
    value, slope = model.sigma.function(b), model.sigma.derivative(b)
    torch.testing.assert_close(run.parameters["layers.1.weight"][1], -lr * torch.outer(g, value))
    row = lr**2 * g @ later.T @ data.x
    assert row.abs().min() > 1e-3
    torch.testing.assert_close(
        run.parameters["layers.0.weight"][2], torch.outer(value * slope, row)
    )
    still = (run.parameters["layers.0.bias"] == b).all(0)
    assert torch.equal(still, value == 0)


@pytest.mark.theorem("different-biases")
def test_each_hidden_layer_passes_on_a_factor_that_is_not_zero() -> None:
    """Part (c): the factor of a layer is Σ σ(bᵢ)²σ′(bᵢ)², and W¹ gets their product."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 2, generator=generator, dtype=torch.float64)
    data = Data(x, torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2]))
    model = zeros_(MLP([2, 4, 5, 3], "tanh", dtype=torch.float64))
    for layer in linear_layers(model)[:-1]:
        nn.init.normal_(layer.bias, generator=generator)
    first, second = (
        layer.bias.tanh() * (1 - layer.bias.tanh() ** 2) for layer in linear_layers(model)[:-1]
    )
    output = model(x).detach().requires_grad_()
    (delta,) = torch.autograd.grad(F.cross_entropy(output, data.y), output)
    g = delta.sum(0)
    lr = 1e-3
    # W³ has grown for two steps and W² for one.
    expected = -2 * lr**3 * g.dot(g) * second.dot(second) * torch.outer(first, g @ delta.T @ x)
    gradient = train(model, data, lr=lr, steps=3).gradients["layers.0.weight"][2]
    assert (gradient - expected).norm() < 10 * lr * expected.norm()
    assert expected.all()


@pytest.mark.theorem("different-biases")
def test_one_hidden_layer_without_a_unit_that_is_on_stops_all_below() -> None:
    """Part (c) asks every hidden layer for such a unit: without, nothing below it ever moves."""
    model = zeros_(MLP([2, 6, 6, 2], "relu"))
    first, second, _ = linear_layers(model)
    nn.init.ones_(first.bias)
    nn.init.constant_(second.bias, -1)
    wakes = train(model, half_plane(), lr=0.1, steps=20).wakes()
    assert [name for name, step in wakes.items() if step] == ["layers.2.bias"]


@pytest.mark.theorem("different-biases")
def test_under_relu_only_units_whose_first_bias_is_positive_wake() -> None:
    """A unit whose bias is not positive outputs 0 for every point; ReLU passes no gradient on."""
    model = zeros_(MLP([2, 16, 2], "relu"))
    first, last = linear_layers(model)
    before = nn.init.normal_(first.bias, generator=torch.Generator().manual_seed(0)).clone()
    positive = before > 0
    train(model, half_plane(), lr=0.1, steps=20)
    assert torch.equal(first.weight.any(1), positive)
    assert torch.equal(last.weight.any(0), positive)
    assert torch.equal(first.bias != before, positive)


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


def constant_loss(bias: Tensor, target: Tensor, **options: Any) -> Tensor:
    """Return the mean cross-entropy of a network that gives ``bias`` for every sample."""
    return F.cross_entropy(bias.expand(len(target), -1), target, **options)


def assert_least(loss: Tensor, bias: Tensor) -> None:
    """Assert that the gradient of a convex loss is zero at the bias."""
    (gradient,) = torch.autograd.grad(loss, bias)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@pytest.mark.theorem("log-prior")
@given(labelled_points(2, 3), st.integers(0, 10**6))
def test_no_output_bias_is_better_than_the_log_prior(data: Data, seed: int) -> None:
    """The gradient is zero there, and any other bias costs more, whether near or far."""
    best = log_prior_(nn.Linear(2, 3, dtype=torch.float64), data).bias
    loss = constant_loss(best, data.y)
    assert_least(loss, best)
    others = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    others -= others.mean(1, keepdim=True)  # a common constant changes nothing
    for size in 1e-2, 1, 100:
        for other in best + size * others:
            assert constant_loss(other, data.y) > loss


@pytest.mark.theorem("log-prior")
@pytest.mark.parametrize("kind", ["soft labels", "smoothing", "class weights", "left out"])
def test_the_log_of_the_mean_target_is_best_for_soft_labels_and_weights_too(kind: str) -> None:
    """What PyTorch makes of each option is a weighted mean target; p is that mean."""
    y = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    hard, ones = F.one_hot(y).double(), torch.ones(7, dtype=torch.float64)
    soft = torch.rand(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    soft /= soft.sum(1, keepdim=True)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    kept = torch.tensor([0, 1, 1, 1, 0, 1, 1])
    cases: dict[str, tuple[Tensor, dict[str, Any], Tensor, Tensor]] = {
        "soft labels": (soft, {}, soft, ones),
        "smoothing": (y, {"label_smoothing": 0.3}, 0.7 * hard + 0.3 / 3, ones),
        "class weights": (y, {"weight": weights}, hard, weights[y]),
        "left out": (y.where(kept == 1, -100), {"ignore_index": -100}, hard, ones * kept),
    }
    label, options, targets, w = cases[kind]
    p = w @ targets / w.sum()
    best = p.log().requires_grad_()
    loss = constant_loss(best, label, **options)
    torch.testing.assert_close(loss, Categorical(p).entropy())
    assert_least(loss, best)


@pytest.mark.theorem("log-prior")
def test_for_the_squared_error_the_best_output_bias_is_the_prior_itself() -> None:
    """The theorem is about cross-entropy: the squared error wants p, and ln p costs more."""
    target = F.one_hot(half_plane().y).double()
    p = target.mean(0).requires_grad_()
    loss = F.mse_loss(p.expand_as(target), target)
    assert_least(loss, p)
    assert F.mse_loss(p.log().expand_as(target), target) > loss


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
    output = h + norm(signal.requires_grad_())
    (delta, gradient, for_beta, below) = torch.autograd.grad(
        F.cross_entropy(head(output), data.y), (output, norm.weight, norm.bias, signal)
    )
    normalized = (signal - signal.mean(0)) / (signal.var(0, correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(gradient, (delta * normalized).sum(0))
    assert gradient.all()
    torch.testing.assert_close(for_beta, delta.sum(0))
    assert not below.any()  # nothing passes back through the norm


@pytest.mark.theorem("gamma-zero")
def test_gamma_zero_before_a_relu_is_dead() -> None:
    """ReLU receives 0 and passes no gradient back: nothing but the output bias ever moves."""
    norm = nn.BatchNorm1d(8)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Linear(2, 8, bias=False), norm, nn.ReLU(), nn.Linear(8, 2))
    run = train(model, half_plane(), lr=0.1, steps=20)
    assert [name for name, step in run.wakes().items() if step] == ["3.bias"]
    for step in run.steps.tolist():
        output = run.network(model, record=step)(half_plane().x)
        assert torch.equal(output, output[:1].expand(128, 2))


@pytest.mark.theorem("gamma-zero")
def test_gamma_zero_before_the_relu_of_a_branch_adds_the_same_to_every_point() -> None:
    """Part (c) in a branch: whatever reaches the loss only through the norm never moves."""
    inner, norm = nn.BatchNorm1d(8), nn.BatchNorm1d(8)
    nn.init.zeros_(inner.weight)
    nn.init.ones_(norm.bias)
    branch = nn.Sequential(
        nn.Linear(8, 8, bias=False), inner, nn.ReLU(), nn.Linear(8, 8, bias=False), norm
    )
    stem, block, head = nn.Linear(2, 8), Residual(*branch), nn.Linear(8, 2)
    wakes = train(nn.Sequential(stem, block, head), half_plane(), lr=0.1, steps=20).wakes()
    assert {name for name, step in wakes.items() if not step} == {
        "1.branch.0.weight",
        "1.branch.1.weight",  # γ
        "1.branch.1.bias",  # β
        "1.branch.3.weight",
        "1.branch.4.weight",  # the next norm gets a constant: Theorem no-rescue (a)
    }
    added = branch(torch.randn(5, 8))
    assert added.any()
    assert torch.equal(added, added[:1].expand(5, -1))


@pytest.mark.theorem("gamma-zero")
def test_weight_decay_shrinks_the_weights_that_gamma_zero_has_put_to_sleep() -> None:
    """Part (c) is about gradient descent without it: no gradient, and yet the weights move."""
    norm = nn.BatchNorm1d(8)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Linear(2, 8, bias=False), norm, nn.ReLU(), nn.Linear(8, 2))
    decay = partial(torch.optim.SGD, weight_decay=0.1)
    run = train(model, half_plane(), lr=0.1, steps=20, optimizer=decay)
    assert [name for name, step in run.wakes().items() if step] == ["3.bias"]
    moved = {name for name, p in run.parameters.items() if not torch.equal(p[0], p[-1])}
    assert moved == {"0.weight", "3.weight", "3.bias"}


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
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_batchnorm_does_not_rescue_a_network_of_zero_weights(
    activation: nn.Module, weight_decay: float
) -> None:
    """Part (b): any γ and β = 0 between zero layers; nothing but the output bias has a gradient."""
    first, last = zeros_(nn.Linear(2, 8, bias=False)), zeros_(nn.Linear(8, 2))
    norm = nn.BatchNorm1d(8)
    nn.init.normal_(norm.weight)
    model = nn.Sequential(first, norm, activation, last)
    decay = partial(torch.optim.SGD, weight_decay=weight_decay)
    wakes = train(model, half_plane(), lr=0.1, steps=20, optimizer=decay).wakes()
    assert [name for name, step in wakes.items() if step] == ["3.bias"]


@pytest.mark.theorem("no-rescue")
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_two_norms_do_not_rescue_a_network_of_zero_weights(
    activation: nn.Module, weight_decay: float
) -> None:
    """Part (b) with two hidden layers: only the last bias moves, as it does without the norms."""
    linear = [nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2)]
    norms = [nn.BatchNorm1d(8), nn.BatchNorm1d(8)]
    plain = nn.Sequential(linear[0], activation, linear[1], activation, linear[2])
    normed = nn.Sequential(
        linear[0], norms[0], activation, linear[1], norms[1], activation, linear[2]
    )
    decay = partial(torch.optim.SGD, weight_decay=weight_decay)
    zeros_(plain)
    without = train(plain, half_plane(), lr=0.1, steps=20, optimizer=decay)
    zeros_(plain)
    for norm in norms:
        nn.init.normal_(norm.weight)
    run = train(normed, half_plane(), lr=0.1, steps=20, optimizer=decay)
    assert [name for name, step in run.wakes().items() if step] == ["6.bias"]
    assert torch.equal(run.parameters["6.bias"], without.parameters["4.bias"])


@pytest.mark.theorem("no-rescue")
def test_batchnorm_does_not_rescue_one_zero_weight_before_a_relu() -> None:
    """The last weight is random; but the norm outputs 0, and ReLU passes no gradient back."""
    first, last = zeros_(nn.Linear(2, 8, bias=False)), nn.Linear(8, 2)
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), last)
    wakes = train(model, half_plane(), lr=0.1, steps=20).wakes()
    assert [name for name, step in wakes.items() if step] == ["3.bias"]


@pytest.mark.theorem("no-rescue")
def test_batchnorm_says_beta_after_a_zero_weight_and_gamma_has_no_gradient() -> None:
    """Part (a): for any bias of the layer, any batch and any γ."""
    x = half_plane(dtype=torch.float64).x
    layer, norm = nn.Linear(2, 8).double(), nn.BatchNorm1d(8).double()
    nn.init.zeros_(layer.weight)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for batch in x, x[:7]:
        output = norm(layer(batch))
        torch.testing.assert_close(output, norm.bias.expand_as(output), rtol=0, atol=1e-12)
        (slope,) = torch.autograd.grad(output.sin().sum(), norm.weight)
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


@pytest.mark.theorem("no-rescue")
def test_batchnorm_normalizes_a_constant_to_zero() -> None:
    """A zero weight outputs its bias for every point, and the norm subtracts the mean."""
    layer = nn.Linear(2, 8, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    norm = nn.BatchNorm1d(8, dtype=torch.float64)
    # The mean of equal numbers is rounded by some 1e-16, and ε = 1e-5 magnifies that by 316.
    assert norm(layer(half_plane(dtype=torch.float64).x)).abs().max() < 1e-12


@pytest.mark.theorem("no-rescue")
def test_without_epsilon_a_constant_is_divided_by_zero() -> None:
    """Part (a) needs ε > 0: 0 / 0 is no number, and PyTorch does not train with ε = 0."""
    u = torch.ones(5, 8)
    assert ((u - u.mean(0)) / (u.var(0, correction=0) + 0.0).sqrt()).isnan().all()
    with pytest.raises(ValueError, match="eps must be positive"):
        nn.BatchNorm1d(8, eps=0.0)(u)


@pytest.mark.theorem("no-rescue")
def test_twins_stay_twins_through_a_norm_if_their_gamma_and_beta_are_equal() -> None:
    """Part (c): units 0 and 1 are equal in all five pieces; 2 and 3 are not, in γ."""
    data = half_plane(dtype=torch.float64)
    first, norm, last = (
        nn.Linear(2, 4).double(),
        nn.BatchNorm1d(4).double(),
        nn.Linear(4, 2).double(),
    )
    with torch.no_grad():
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        for piece in first.weight, first.bias, norm.weight, norm.bias, last.weight.T:
            piece[1] = piece[0]
            piece[3] = piece[2]
        norm.weight[3] += 0.1
    model = nn.Sequential(first, norm, nn.Sigmoid(), last)
    train(model, data, lr=0.5, steps=50)
    for piece in first.weight, first.bias, norm.weight, norm.bias, last.weight.T:
        torch.testing.assert_close(piece[1], piece[0], rtol=0, atol=1e-9)
    assert (last.weight[:, 3] - last.weight[:, 2]).abs().max() > 1e-3


@pytest.mark.theorem("no-rescue")
def test_an_all_zero_sigmoid_network_wakes_as_twins_with_a_norm_too() -> None:
    """Part (c): its units are twins at the start, so it is collapsed, not rescued."""
    first, last = zeros_(nn.Linear(2, 8).double()), zeros_(nn.Linear(8, 2).double())
    model = nn.Sequential(first, nn.BatchNorm1d(8).double(), nn.Sigmoid(), last)
    wakes = train(model, half_plane(dtype=torch.float64), lr=0.1, steps=20).wakes()
    assert wakes["3.weight"] == 1
    assert wakes["0.weight"] == 2
    for piece in first.weight, last.weight.T:
        torch.testing.assert_close(piece, piece[:1].expand_as(piece), rtol=0, atol=1e-9)


@pytest.mark.theorem("no-rescue")
@pytest.mark.parametrize("equal", [True, False])
def test_an_all_zero_sigmoid_network_wakes_as_twins_only_if_their_gamma_is_equal(
    equal: bool,
) -> None:
    """Part (c) needs equal γ: with eight different ones there are eight different units."""
    first, last = zeros_(nn.Linear(2, 8).double()), zeros_(nn.Linear(8, 2).double())
    norm = nn.BatchNorm1d(8).double()
    gamma = torch.linspace(0.5, 0.5 if equal else 1.5, 8, dtype=torch.float64)
    norm.load_state_dict({"weight": gamma}, strict=False)
    model = nn.Sequential(first, norm, nn.Sigmoid(), last)
    train(model, half_plane(dtype=torch.float64), lr=0.1, steps=20)
    rows = first.weight.detach()
    gaps = torch.pdist(rows)
    assert rows.norm(dim=1).min() > 1e-3
    assert gaps.max() < 1e-9 if equal else gaps.min() > 1e-3


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
