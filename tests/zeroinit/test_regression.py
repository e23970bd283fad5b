"""Least squares and softmax regression from zero, and what a second linear layer spoils."""

import math
from functools import reduce
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import autograd, lbfgs, plain_loop
from strategies import Problem, least_squares, problems
from torch import Generator, Tensor, nn
from torch.autograd.functional import hessian
from torch.optim import LBFGS, SGD

from zeroinit import (
    MLP,
    Data,
    half_plane,
    linear_layers,
    log_prior_,
    normal_,
    train,
    train_many,
    xor,
    zeros_,
)
from zeroinit.escape import hessian_eigenvalues
from zeroinit.regression import descend, largest_rate, limit
from zeroinit.training import Loss

LeastSquares = tuple[Tensor, Tensor, Tensor]


def curvature(data: Data) -> float:
    """Return K, the largest eigenvalue of the mean of x̃x̃ᵀ, where x̃ = (x, 1)."""
    points = torch.cat([data.x, torch.ones(len(data), 1, dtype=data.x.dtype)], dim=1)
    return float(torch.linalg.eigvalsh(points.T @ points / len(data))[-1])


def rest(widths: list[int], data: Data) -> MLP:
    """Return a linear network in which all is zero but the output bias, the log-prior."""
    model = zeros_(MLP(widths, "identity", dtype=torch.float64))
    log_prior_(linear_layers(model)[-1], data)
    return model


@pytest.mark.theorem("least-norm")
@given(least_squares())
def test_descent_from_zero_ends_at_the_solution_of_least_norm(case: LeastSquares) -> None:
    """Of all weights that fit best, LAPACK's gelsd gives those of least norm; so does descent."""
    x, y, start = case
    path = descend(x, y, torch.zeros_like(start), lr=0.9 * largest_rate(x), steps=400)
    least = torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(path[-1], least)
    torch.testing.assert_close(limit(x, y, torch.zeros_like(start)), least)


@pytest.mark.theorem("least-norm")
@given(least_squares())
def test_descent_from_elsewhere_ends_at_the_solution_nearest_to_its_start(
    case: LeastSquares,
) -> None:
    """X⁺y + (I − X⁺X)w₀ is w₀ and the least step that mends what w₀ leaves unexplained."""
    x, y, start = case
    path = descend(x, y, start, lr=0.9 * largest_rate(x), steps=400)
    mend = torch.linalg.lstsq(x, (y - x @ start)[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(path[-1], start + mend)
    torch.testing.assert_close(limit(x, y, start), start + mend)


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("bias", [True, False])
@given(problem=problems())
def test_the_loss_of_softmax_regression_is_convex(bias: bool, problem: Problem) -> None:
    """At every point the Hessian has no eigenvalue below 0."""
    _, data = problem
    classes = len(data.frequencies)
    x = torch.cat([data.x, torch.full_like(data.x[:, :1], float(bias))], dim=1)

    def loss(weight: Tensor) -> Tensor:
        return F.cross_entropy(x @ weight.view(classes, -1).T, data.y)

    for scale in (0.0, 1.0, 3.0):
        weight = scale * torch.linspace(-1, 1, classes * x.shape[1], dtype=torch.float64)
        assert torch.linalg.eigvalsh(hessian(loss, weight)).min() > -1e-12


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_softmax_regression_goes_to_the_same_loss_from_zero_and_from_everywhere(
    share: float,
) -> None:
    """There is one minimum, LBFGS finds it, and below 4/K every descent from every start does."""
    data = xor(64, noise=0.8, dtype=torch.float64)
    model = MLP([2, 2], dtype=torch.float64)
    least = torch.tensor(lbfgs(model, data, lr=1, iterations=50)).double()
    lr = share * 4 / curvature(data)
    from_everywhere = train_many(model, data, start="default", seeds=range(20), lr=lr, steps=300)
    from_zero = train(zeros_(MLP([2, 2], dtype=torch.float64)), data, lr=lr, steps=300)

    torch.testing.assert_close(from_zero.losses[-1], least)
    torch.testing.assert_close(from_everywhere.losses[-1], least.expand(20))


@pytest.mark.theorem("convex-classifier")
@given(problem=problems(), seed=st.integers(0, 99))
def test_below_4_over_k_the_loss_of_softmax_regression_never_rises(
    problem: Problem, seed: int
) -> None:
    """From far away too: in a step the loss falls, or stays the same up to rounding."""
    _, data = problem
    model = MLP([data.x.shape[1], len(data.frequencies)], dtype=torch.float64)
    normal_(model, 3, generator=Generator().manual_seed(seed))
    run = train(model, data, lr=0.999 * 4 / curvature(data), steps=20)
    assert (run.losses.diff() <= 1e-13).all()


@pytest.mark.theorem("convex-classifier")
def test_where_no_weights_are_best_the_loss_still_comes_down_to_its_infimum() -> None:
    """Two points of two classes: no weights reach the infimum 0, but descent goes there."""
    data = Data(torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0, 1]))
    model = zeros_(MLP([1, 2], dtype=torch.float64))
    losses = train(model, data, lr=0.99 * 4 / curvature(data), steps=800).losses
    for steps in (100, 200, 400):
        halved = losses[2 * steps] / losses[steps]
        assert halved.item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("x", [0.0, 2.0])
