"""The backpropagation formula, the gradient at zero, and what an all-zero network does."""

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import OPTIMIZERS, assert_twins, autograd
from strategies import NONZERO_AT_ZERO, ZERO_AT_ZERO, Problem, problems
from torch import Tensor, nn
from torch.optim import Muon, Optimizer

from zeroinit import (
    MLP,
    Data,
    default_,
    half_plane,
    kaiming_normal_,
    linear_layers,
    train,
    xavier_normal_,
    zeros_,
)
from zeroinit.backprop import forward, gradients, gradients_at_zero
from zeroinit.escape import hessian_eigenvalues
from zeroinit.networks import ACTIVATIONS, FAMILIES, Activation

#: Every choice of zeroed layers for three and for four layers.
SUBSETS = [
    (depth, zeroed)
    for depth in (3, 4)
    for size in range(1, depth + 1)
    for zeroed in combinations(range(1, depth + 1), size)
]


@pytest.mark.theorem("backpropagation")
@given(problems())
def test_the_formula_is_the_gradient(problem: Problem) -> None:
    """δ carried back by hand gives what autograd gives, at any depth, for any activation."""
    model, data = problem
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@pytest.mark.theorem("gradient-at-zero")
@given(problems())
def test_the_gradient_at_zero_has_a_closed_form(problem: Problem) -> None:
    """σ(0)(1/C − p)1ᵀ for the last weight, 1/C − p for the last bias, exactly 0 for all else."""
    model, data = problem
    found = autograd(zeros_(model), data)
    closed_form = gradients_at_zero(model.widths, model.activation, data.frequencies)
    torch.testing.assert_close(found, closed_form)
    *others, last_weight, _ = found.values()
    assert not any(gradient.any() for gradient in others)
    assert last_weight.any() == (model.activation in NONZERO_AT_ZERO)


@pytest.mark.theorem("gradient-at-zero")
@given(problems())
def test_the_frequencies_are_those_of_the_batch(problem: Problem) -> None:
    """Two batches of one data set have two gradients, each with the shares of its own samples."""
    model, data = problem
    zeros_(model)
    classes = model.widths[-1]
    for batch in (slice(0, None, 2), slice(1, None, 2)):
        y = data.y[batch]
        loss = F.cross_entropy(model(data.x[batch]), y)
        gradient = torch.autograd.grad(loss, linear_layers(model)[-1].bias)[0]
        shares = torch.bincount(y, minlength=classes) / len(y)
        torch.testing.assert_close(gradient, 1 / classes - shares.double())


@pytest.mark.theorem("weighted-targets")
@given(problems(NONZERO_AT_ZERO))
def test_weights_that_make_up_for_rare_classes_stop_an_all_zero_network(problem: Problem) -> None:
    """With class weights 1/p the mean target is balanced, and every gradient is zero."""
    model, data = problem
    weighted = partial(F.cross_entropy, weight=1 / data.frequencies)
    run = train(zeros_(model), data, lr=0.5, steps=1, loss=weighted)
    for gradient in run.gradients.values():
        torch.testing.assert_close(gradient[0], torch.zeros_like(gradient[0]), rtol=0, atol=1e-14)


def weighted_losses(classes: int, draw: torch.Generator) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return losses of PyTorch: options, targets, the numbers a of the theorem, and Z."""
    y, w = torch.arange(12) % (classes - 1), torch.rand(classes, generator=draw).double() + 0.1
    y[:classes] = torch.arange(classes)
    onehot, soft = F.one_hot(y).double(), torch.rand(12, classes, generator=draw).double()
    soft /= soft.sum(1, keepdim=True)
    kept, smooth = onehot[:9], 0.7 * onehot + 0.3 / classes
    some = torch.cat([y[:9], torch.full((3,), -100)])
    return {
        "label_smoothing": ({"label_smoothing": 0.3}, y, smooth, 12),
        "class weights": ({"weight": w}, y, w * onehot, w[y].sum()),
        "ignore_index": ({}, some, kept, 9),  # -100 is its default
        "soft labels": ({}, soft, soft, 12),
        "soft labels, class weights": ({"weight": w}, soft, w * soft, 12),
        "smoothing, class weights": (
            {"weight": w, "label_smoothing": 0.3}, y, w * smooth, w[y].sum()
        ),
    }  # fmt: skip


@pytest.mark.theorem("weighted-targets")
@pytest.mark.parametrize("case", weighted_losses(3, torch.Generator()))
@pytest.mark.parametrize("classes", [3, 4])
def test_soft_labels_and_weights_change_nothing_but_the_mean_target(
    case: str, classes: int
) -> None:
    """PyTorch's cross-entropy, by autograd, has the gradients, the thaw and the limit of p̄."""
    draw = torch.Generator().manual_seed(classes)
    options, target, a, z = weighted_losses(classes, draw)[case]
    mean_target, scale = a.sum(0) / a.sum(), float(a.sum() / z)
    assert (scale == pytest.approx(1)) == (", " not in case)
    x = torch.randn(12, 2, generator=draw, dtype=torch.float64)

    def loss(output: Tensor) -> Tensor:
        return F.cross_entropy(output, target, **options)

    def gradient(model: nn.Module) -> dict[str, Tensor]:
        found = torch.autograd.grad(loss(model(x)), list(model.parameters()))
        return dict(zip(dict(model.named_parameters()), found, strict=True))

    # (a) where the output is one and the same for all samples
    output = torch.randn(classes, generator=draw, dtype=torch.float64).requires_grad_()
    value = loss(output.expand(12, classes))
    cross_entropy = scale * (mean_target @ -output.log_softmax(0))
    torch.testing.assert_close(value, cross_entropy)
    delta = torch.autograd.grad(value, output)[0]
    torch.testing.assert_close(delta, scale * (output.detach().softmax(0) - mean_target))

    # (b) the gradient at zero, the thaw, the limit and the log-prior
    model = zeros_(MLP([2, 4, 3, classes], "sigmoid", dtype=torch.float64))
    closed = gradients_at_zero(model.widths, "sigmoid", mean_target)
    torch.testing.assert_close(gradient(model), {name: scale * g for name, g in closed.items()})
    for step in (1, 2, 3):
        found = gradient(model)
        awake = [bool(found[f"layers.{k}.weight"].any()) for k in range(3)]
        assert awake == [step >= 3, step >= 2, True]
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.sub_(found[name], alpha=0.5)
    dead = zeros_(MLP([2, 4, classes], "tanh", dtype=torch.float64))
    bias = linear_layers(dead)[-1].bias
    for _ in range(800):
        moved = gradient(dead)["layers.1.bias"]
        with torch.no_grad():
            bias.sub_(moved)
    limit = scale * torch.special.entr(mean_target).sum()
    torch.testing.assert_close(loss(dead(x)), limit)
    torch.testing.assert_close(bias.softmax(0), mean_target, rtol=0, atol=1e-6)