def test_above_4_over_k_descent_may_miss_the_minimum(x: float) -> None:
    """One point with both labels: just below 4/K every start ends at ln 2, just above none does."""
    data = Data(torch.tensor([[x], [x]]).double(), torch.tensor([0, 1]))
    assert curvature(data) == pytest.approx(1 + x**2)
    for share, arrives in ((0.95, True), (1.05, False)):
        run = train_many(
            MLP([1, 2], dtype=torch.float64), data, start="default", seeds=range(20),
            lr=share * 4 / curvature(data), steps=300,
        )  # fmt: skip
        assert ((run.losses[-1] - math.log(2) < 1e-9) == arrives).all()

    # From zero too, if of a hundred such labels 51 are 0: the least loss is their entropy.
    data = Data(torch.full((100, 1), x).double(), (torch.arange(100) >= 51).long())
    for share, arrives in ((0.95, True), (1.05, False)):
        model = zeros_(MLP([1, 2], dtype=torch.float64))
        losses = train(model, data, lr=share * 4 / curvature(data), steps=300).losses
        assert (losses[-1] - data.entropy < 1e-9) == arrives


@pytest.mark.theorem("convex-classifier")
def test_a_step_that_lands_exactly_on_the_minimum_ends_there_at_any_rate() -> None:
    """Of a point with both labels: from logits that differ by d, at η = d/(K tanh(d/2)) > 4/K."""
    data = Data(torch.zeros(2, 1).double(), torch.tensor([0, 1]))
    for d in (4.0, 8.0):
        model = zeros_(MLP([1, 2], dtype=torch.float64))
        nn.init.constant_(linear_layers(model)[0].bias[:1], d)
        lr = d / math.tanh(d / 2)
        assert lr > 1.03 * 4 / curvature(data)
        losses = train(model, data, lr=lr, steps=3).losses
        torch.testing.assert_close(losses[1:], torch.full((3,), math.log(2)).double())


@pytest.mark.theorem("convex-classifier")
def test_one_point_must_carry_each_of_two_labels_once() -> None:
    """With nine labels 0 and one 1 the loss is flatter, and every start arrives above 4/K too."""
    data = Data(torch.zeros(10, 1).double(), (torch.arange(10) == 9).long())
    run = train_many(
        MLP([1, 2], dtype=torch.float64), data, start="default", seeds=range(20),
        lr=1.05 * 4 / curvature(data), steps=300,
    )  # fmt: skip
    assert (run.losses[-1] - data.entropy < 1e-9).all()


def weighted_curvature(x: Tensor, share: Tensor) -> float:
    """Return K for the mean with these weights, which sum to one."""
    points = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    return float(torch.linalg.eigvalsh(points.T @ (share[:, None] * points))[-1])