@pytest.mark.theorem("weighted-targets")
@pytest.mark.parametrize("case", weighted_losses(3, torch.Generator()))
@pytest.mark.parametrize("lr", [0.1, 3.0])
def test_with_weights_too_what_moves_the_first_weight_is_known_exactly(
    case: str, lr: float
) -> None:
    """Part (b), the thaw of two layers: x̄_c is weighted by a_ic, and x̄ by their sum over c."""
    draw = torch.Generator().manual_seed(0)
    options, target, a, z = weighted_losses(3, draw)[case]
    x = torch.randn(12, 2, generator=draw, dtype=torch.float64)
    model = zeros_(MLP([2, 4, 3], "sigmoid", dtype=torch.float64))
    scale = float(z / a.sum())

    def loss(output: Tensor, _: Tensor) -> Tensor:
        return scale * F.cross_entropy(output, target, **options)

    run = train(model, Data(x, torch.arange(12) % 3), lr=lr, steps=1, loss=loss)
    q, seen = model(x)[0].softmax(0), x[: len(a)]  # a sample that is ignored has no a
    mean_target, means = a.sum(0) / a.sum(), (a / a.sum(0)).T @ seen
    g, mean = 1 / 3 - mean_target, a.sum(1) @ seen / a.sum()
    row = (g @ q) * mean - (mean_target * g) @ means
    expected = -lr * (1 / 2) * (1 / 4) * row  # σ(0) and σ′(0)
    assert expected.abs().min() > 1e-6
    torch.testing.assert_close(run.gradients["layers.0.weight"][1], expected.expand(4, -1))