def weighted(data: Data, smoothing: float) -> tuple[Loss, Tensor, Tensor]:
    """Return (Z/A)ℒ with class weights 1, 2, …, the targets a/A, and the weights of the samples.

    Class weights alone make A = Z, and then PyTorch's own loss is returned.
    """
    classes = len(data.frequencies)
    weight = torch.arange(1, classes + 1, dtype=torch.float64)
    a = weight * ((1 - smoothing) * F.one_hot(data.y).double() + smoothing / classes)
    scale = float(weight[data.y].sum() / a.sum()) if smoothing else 1.0

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return scale * F.cross_entropy(output, y, weight=weight, label_smoothing=smoothing)

    return loss, a / a.sum(), a.sum(1) / a.sum()


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@given(problem=problems(), seed=st.integers(0, 99))
def test_with_weights_the_loss_never_rises_below_4_over_the_weighted_k(
    smoothing: float, problem: Problem, seed: int
) -> None:
    """With class weights, and with smoothing too, for Z/A times the loss."""
    _, data = problem
    loss, _, share = weighted(data, smoothing)
    model = MLP([data.x.shape[1], len(data.frequencies)], dtype=torch.float64)
    normal_(model, 3, generator=Generator().manual_seed(seed))
    lr = 0.999 * 4 / weighted_curvature(data.x, share)
    run = train(model, data, lr=lr, steps=20, loss=loss)
    assert (run.losses.diff() <= 1e-13).all()


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_with_weights_descent_comes_down_to_the_same_loss_from_everywhere(
    smoothing: float,
) -> None:
    """The weighted loss has a minimum, LBFGS finds it, and so do zero and twenty starts."""
    data = xor(64, noise=0.8, dtype=torch.float64)
    loss, _, share = weighted(data, smoothing)
    lr, model = 0.99 * 4 / weighted_curvature(data.x, share), MLP([2, 2], dtype=torch.float64)

    def start(model: nn.Module, generator: Generator) -> None:
        normal_(model, 3, generator=generator)

    ends = train_many(model, data, start=start, seeds=range(20), lr=lr, steps=500, loss=loss)
    zero = train(zeros_(MLP([2, 2], dtype=torch.float64)), data, lr=lr, steps=500, loss=loss)
    optimizer = LBFGS(model.parameters(), lr=1, max_iter=50)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(model(data.x), data.y)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(zero.losses[-1], closure().detach())
    torch.testing.assert_close(ends.losses[-1], zero.losses[-1].expand(20))


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("x", [0.0, 2.0])
def test_with_weights_4_over_the_weighted_k_is_the_bound(x: float) -> None:
    """A point with two labels 0 of weight 1 and one label 1 of weight 2: as with one of each."""
    data = Data(torch.full((3, 1), x).double(), torch.tensor([0, 0, 1]))
    loss, _, share = weighted(data, 0.0)
    for rate, arrives in ((0.95, True), (1.05, False)):
        run = train_many(
            MLP([1, 2], dtype=torch.float64), data, start="default", seeds=range(20),
            lr=rate * 4 / weighted_curvature(data.x, share), steps=300, loss=loss,
        )  # fmt: skip
        assert ((run.losses[-1] - math.log(2) < 1e-9) == arrives).all()


@pytest.mark.theorem("convex-classifier")
def test_the_moment_without_the_weights_gives_a_weighted_loss_no_bound() -> None:
    """Weights that stress the points far out: just below 4/K of the plain mean the loss rises."""
    x = torch.tensor([[0.0]] * 18 + [[10.0]] * 3, dtype=torch.float64)
    data = Data(x, torch.tensor([0] * 20 + [1]))
    loss, _, share = weighted(data, 0.0)
    for K, falls in ((weighted_curvature(x, share), True), (curvature(data), False)):
        model = zeros_(MLP([1, 2], dtype=torch.float64))
        losses = train(model, data, lr=0.99 * 4 / K, steps=100, loss=loss).losses
        assert (losses.diff() <= 1e-13).all() == falls