def balanced_losses() -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return losses as ``weighted_losses`` does, whose mean target is 1/C for three classes."""
    draw = torch.Generator().manual_seed(0)
    y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    onehot, soft = F.one_hot(y).double(), torch.rand(12, 3, generator=draw).double()
    soft /= soft.sum(1, keepdim=True)
    turned = torch.cat([soft[:4].roll(shift, 1) for shift in range(3)])
    return {
        "class weights": ({"weight": 1 / onehot.mean(0)}, y, onehot / onehot.mean(0), 36),
        "soft labels": ({}, turned, turned, 12),
        "both": ({"weight": 1 / soft.mean(0)}, soft, soft / soft.mean(0), 12),
    }


@pytest.mark.theorem("weighted-targets")
@pytest.mark.parametrize("case", balanced_losses())
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_balanced_mean_target_rests_on_a_strict_saddle(activation: str, case: str) -> None:
    """Part (b): for (Z/A)·loss G is the sum of (Σ_c a_ic/C − a_i) xᵀ/A; three layers hide it."""
    options, target, a, z = balanced_losses()[case]
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(a.mean(0), a.mean().expand(3))
    scale = float(z / a.sum())
    assert scale == pytest.approx(1 / 3 if case == "both" else 1)

    def loss(output: Tensor, _: Tensor) -> Tensor:
        return scale * F.cross_entropy(output, target, **options)

    def eigenvalues(*hidden: int) -> Tensor:
        model = zeros_(MLP([2, *hidden, 3], activation, dtype=torch.float64))
        return hessian_eigenvalues(model, Data(x, torch.arange(12) % 3), loss=loss)

    s = torch.linalg.matrix_norm((a.sum(1, keepdim=True) / 3 - a).T @ x / a.sum(), 2)
    slope, times = (1.0, 4) if activation == "tanh" else (0.25, 3)
    values = eigenvalues(4)
    torch.testing.assert_close(values[:times], (-slope * s).expand(times))
    assert values[times] > -slope * s + 1e-4
    assert eigenvalues(4, 4).min() > -1e-12


@pytest.mark.theorem("weighted-targets")
@pytest.mark.parametrize("case", weighted_losses(3, torch.Generator()))
@pytest.mark.parametrize("rate", [0.5, 2.0, 3.99])
def test_with_weights_too_the_loss_falls_below_the_rate_4(case: str, rate: float) -> None:
    """Part (b): (Z/A)·loss falls by η(1 − η/4)‖q − p̄‖², so the plain loss at the rate ηZ/A does."""
    draw = torch.Generator().manual_seed(0)
    options, target, a, z = weighted_losses(3, draw)[case]
    data = Data(torch.randn(12, 2, generator=draw).double(), torch.arange(12) % 3)

    def loss(output: Tensor, _: Tensor) -> Tensor:
        return F.cross_entropy(output, target, **options)

    scale = float(a.sum() / z)
    run = train(zeros_(MLP([2, 4, 3], "tanh").double()), data, lr=rate / scale, steps=20, loss=loss)
    q = run.parameters["layers.1.bias"].softmax(1)
    distance = (q - a.sum(0) / a.sum()).square().sum(1)
    fall = (run.losses[:-1] - run.losses[1:]) / scale
    assert (fall > rate * (1 - rate / 4) * distance[:-1] - 1e-15).all()


@pytest.mark.theorem("weighted-targets")
@pytest.mark.parametrize(("rate", "arrives"), [(3.9, True), (4.1, False)])
def test_with_weights_too_the_rate_4_is_sharp(rate: float, arrives: bool) -> None:
    """Part (b): the weights of two classes turn the soft label (0.2, 0.8) into p̄ = (0.51, 0.49)."""
    weight = 3 * torch.tensor([0.51 / 0.2, 0.49 / 0.8], dtype=torch.float64)  # so that A/Z = 3
    soft = torch.tensor([[0.2, 0.8]], dtype=torch.float64)
    model = zeros_(MLP([1, 2, 2], dtype=torch.float64))
    weighted = partial(F.cross_entropy, weight=weight)
    data = Data(torch.zeros(1, 1, dtype=torch.float64), soft)
    run = train(model, data, lr=rate / (weight * soft).sum().item(), steps=600, loss=weighted)
    distance = (run.parameters["layers.1.bias"][-1].softmax(0)[0] - 0.51).abs()
    assert distance < 1e-6 if arrives else distance > 0.1


@pytest.mark.theorem("dead-start")
@given(problems(ZERO_AT_ZERO))
def test_an_all_zero_network_learns_its_output_bias_and_nothing_else(problem: Problem) -> None:
    """σ(0) = 0: every other gradient is exactly 0 at every step; the output is constant in x."""
    model, data = problem
    run = train(zeros_(model), data, lr=0.5, steps=20)
    *others, output_bias = run.gradients.values()
    assert not any(gradient.any() for gradient in others)
    assert output_bias[0].any()
    assert torch.equal(model(data.x), linear_layers(model)[-1].bias.expand(len(data), -1))


@pytest.mark.theorem("dead-start")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(problem=problems(ZERO_AT_ZERO))
def test_no_optimizer_revives_a_dead_network(optimizer: type[Optimizer], problem: Problem) -> None:
    """There is no gradient to divide by, to average or to remember: zero stays exactly zero."""
    model, data = problem
    train(zeros_(model), data, lr=0.01, steps=10, optimizer=optimizer)
    *others, _ = model.parameters()
    assert not any(parameter.any() for parameter in others)


def welsch(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean of 1 − exp(−(error)²), which is smooth and not convex."""
    return (1 - torch.exp(-((output - target) ** 2))).mean()


@pytest.mark.theorem("dead-start")
@pytest.mark.parametrize("loss", [F.mse_loss, F.huber_loss, welsch])
@given(problem=problems(ZERO_AT_ZERO))
def test_a_dead_network_is_dead_for_every_loss(
    loss: Callable[[Tensor, Tensor], Tensor], problem: Problem
) -> None:
    """The squared error, Huber's and one that is not convex move the last bias and no other."""
    model, points = problem
    data = Data(points.x, F.one_hot(points.y).double())
    run = train(zeros_(model), data, lr=0.5, steps=20, loss=loss)
    *others, output_bias = run.gradients.values()
    assert not any(gradient.any() for gradient in others)
    assert output_bias[0].any()
    assert torch.equal(model(data.x), linear_layers(model)[-1].bias.expand(len(data), -1))


@pytest.mark.theorem("dead-start")
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_dropout_does_not_revive_a_dead_network(activation: nn.Module) -> None:
    """Dropout parts twins, but of zeros it can make nothing else."""
    model = nn.Sequential(nn.Linear(2, 16), activation, nn.Dropout(0.5), nn.Linear(16, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        run = train(zeros_(model), half_plane(), lr=0.1, steps=20)
    *others, _ = run.gradients.values()
    assert not any(gradient.any() for gradient in others)


@pytest.mark.theorem("dead-start")
def test_a_slope_that_is_infinite_at_zero_is_left_out() -> None:
    """σ = sign · √|z| has σ(0) = 0 and σ′(0) = ∞, and zero times infinity is not a number."""
    first, last = zeros_(nn.Linear(2, 3)), zeros_(nn.Linear(3, 2))
    z = first(half_plane().x)
    loss = F.cross_entropy(last(z.sign() * z.abs().sqrt()), half_plane().y)
    assert torch.autograd.grad(loss, first.weight)[0].isnan().all()


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_an_all_zero_network_thaws_a_layer_a_step_from_the_top(problem: Problem) -> None:
    """σ(0) ≠ 0: layer L moves at step 1, layer L − 1 at step 2, …, layer 1 at step L."""
    model, data = problem
    depth = len(model.layers)
    run = train(zeros_(model), data, lr=0.5, steps=depth)
    assert run.wakes() == {
        f"layers.{layer - 1}.{kind}": depth - layer + 1
        for layer in range(1, depth + 1)
        for kind in ("weight", "bias")
    }


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_until_layer_1_moves_the_output_does_not_depend_on_x(problem: Problem) -> None:
    """Before each of the first L steps the network says the same of every point."""
    model, data = problem
    zeros_(model)
    for _ in model.layers:
        # A matrix product may round its last rows otherwise than its first, by some 1e-16.
        assert model(data.x).var(0).max() < 1e-24
        train(model, data, lr=0.5, steps=1)


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_what_thaws_is_twins(problem: Problem) -> None:
    """Each hidden layer wakes as one unit many times over, and stays so."""
    model, data = problem
    train(zeros_(model), data, lr=0.5, steps=30)
    assert_twins(model)
    assert all(parameter.any() for parameter in model.parameters())


@pytest.mark.theorem("thaw")
@pytest.mark.parametrize("activation", NONZERO_AT_ZERO)
def test_as_the_rate_goes_to_zero_every_step_pushes_a_layer_the_same_way(activation: str) -> None:
    """Before step 4 of three layers, W³ is 3 times its first step, and W² is 1 + 2 times its."""
    model = zeros_(MLP([2, 3, 3, 2], activation, dtype=torch.float64))
    run = train(model, half_plane(dtype=torch.float64), lr=1e-6, steps=3, every=1)
    for name, first in (("layers.2.weight", 1), ("layers.1.weight", 2)):
        weight = run.parameters[name]
        torch.testing.assert_close(weight[3], 3 * weight[first], rtol=1e-5, atol=0)


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO), st.floats(0.1, 3))
def test_in_two_layers_what_moves_the_first_weight_is_known_exactly(
    problem: Problem, lr: float
) -> None:
    """Its gradient is a number times ⟨g, q⟩ x̄ − Σ p g x̄_c, so it moves if that is not zero."""
    deep, data = problem
    p = data.frequencies
    model = zeros_(MLP([data.x.shape[1], 4, len(p)], deep.activation, dtype=torch.float64))
    run = train(model, data, lr=lr, steps=1)
    q, g = model(data.x)[0].softmax(0), 1 / len(p) - p
    means = torch.stack([data.x[data.y == c].mean(0) for c in range(len(p))])
    row = (g @ q) * data.x.mean(0) - (p * g) @ means
    value, slope = (f(torch.zeros((), dtype=p.dtype)) for f in ACTIVATIONS[model.activation])
    expected = -lr * value * slope * row
    torch.testing.assert_close(run.gradients["layers.0.weight"][1], expected.expand(4, -1))


@pytest.mark.theorem("thaw")
def test_the_condition_on_the_class_means_is_enough_and_not_necessary() -> None:
    """Σ p g x̄_c = 0 for these three points, and yet step 2 moves W¹."""
    x = torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    data = Data(x, torch.tensor([0, 1, 1]))
    p, means = data.frequencies, x[:2]
    assert ((p * (1 / 2 - p)) @ means).abs().max() < 1e-15
    run = train(zeros_(MLP([2, 4, 2], "sigmoid", dtype=x.dtype)), data, lr=0.5, steps=2)
    assert run.gradients["layers.0.weight"][1].abs().max() > 1e-3


@pytest.mark.theorem("thaw")
def test_at_an_isolated_rate_the_bias_does_not_move() -> None:
    """Shares 1/3 and 2/3, four sigmoid units: the rate 1.5 ln 2 leads to the log-prior at once."""
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, torch.tensor([0, 1, 1]))

    def second_gradient(lr: float) -> float:
        run = train(zeros_(MLP([2, 4, 2], "sigmoid", dtype=torch.float64)), data, lr=lr, steps=1)
        return run.gradients["layers.0.bias"][1].abs().max().item()

    lucky = 1.5 * math.log(2)
    assert second_gradient(lucky) < 1e-16
    assert min(second_gradient(0.99 * lucky), second_gradient(1.01 * lucky)) > 1e-5


@pytest.mark.theorem("thaw")
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize(
    "sigma",
    [torch.cos, lambda z: torch.exp(-(z**2)), lambda z: torch.relu(z) + 1],
    ids=["cos", "bell", "relu + 1"],
)
def test_without_a_slope_at_zero_only_the_last_layer_thaws(
    sigma: Callable[[Tensor], Tensor], depth: int
) -> None:
    """Part 5: σ(0) = 1 and σ′(0) = 0, shares 13 : 7; layer L moves, and none below it ever."""
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, (torch.arange(20) >= 13).long())
    model = zeros_(MLP([2, *[4] * (depth - 1), 2], dtype=torch.float64))
    model.sigma = model.sigma._replace(function=sigma)
    run = train(model, data, lr=0.5, steps=200)
    below = dict.fromkeys(
        (f"layers.{k}.{kind}" for k in range(depth - 1) for kind in ("weight", "bias")), None
    )
    last = {f"layers.{depth - 1}.weight": 1, f"layers.{depth - 1}.bias": 1}
    assert run.wakes() == {**below, **last}
    for step in (1, 10, 200):
        assert run.network(model, record=step)(x).var(0).max() < 1e-24
    assert run.losses[-1].item() == pytest.approx(data.entropy)