@pytest.mark.theorem("convex-classifier")
def test_where_the_weights_do_not_sum_to_z_the_bound_is_not_that_of_the_loss_itself() -> None:
    """Class weights 1 and 100 with smoothing 0.1, one point with the labels 0, 0: K = 1.

    Then A = 5.95 Z. At the rate 3.9 the loss rises; Z/A times the loss falls.
    """
    weight, y = torch.tensor([1.0, 100.0], dtype=torch.float64), torch.tensor([0, 0])
    x = torch.zeros(2, 1, dtype=torch.float64)
    assert weighted_curvature(x, torch.full((2,), 0.5).double()) == 1
    Z, A = 2 * 1, 2 * (0.95 * 1 + 0.05 * 100)
    for scale, falls in ((1.0, False), (Z / A, True)):
        model = zeros_(nn.Linear(1, 2, dtype=torch.float64))
        optimizer = SGD(model.parameters(), lr=3.9)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = scale * F.cross_entropy(model(x), y, weight=weight, label_smoothing=0.1)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        assert all(later <= before + 1e-13 for before, later in pairwise(losses)) == falls
        assert (losses[1] < losses[0]) == falls


@pytest.mark.theorem("convex-classifier")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@given(problem=problems())
def test_with_weights_the_gradient_at_zero_is_made_of_weighted_means(
    smoothing: float, problem: Problem
) -> None:
    """The frequencies, the means of the classes and the mean of all are weighted."""
    _, data = problem
    classes = len(data.frequencies)
    loss, target, share = weighted(data, smoothing)
    zero = zeros_(MLP([data.x.shape[1], classes], dtype=torch.float64))
    weight, bias = torch.autograd.grad(loss(zero(data.x), data.y), list(zero.parameters()))
    for c in range(classes):
        p, mean = target[:, c].sum(), target[:, c] @ data.x / target[:, c].sum()
        torch.testing.assert_close(weight[c], share @ data.x / classes - p * mean)
        torch.testing.assert_close(bias[c], 1 / classes - p)


@pytest.mark.theorem("convex-classifier")
@given(problems())
def test_the_gradient_at_zero_is_made_of_the_means_of_the_classes(problem: Problem) -> None:
    """Autograd gives the rows x̄/C − p_c x̄_c for W, and 1/C − p_c for b."""
    _, data = problem
    classes = len(data.frequencies)
    zero = zeros_(MLP([data.x.shape[1], classes], dtype=torch.float64))
    weight, bias = autograd(zero, data).values()
    for c in range(classes):
        share, mean = (data.y == c).double().mean(), data.x[data.y == c].mean(0)
        torch.testing.assert_close(weight[c], data.x.mean(0) / classes - share * mean)
        torch.testing.assert_close(bias[c], 1 / classes - share)


@pytest.mark.theorem("convex-classifier")
def test_where_the_gradient_at_zero_is_zero_no_weights_are_better() -> None:
    """On the corners of XOR it is, and LBFGS finds nothing below ln 2."""
    corners = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]).double()
    data = Data(corners, torch.tensor([0, 0, 1, 1]))
    zero = zeros_(MLP([2, 2], dtype=torch.float64))
    assert not any(gradient.any() for gradient in autograd(zero, data).values())
    least = lbfgs(MLP([2, 2], dtype=torch.float64), data, lr=1, iterations=50)
    assert least == pytest.approx(math.log(2))


@pytest.mark.theorem("depth-not-nonlinearity")
@given(least_squares())
def test_a_second_linear_layer_stops_what_one_layer_learns(case: LeastSquares) -> None:
    """From all-zero, w = W²W¹ never moves at all; the same w, as one layer, moves at step 1."""
    x, y, _ = case
    data, d = Data(x, y[:, None]), x.shape[1]
    one = zeros_(MLP([d, 1], "identity", bias=False, dtype=x.dtype))
    two = zeros_(MLP([d, 4, 1], "identity", bias=False, dtype=x.dtype))
    assert train(one, data, lr=0.1, steps=20, loss=F.mse_loss).wakes() == {"layers.0.weight": 1}
    train(two, data, lr=0.1, steps=20, loss=F.mse_loss)
    assert not any(weight.any() for weight in two.parameters())


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_origin_is_a_saddle_as_flat_as_the_network_is_deep(depth: int) -> None:
    """On a ray from 0 the loss leaves its level as tᴸ; one layer's sign decides if up or down."""
    generator = torch.Generator().manual_seed(depth)
    x, y, *layers = torch.randn(depth + 2, 2, 2, generator=generator, dtype=torch.float64)

    def rise(t: float, sign: int = 1) -> float:
        output = reduce(lambda h, weight: h @ (t * weight).T, layers, sign * x)
        return float(F.mse_loss(output, y) - y.square().mean())

    assert rise(0.002) / rise(0.001) == pytest.approx(2**depth, rel=0.01)
    assert rise(0.001) == pytest.approx(-rise(0.001, sign=-1), rel=0.01)


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_hessian_at_the_origin_shows_the_saddle_for_two_layers_only(depth: int) -> None:
    """L = 2: there is an eigenvalue below 0, the saddle is strict. L > 2: the Hessian is 0."""
    generator = torch.Generator().manual_seed(depth)
    x, y = torch.randn(2, 8, 2, generator=generator, dtype=torch.float64)

    def loss(layers: Tensor) -> Tensor:
        return F.mse_loss(reduce(lambda h, weight: h @ weight.T, layers.view(-1, 2, 2), x), y)

    at_origin = hessian(loss, torch.zeros(4 * depth, dtype=torch.float64))
    if depth == 2:
        assert torch.linalg.eigvalsh(at_origin).min() < -1e-3
    else:
        assert not at_origin.any()


@pytest.mark.theorem("depth-not-nonlinearity")
@given(problems(["identity"], start="zeros"))
def test_with_biases_nothing_moves_but_the_last_of_them(problem: Problem) -> None:
    """From all-zero, at every step: all that the network learns is one number for each class."""
    model, data = problem
    run = train(model, data, lr=0.5, steps=20)
    *others, (last, _) = run.parameters.items()
    assert last == f"layers.{len(model.layers) - 1}.bias"
    assert not any(values.any() for _, values in others)
    assert run.wakes()[last] == 1


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("widths", [[2, 3, 3], [2, 3, 3, 3]])
def test_with_a_convex_loss_the_last_bias_comes_to_its_rest(widths: list[int]) -> None:
    """From all-zero, at a small rate, b^L comes to the log-prior, up to a constant."""
    x = torch.randn(10, 2, generator=Generator().manual_seed(0), dtype=torch.float64)
    data = Data(x, torch.tensor([0] * 6 + [1] * 3 + [2]))
    model = zeros_(MLP(widths, "identity", dtype=torch.float64))
    train(model, data, lr=2.0, steps=200)
    bias = linear_layers(model)[-1].bias.detach()
    difference = bias - torch.tensor([0.6, 0.3, 0.1]).double().log()
    torch.testing.assert_close(difference, difference[:1].expand(3), rtol=0, atol=1e-7)
    for gradient in autograd(model, data).values():
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


@pytest.mark.theorem("depth-not-nonlinearity")
def test_with_a_loss_that_is_not_convex_the_last_bias_may_run_away() -> None:
    """ℓ(f) = −(f − 1)²: b^L = 1 has gradient zero, and from 0 it goes the other way, forever."""
    x = torch.ones(1, 1, dtype=torch.float64)
    model = zeros_(MLP([1, 1, 1], "identity", dtype=torch.float64))

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return -F.mse_loss(output, y)

    for lr in (0.1, 0.01):
        run = train(zeros_(model), Data(x, x), lr=lr, steps=round(5 / lr), loss=loss)
        *others, (_, bias) = run.parameters.items()
        assert not any(values.any() for _, values in others)
        assert (bias.diff(dim=0) < 0).all()
        assert bias[-1] < -1000
    nn.init.ones_(linear_layers(model)[-1].bias)
    for gradient in torch.autograd.grad(loss(model(x), x), list(model.parameters())):
        assert not gradient.any()


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_near_the_rest_the_loss_is_the_pull_of_one_layer_on_the_product(depth: int) -> None:
    """It is ⟨G, Wᴸ⋯W¹⟩, G the gradient of a single layer at 0, and a remainder of order 2L."""
    data = half_plane(32, dtype=torch.float64)
    G = autograd(rest([2, 2], data), data)["layers.0.weight"]
    model = rest([2, *[3] * (depth - 1), 2], data)
    level = F.cross_entropy(model(data.x), data.y).item()
    generator = Generator().manual_seed(depth)
    layers = [
        torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
        for layer in linear_layers(model)
    ]
    product = reduce(lambda done, weight: weight @ done, layers)

    def remainder(t: float) -> float:
        with torch.no_grad():
            for layer, weight in zip(linear_layers(model), layers, strict=True):
                layer.weight.copy_(t * weight)
        rise = F.cross_entropy(model(data.x), data.y).item() - level
        return (rise - t**depth * float((G * product).sum())) / t ** (2 * depth)

    assert abs((G * product).sum()) > 0.1
    assert remainder(0.1) == pytest.approx(remainder(0.05), rel=0.1)