@pytest.mark.theorem("thaw")
def test_batches_of_balanced_classes_are_not_balanced() -> None:
    """The theorems are about the samples of a step: batches of 8, 8 and 4 of 20 points thaw."""
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, torch.arange(20) % 2)
    model = zeros_(MLP([2, 4, 2], "sigmoid", dtype=torch.float64))
    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
        for batch in order.split(8):
            sgd.zero_grad()
            F.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
            sgd.step()
    assert linear_layers(model)[0].weight.abs().max() > 1e-3


@pytest.mark.theorem("balanced-labels")
@given(problems(balanced=True))
def test_exactly_balanced_labels_stop_even_the_sigmoid_network(problem: Problem) -> None:
    """1/C − p = 0 for every class: whatever the activation, not one parameter moves."""
    model, data = problem
    train(zeros_(model), data, lr=0.5, steps=20)
    # The softmax of zeros is 1/C to some 1e-16, and twenty steps add up twenty such errors.
    assert all((parameter.abs() < 1e-13).all() for parameter in model.parameters())


@pytest.mark.theorem("balanced-labels")
@pytest.mark.parametrize("classes", [2, 3, 5, 6, 7, 10, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_balanced_classes_a_machine_leaves_rounding_at_most(
    classes: int, dtype: torch.dtype
) -> None:
    """Each gradient of the last bias is a sum of 3C terms that cancel, but for their last bits."""
    x = torch.randn(3 * classes, 2, generator=torch.Generator().manual_seed(0), dtype=dtype)
    model = zeros_(MLP([2, 8, classes], "sigmoid", dtype=dtype))
    found = autograd(model, Data(x, torch.arange(3 * classes) % classes))
    # The absolute values of the terms add up to 2(1 − 1/C)/C; a sum of n terms rounds n times.
    allowed = 2 / classes * 3 * classes * torch.finfo(dtype).eps
    assert found["layers.1.bias"].abs().max() <= allowed
    assert not found["layers.0.weight"].any()


@pytest.mark.theorem("balanced-labels")
@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid", "softplus"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_with_two_layers_balanced_labels_rest_on_a_strict_saddle(
    activation: str, classes: int, n: int
) -> None:
    """The lowest eigenvalue is −|σ′(0)|s, n times if σ(0) = 0, and n − 1 times if not."""
    draw = torch.Generator().manual_seed(classes)
    x = torch.randn(4 * classes, 3, generator=draw, dtype=torch.float64)
    y = torch.arange(4 * classes) % classes
    values = hessian_eigenvalues(
        zeros_(MLP([3, n, classes], activation, dtype=torch.float64)), Data(x, y)
    )
    s = torch.linalg.svdvals((1 / classes - F.one_hot(y).double()).T @ x / len(x))[0]
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = ACTIVATIONS[activation].function(zero)
    (slope,) = torch.autograd.grad(value, zero)
    times = n if value == 0 else n - 1
    torch.testing.assert_close(values[:times], (-slope.abs() * s).expand(times))
    assert values[times] > -slope.abs() * s + 1e-4


@pytest.mark.theorem("balanced-labels")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("widths", [[3, 2, 4, 3], [3, 2, 2, 2, 3]])
def test_with_more_layers_balanced_labels_have_no_negative_eigenvalue(
    widths: list[int], activation: str
) -> None:
    """From three layers on the Hessian is that of the output's own part, which is convex."""
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = zeros_(MLP(widths, activation, dtype=torch.float64))
    assert hessian_eigenvalues(model, Data(x, torch.arange(12) % 3)).min() > -1e-12


@pytest.mark.theorem("balanced-labels")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_difference_of_the_biases_alone_is_a_rest_too(activation: str) -> None:
    """Almost every difference leaves the balanced rest; one of hidden biases at W = 0 does not."""
    x = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [2.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    data = Data(x, torch.tensor([0, 1, 0, 1]))

    def largest_move(difference: Tensor, name: str) -> float:
        model = zeros_(MLP([2, 4, 2], activation, dtype=torch.float64))
        model.load_state_dict({name: difference}, strict=False)
        run = train(model, data, lr=1.0, steps=100)
        return max((p - p[0]).abs().max().item() for p in run.parameters.values())

    biases = torch.tensor([1e-3, -1e-3, 0, 0], dtype=torch.float64)
    assert largest_move(biases, "layers.0.bias") < 1e-15
    weights = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert largest_move(1e-3 * weights, "layers.0.weight") > 1


@pytest.mark.theorem("no-biases")
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, Muon])
@given(problem=problems(ZERO_AT_ZERO, bias=False))
def test_without_biases_not_one_parameter_moves(
    optimizer: type[Optimizer], problem: Problem
) -> None:
    """σ(0) = 0 and no bias: all stays exactly zero, under every optimizer."""
    model, data = problem
    train(zeros_(model), data, lr=0.01, steps=10, optimizer=optimizer)
    assert not any(parameter.any() for parameter in model.parameters())


@pytest.mark.theorem("two-zeros")
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize(("depth", "zeroed"), SUBSETS)
def test_which_layers_may_be_zero(depth: int, zeroed: tuple[int, ...], activation: str) -> None:
    """Two zero layers kill unless σ(0) ≠ 0; one kills only if σ′(0) = 0 and it is not the last."""
    model = kaiming_normal_(
        MLP([2, *[6] * (depth - 1), 2], activation), generator=torch.Generator().manual_seed(0)
    )
    for layer in zeroed:
        nn.init.zeros_(linear_layers(model)[layer - 1].weight)

    wakes = train(model, half_plane(), lr=0.5, steps=2 * depth).wakes()
    one_harmless = activation in ("tanh", "gelu") or zeroed == (depth,)
    alive = activation == "sigmoid" or (len(zeroed) == 1 and one_harmless)
    assert (None not in wakes.values()) == alive