@pytest.mark.theorem("depth-not-nonlinearity")
def test_the_remainder_needs_second_derivatives_of_the_loss() -> None:
    """ℓ = |f − y| has none at 0: at W² = W¹ = t the loss is t², where G = 0 promises O(t⁴)."""
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    model = zeros_(MLP([1, 1, 1], "identity", bias=False, dtype=torch.float64))
    single = zero.clone().requires_grad_()
    F.l1_loss(one @ single, zero).backward()
    assert single.grad == 0  # PyTorch's value for the slope of |f| at 0
    for t in (0.1, 0.01):
        for layer in linear_layers(model):
            nn.init.constant_(layer.weight, t)
        assert F.l1_loss(model(one), zero).item() / t**4 == pytest.approx(1 / t**2)


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.theorem("dead-point-law")
@pytest.mark.theorem("flat-plateau")
@given(problems())
def test_with_an_absent_class_the_last_bias_has_no_rest(problem: Problem) -> None:
    """The gradient of that class's bias is its probability, which is above 0 for every bias."""
    _, data = problem
    absent = len(data.frequencies)  # a class more than the labels have
    for scale in (0.0, 1.0, 10.0):
        bias = scale * torch.linspace(1, -1, absent + 1, dtype=torch.float64)
        bias.requires_grad_()
        F.cross_entropy(bias.expand(len(data), -1), data.y).backward()
        assert bias.grad is not None
        assert bias.grad[absent] > 0
        torch.testing.assert_close(bias.grad[absent], bias.detach().softmax(0)[absent])


@pytest.mark.theorem("depth-not-nonlinearity")
@given(problem=problems(), width=st.integers(1, 4))
def test_two_linear_layers_have_a_way_down_for_every_hidden_unit(
    problem: Problem, width: int
) -> None:
    """The Hessian's lowest eigenvalue is −s, once for each unit at least; deeper it has none."""
    _, data = problem
    fan_in, classes = data.x.shape[1], len(data.frequencies)
    G = autograd(rest([fan_in, classes], data), data)["layers.0.weight"]
    s = torch.linalg.svdvals(G)[0]
    lowest = hessian_eigenvalues(rest([fan_in, width, classes], data), data)[:width]
    torch.testing.assert_close(lowest, -s.expand(width))

    deep = hessian_eigenvalues(rest([fan_in, width, width, classes], data), data)
    assert deep[0] > -1e-12
    assert (deep > 1e-12).sum() == classes - 1  # those of the last bias


@given(least_squares())
def test_the_path_is_that_of_sgd_on_a_linear_layer(case: LeastSquares) -> None:
    x, y, start = case
    lr = 0.9 * largest_rate(x)
    path = descend(x, y, start, lr=lr, steps=20)
    layer = nn.Linear(x.shape[1], 1, bias=False, dtype=x.dtype)
    with torch.no_grad():
        layer.weight.copy_(start)
    data = Data(x, y[:, None])
    losses = plain_loop(layer, data, SGD(layer.parameters(), lr=lr), steps=20, loss=F.mse_loss)
    torch.testing.assert_close(path[-1], layer.weight[0].detach())
    torch.testing.assert_close((path @ x.T - y).square().mean(1), losses)
    assert torch.equal(path[0], start)


@given(least_squares())
def test_the_largest_rate_is_2_over_the_hessians_largest_eigenvalue(
    case: LeastSquares,
) -> None:
    x, y, start = case

    def loss(weight: Tensor) -> Tensor:
        return F.mse_loss(x @ weight, y)

    eigenvalues = torch.linalg.eigvalsh(hessian(loss, start))
    assert largest_rate(x) == pytest.approx(2 / float(eigenvalues.max()))