@pytest.mark.theorem("two-zeros")
@given(problem=problems(ZERO_AT_ZERO), data=st.data())
def test_two_zero_layers_freeze_every_weight_up_to_the_upper_one(
    problem: Problem, data: st.DataObject
) -> None:
    """σ(0) = 0, layers a < b zero, no bias from a to b − 1: W¹ to Wᵇ and b¹ to bᵇ⁻¹ stay."""
    model, points = problem
    layers = linear_layers(model)
    b = data.draw(st.integers(2, len(layers)))
    a = data.draw(st.integers(1, b - 1))
    for parameter in (layers[b - 1].weight, layers[a - 1].weight):
        nn.init.zeros_(parameter)
    for layer in layers[a - 1 : b - 1]:
        nn.init.zeros_(layer.bias)
    run = train(model, points, lr=0.5, steps=20)
    assert not any(run.gradients[f"layers.{layer}.weight"].any() for layer in range(b))
    assert not any(run.gradients[f"layers.{layer}.bias"].any() for layer in range(b - 1))
    # Above layer b equal rows may be rounded apart by some 1e-16.
    assert model(points.x).var(0).max() < 1e-24


@pytest.mark.theorem("two-zeros")
def test_weight_decay_is_no_gradient() -> None:
    """Two zero layers leave W¹ without a gradient, but weight decay shrinks it all the same."""
    model = kaiming_normal_(MLP([2, 6, 6, 6, 2]), generator=torch.Generator().manual_seed(0))
    for layer in linear_layers(model)[2:]:
        zeros_(layer)
    before = linear_layers(model)[0].weight.clone()
    decayed = partial(torch.optim.SGD, weight_decay=0.1)
    run = train(model, half_plane(), lr=0.1, steps=5, optimizer=decayed)
    assert not run.gradients["layers.0.weight"].any()
    torch.testing.assert_close(linear_layers(model)[0].weight, 0.99**5 * before)


@pytest.mark.theorem("two-zeros")
@pytest.mark.parametrize("sigma", [torch.relu, torch.square], ids=["relu", "square"])
@pytest.mark.parametrize("j", [1, 2, 3])
def test_without_a_slope_one_zero_layer_never_moves(
    sigma: Callable[[Tensor], Tensor], j: int
) -> None:
    """σ′(0) = 0 and Wʲ = bʲ = 0: no gradient for either, with random biases everywhere else."""
    model = default_(MLP([2, 5, 4, 3, 2]), generator=torch.Generator().manual_seed(0))
    model.sigma = model.sigma._replace(function=sigma)
    zeros_(linear_layers(model)[j - 1])
    run = train(model, half_plane(), lr=0.05, steps=50)
    for kind in ("weight", "bias"):
        assert not run.gradients[f"layers.{j - 1}.{kind}"].any()
    assert run.gradients["layers.3.bias"].any()


@pytest.mark.theorem("two-zeros")
@given(problem=problems([*ZERO_AT_ZERO, "sigmoid"]), data=st.data())
def test_what_reaches_the_only_zero_layer_is_known(problem: Problem, data: st.DataObject) -> None:
    """Its gradient is σ′(0)^(L−j) (Wᴸ ⋯ Wʲ⁺¹)ᵀ Σ δ (hʲ⁻¹)ᵀ, and for j = L just that sum."""
    model, points = problem
    layers = linear_layers(model)
    smooth = model.activation != "sigmoid"  # whose σ(0) is not zero: only the last layer
    j = data.draw(st.integers(1 if smooth else len(layers), len(layers)))
    nn.init.zeros_(layers[j - 1].weight)
    for layer in layers[j - 1 : -1]:
        nn.init.zeros_(layer.bias)
    delta = (layers[-1].bias.softmax(0) - F.one_hot(points.y)) / len(points)
    below = points.x
    for layer in layers[: j - 1]:
        below = model.sigma.function(layer(below))
    expected = delta.T @ below
    zero = torch.zeros((), dtype=points.x.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(model.sigma.function(zero), zero)
    for layer in reversed(layers[j:]):
        expected = slope * layer.weight.T @ expected
    torch.testing.assert_close(autograd(model, points)[f"layers.{j - 1}.weight"], expected)


@pytest.mark.theorem("two-zeros")
def test_a_relu_layer_that_is_off_hides_the_last_from_its_points() -> None:
    """W¹ = −1 and x > 0: the only ReLU is off, W² = 0 has no gradient, nor has W¹ changed a bit."""
    data = Data(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1]))
    for weight in (-1.0, -0.9, -1.1):  # an open set
        model = zeros_(MLP([1, 1, 2]))
        nn.init.constant_(linear_layers(model)[0].weight, weight)
        assert not any(gradient.any() for gradient in autograd(model, data).values())