SQUARE, ONES, ZEROS = torch.eye(2), torch.ones(2), torch.zeros(2)


@pytest.mark.parametrize("lr", [0.0, -0.1, 2.0, 3.0, float("nan"), float("inf")])
def test_a_rate_out_of_bounds_is_refused(lr: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and largest_rate\(x\) = 2, got") as error:
        descend(SQUARE, ONES, ZEROS, lr=lr, steps=1)
    assert str(lr) in str(error.value)


@pytest.mark.parametrize(
    ("x", "y", "start", "error", "message"),
    [
        (ONES, ONES, ZEROS, ValueError, r"matrix \(n, d\) with n >= 1, got torch.float32 of shape"),
        (SQUARE[:0], ONES[:0], ZEROS, ValueError, r"of shape \(0, 2\)"),
        (SQUARE.long(), ONES, ZEROS, ValueError, "got torch.int64"),
        (SQUARE * torch.nan, ONES, ZEROS, ValueError, "x holds NaN or infinity: give finite"),
        (SQUARE, ONES * torch.nan, ZEROS, ValueError, "y holds NaN or infinity: give finite"),
        (SQUARE, ONES, ZEROS + torch.inf, ValueError, "start holds NaN or infinity: give finite"),
        (SQUARE, ONES[:1], ZEROS, ValueError, r"y must be \(2,\) and start \(2,\), got \(1,\)"),
        (SQUARE, ONES, ZEROS[:1], ValueError, r"got \(2,\) and \(1,\)"),
        (SQUARE, ONES.double(), ZEROS, TypeError, "share a dtype, got .*float64.*: convert them"),
        (SQUARE, ONES, ZEROS.to("meta"), ValueError, "share a device, got cpu, cpu, meta: move"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    x: Tensor, y: Tensor, start: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        descend(x, y, start, lr=0.1, steps=1)
    with pytest.raises(error, match=message):
        limit(x, y, start)


def test_a_number_of_steps_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        descend(SQUARE, ONES, ZEROS, lr=0.1, steps=0)
    with pytest.raises(TypeError, match=r"steps must be an int, got 1.5"):
        descend(SQUARE, ONES, ZEROS, lr=0.1, steps=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs", [0, 2])
def test_inputs_of_zero_have_no_largest_rate(inputs: int) -> None:
    with pytest.raises(ValueError, match="x is zero: the loss does not depend on the weights"):
        largest_rate(torch.zeros(3, inputs))


# Edges


def test_the_limit_of_a_nearly_rank_deficient_problem_is_the_limit_of_the_descent() -> None:
    """X = diag(1, 1e-8) has full rank, so the limit solves Xw = y; float32 would cut it."""
    for dtype in (torch.float32, torch.float64):
        x = torch.diag(torch.tensor([1.0, 1e-8], dtype=dtype))
        end = limit(x, x @ torch.ones(2, dtype=dtype), torch.tensor([5.0, 7.0], dtype=dtype))
        torch.testing.assert_close(end, torch.ones(2, dtype=dtype))


def test_a_singular_value_that_double_precision_loses_counts_as_zero() -> None:
    x = torch.diag(torch.tensor([1.0, 1e-17], dtype=torch.float64))
    end = limit(x, x.sum(1), torch.tensor([5.0, 7.0], dtype=torch.float64))
    torch.testing.assert_close(end, torch.tensor([1.0, 7.0], dtype=torch.float64))


def test_the_largest_rate_of_any_scale_and_precision() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    for scale, rate in ((1e-200, math.inf), (1e200, 0), (1e-150, 2e300), (1e150, 2e-300)):
        assert largest_rate(scale * eye) == pytest.approx(rate, rel=1e-12)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        assert largest_rate(torch.full((3, 2), 2.0, dtype=dtype)) == pytest.approx(1 / 8)
    with pytest.raises(ValueError, match="x is zero"):
        largest_rate(torch.zeros(2, 2))


def test_true_is_no_number_of_steps() -> None:
    with pytest.raises(TypeError, match="steps must be an int, got True"):
        descend(torch.eye(2), torch.ones(2), torch.zeros(2), lr=0.5, steps=True)