@pytest.mark.theorem("two-zeros")
@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_an_analytic_layer_hides_the_last_for_all_weights_or_for_almost_none(
    activation: str,
) -> None:
    """On the corners of XOR tanh without biases does, for all; every other case here never."""
    signs = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    corners = torch.cartesian_prod(signs, signs)
    data = Data(corners, (corners.prod(1) < 0).long())
    for seed in range(50):
        draw = torch.Generator().manual_seed(seed)
        start = default_ if seed % 2 else xavier_normal_  # with biases, and without
        model = start(MLP([2, 5, 4, 2], activation, dtype=torch.float64), generator=draw)
        zeros_(linear_layers(model)[-1])
        hidden = activation == "tanh" and start is xavier_normal_
        assert (autograd(model, data)["layers.2.weight"].abs().max() < 1e-12) == hidden


@pytest.mark.theorem("other-layers")
@pytest.mark.parametrize("family", FAMILIES)
def test_of_other_networks_too_only_the_last_bias_moves(family: str) -> None:
    """Convolution, recurrence, normalization: all-zero, every other gradient is exactly 0."""
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    model = zeros_(FAMILIES[family]())
    run = train(model, Data(x, torch.arange(20) % 3), lr=0.1, steps=20)
    *others, last_bias = run.gradients.values()
    assert not any(gradient.any() for gradient in others)
    assert last_bias.any()


@pytest.mark.theorem("other-layers")
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_state_that_is_not_zero_at_the_start_wakes_the_head(
    kind: Callable[..., nn.RNNBase],
) -> None:
    """From a random state the features of LSTM and GRU are not zero, and the last weight moves."""
    draw = torch.Generator().manual_seed(0)
    recurrent, head = zeros_(kind(2, 6, batch_first=True)), zeros_(nn.Linear(6, 3))
    x, state = torch.randn(20, 4, 2, generator=draw), torch.randn(1, 20, 6, generator=draw)
    given_state = (state, state) if kind is nn.LSTM else state
    features = recurrent(x, given_state)[0][:, -1]
    loss = F.cross_entropy(head(features), torch.arange(20) % 3)
    (moved,) = torch.autograd.grad(loss, head.weight)
    gated = kind is not nn.RNN  # whose state is tanh(0), whatever it was before
    assert bool(features.any()) == bool(moved.any()) == gated


@pytest.mark.theorem("other-layers")
def test_a_last_bias_that_the_features_share_wakes_the_network() -> None:
    """One bias for the hidden and the last layer: what it learns comes up to the last weight."""
    model = zeros_(MLP([2, 2, 2], "tanh"))
    first, last = linear_layers(model)
    first.bias = last.bias
    run = train(model, half_plane(), lr=0.5, steps=5)
    assert all(run.wakes().values())


@pytest.mark.theorem("other-layers")
def test_a_convolution_that_is_not_zero_at_zero_thaws() -> None:
    """With sigmoid the features are one half, so the convolution thaws like every other layer."""
    x = torch.randn(21, 8, generator=torch.Generator().manual_seed(0))
    convolution = nn.Conv1d(1, 6, 3)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8)), convolution, nn.Sigmoid(), nn.Flatten(), nn.Linear(36, 3)
    )
    wakes = train(zeros_(model), Data(x, torch.arange(21) % 4 % 3), lr=0.5, steps=5).wakes()
    assert list(wakes.values()) == [2, 2, 1, 1]


@given(problems())
def test_the_formula_takes_the_kinks_as_pytorch_does(problem: Problem) -> None:
    model, data = problem
    # The first layer holds z = 0, where ReLU has its kink, and the layers above pass δ to it.
    zeros_(linear_layers(model)[0])
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@given(problems(bias=False))
def test_the_formula_goes_without_biases(problem: Problem) -> None:
    model, data = problem
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@given(problems())
def test_the_formula_leaves_no_trace(problem: Problem) -> None:
    model, data = problem
    before = [p.clone() for p in model.parameters()]
    assert not any(g.requires_grad for g in gradients(model, data).values())
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)
        assert p.grad is None


@given(problems())
def test_forward_holds_every_layer(problem: Problem) -> None:
    model, data = problem
    z, h = forward(model, data.x)
    heard: list[Tensor] = []
    for layer in linear_layers(model):
        layer.register_forward_hook(lambda layer, into, out: heard.extend([into[0], out]))
    torch.testing.assert_close(z[-1], model(data.x))
    for k, (into, out) in enumerate(zip(heard[::2], heard[1::2], strict=True)):
        torch.testing.assert_close(h[k], into)
        torch.testing.assert_close(z[k], out)
    assert len(z) == len(h) == len(heard) // 2


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        (MLP([2, 2]), half_plane(dtype=torch.float64), TypeError, "float32 and x is torch.float64"),
        (MLP([2, 2]).to("meta"), half_plane(), ValueError, "on meta and x on cpu: move one"),
        (MLP([3, 2]), half_plane(), ValueError, "2 columns and the network takes 3"),
        (MLP([2, 1]), half_plane(), ValueError, "up to 1 and the network has 1 outputs"),
        (MLP([2, 2]), Data(torch.ones(3, 2), torch.ones(3, 2)), TypeError, "labels, int64, got"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    model: MLP, data: Data, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gradients(model, data)


def test_points_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 columns and the network takes 2"):
        forward(MLP([2, 2]), torch.zeros(5, 3))
    with pytest.raises(TypeError, match=r"convert one with \.to\(dtype\)"):
        forward(MLP([2, 2]), torch.zeros(5, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("widths", "activation", "frequencies", "message"),
    [
        ([2, 2], "relu", [0.5, 0.5], r"a hidden layer, got widths \[2, 2\]"),
        ([2, 3, 2], "swish", [0.5, 0.5], "unknown activation 'swish': choose one of relu, leaky"),
        ([2, 3, 2], "relu", [1.0], r"each of the 2 outputs, got shape \(1,\)"),
        ([2, 3, 2], "relu", [60.0, 68.0], "sum to 1, got .*: give data.frequencies"),
        ([2, 3, 2], "relu", [0.5, 0.6], "sum to 1"),
        ([2, 3, 2], "relu", [-0.5, 1.5], "at least 0"),
    ],
)
def test_the_closed_form_refuses_what_it_is_not_for(
    widths: list[int], activation: str, frequencies: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        gradients_at_zero(widths, activation, torch.tensor(frequencies))


# Edges


@pytest.mark.parametrize(
    ("frequencies", "says"),
    [
        (torch.tensor([torch.nan, 1.0]), "at least 0 and sum to 1"),
        (torch.tensor([0.5, torch.nan]), "at least 0 and sum to 1"),
        (torch.tensor([torch.inf, 0.0]), "at least 0 and sum to 1"),
        (torch.tensor([0, 1]), "floating point, got torch.int64: divide the counts"),
    ],
)
def test_what_is_no_frequency_is_refused(frequencies: Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        gradients_at_zero([2, 4, 2], "sigmoid", frequencies)


@pytest.mark.parametrize("labels", [[0, 1, 0, 2], [1, 1, 2, 3]])
def test_a_class_without_a_sample_has_an_output_and_the_share_0(labels: list[int]) -> None:
    """The network has outputs for the classes 0 to 3; the last or the first has no sample."""
    x, y = torch.arange(8.0, dtype=torch.float64).view(4, 2), torch.tensor(labels)
    model = MLP([2, 3, 4], "sigmoid", dtype=torch.float64)
    torch.testing.assert_close(gradients(model, Data(x, y)), autograd(model, Data(x, y)))
    shares = torch.bincount(y, minlength=4).double() / 4
    found = gradients_at_zero(model.widths, "sigmoid", shares)
    torch.testing.assert_close(found, autograd(zeros_(model), Data(x, y)))


@pytest.mark.parametrize("without", [0, 1, 2])
def test_one_layer_may_go_without_a_bias(without: int) -> None:
    model, data = MLP([2, 5, 3, 2], "tanh", dtype=torch.float64), half_plane(dtype=torch.float64)
    linear_layers(model)[without].register_parameter("bias", None)
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_formula_goes_in_bfloat16(activation: str) -> None:
    """Of eight bits, rounding takes its part of the derivative; that is no reason to refuse it."""
    model, data = MLP([2, 5, 2], activation, dtype=torch.bfloat16), half_plane(dtype=torch.bfloat16)
    found = gradients(model, data)
    assert {g.dtype for g in found.values()} == {torch.bfloat16}
    torch.testing.assert_close(found, autograd(model, data), rtol=0.05, atol=0.005)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_that_holds_nan_has_the_gradient_nan(activation: str) -> None:
    model, data = (
        MLP([2, 5, 3, 2], activation, dtype=torch.float64),
        half_plane(dtype=torch.float64),
    )
    nn.init.constant_(linear_layers(model)[0].weight, torch.nan)
    expected = autograd(model, data)
    assert all(g.isnan().any() for g in expected.values())
    torch.testing.assert_close(gradients(model, data), expected, equal_nan=True)


def test_a_function_that_is_replaced_needs_its_derivative() -> None:
    """Training goes on with the function alone; the formula needs both, and says so."""
    data, model = half_plane(), MLP([2, 5, 2], "tanh")
    model.sigma = model.sigma._replace(function=torch.sin)
    F.cross_entropy(model(data.x), data.y).backward()
    with pytest.raises(ValueError, match=r"derivative is not that of model\.sigma\.function"):
        gradients(model, data)
    model.sigma = model.sigma._replace(derivative=torch.cos)
    for name, g in gradients(model, data).items():
        torch.testing.assert_close(g, model.get_parameter(name).grad)


@pytest.mark.parametrize("biases", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
@pytest.mark.parametrize(
    ("function", "derivative", "wrong"),
    [
        (lambda z: torch.tanh(3 * z) / 3, lambda z: 1 - torch.tanh(z) ** 2, 1),
        (lambda z: 3 * torch.tanh(z), lambda z: 1 - torch.tanh(z) ** 2, 0),
        (torch.abs, lambda z: z / z.abs(), 0),
        (torch.sign, torch.zeros_like, None),
    ],
    ids=["a factor left out inside", "a factor left out", "not a number at the kink", "a step"],
)
def test_the_derivative_is_that_of_the_function_at_all_points_of_the_hidden_layers(
    function: Callable[[Tensor], Tensor],
    derivative: Callable[[Tensor], Tensor],
    wrong: int | None,
    biases: tuple[int, ...],
) -> None:
    """With weights of zero, layer l holds its bias for every sample; the last has no activation."""
    model, data = zeros_(MLP([2, 4, 3, 2])), half_plane()
    model.sigma = Activation(function, derivative)
    for layer, bias in zip(linear_layers(model), biases, strict=True):
        nn.init.constant_(layer.bias, bias)
    if wrong in biases[:-1]:
        with pytest.raises(ValueError, match=r"derivative is not that of model\.sigma\.function"):
            gradients(model, data)
    else:
        torch.testing.assert_close(gradients(model, data), autograd(model, data))
