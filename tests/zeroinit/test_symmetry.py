"""Permutation symmetry, twins that stay twins, collapse."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import OPTIMIZERS, assert_twins, autograd, lbfgs, plain_loop
from strategies import Problem, Shuffle, problems, shuffles
from symmetries import Experts, X, Y, symmetries
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call, grad
from torch.nn.utils import parameters_to_vector
from torch.optim import SGD, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zeroinit import (
    MLP,
    Data,
    collapse,
    constant_,
    distinct_units,
    gap,
    half_plane,
    linear_layers,
    permute,
    tied_,
    train,
    twins,
    units,
    zeros_,
)


@pytest.mark.theorem("permutation-symmetry")
@given(shuffles())
def test_shuffled_units_give_the_same_output_and_the_shuffled_gradient(case: Shuffle) -> None:
    """f(πθ) = f(θ), and so ℒ(πθ) = ℒ(θ); and ∇ℒ(πθ) = π∇ℒ(θ)."""
    model, data, layer, order = case
    shuffled = permute(model, layer, order)
    torch.testing.assert_close(shuffled(data.x), model(data.x))

    expected = autograd(model, data)
    expected[f"layers.{layer - 1}.weight"] = expected[f"layers.{layer - 1}.weight"][order]
    expected[f"layers.{layer - 1}.bias"] = expected[f"layers.{layer - 1}.bias"][order]
    expected[f"layers.{layer}.weight"] = expected[f"layers.{layer}.weight"][:, order]
    torch.testing.assert_close(autograd(shuffled, data), expected)


#: Functions with a kink at 0, with the slopes 0, 1 and 0.01 there, as PyTorch has them.
KINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "clamp": lambda z: z.clamp(min=0),
    "leaky_relu": F.leaky_relu,
    "slope 1 at zero": lambda z: torch.where(z >= 0, z, 0),
}


@pytest.mark.theorem("permutation-symmetry")
@pytest.mark.parametrize("name", KINKS)
def test_at_a_kink_the_gradient_permutes_along_with_the_value_that_pytorch_takes(
    name: str,
) -> None:
    """Every unit has z = 0 for some of the points, and one for all of them."""
    steps = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    x = torch.cartesian_prod(steps, steps)
    data = Data(x, (x[:, 0] > x[:, 1]).long())
    model = MLP([2, 4, 2], dtype=torch.float64)
    model.sigma = model.sigma._replace(function=KINKS[name])
    incoming = torch.tensor([[1, -1], [1, 1], [0, 0], [2, -1]], dtype=torch.float64)
    biases = torch.tensor([0, 1, 0, -1], dtype=torch.float64)
    model.load_state_dict({"layers.0.weight": incoming, "layers.0.bias": biases}, strict=False)
    assert (linear_layers(model)[0](x) == 0).sum(0).tolist() == [3, 2, 9, 2]

    order = [2, 0, 3, 1]
    found = autograd(model, data)
    shuffled = autograd(permute(model, 1, order), data)
    torch.testing.assert_close(shuffled["layers.0.weight"], found["layers.0.weight"][order])
    torch.testing.assert_close(shuffled["layers.0.bias"], found["layers.0.bias"][order])
    torch.testing.assert_close(shuffled["layers.1.weight"], found["layers.1.weight"][:, order])
    # The unit that is at the kink for all the points has what the slope there lets through.
    kink = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(KINKS[name](kink).sum(), kink)
    assert bool(found["layers.0.weight"][2].any()) == bool(slope.any())
    if name != "clamp":  # whose slope depends on the version of PyTorch
        assert bool(slope.any()) == (name != "relu")


@pytest.mark.theorem("twins-stay-twins")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(problem=problems(start="tied"))
def test_twins_stay_twins_under_every_optimizer(
    optimizer: type[Optimizer], problem: Problem
) -> None:
    """Every optimizer of torch.optim that takes a plain step leaves twins as they are."""
    model, data = problem
    train(model, data, lr=0.01, steps=15, optimizer=optimizer)
    assert_twins(model)


@pytest.mark.theorem("twins-stay-twins")
@given(
    problem=problems(start="tied"),
    momentum=st.floats(0.1, 0.9),
    nesterov=st.booleans(),
    weight_decay=st.floats(0, 0.1),
    largest_norm=st.floats(0.01, 1),
    schedule=st.lists(st.floats(0, 2), min_size=4, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_twins_stay_twins_in_any_batch_order_with_clipping_and_a_schedule(
    problem: Problem,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    largest_norm: float,
    schedule: Sequence[float],
    seed: int,
) -> None:
    """Nothing in a training loop that commutes with swapping units can part twins."""
    model, data = problem
    optimizer = SGD(model.parameters(), 0.1, momentum, nesterov=nesterov, weight_decay=weight_decay)
    scheduler = LambdaLR(optimizer, lambda epoch: schedule[epoch])
    generator = torch.Generator().manual_seed(seed)
    for _ in range(3):
        for batch in torch.randperm(len(data), generator=generator).split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), largest_norm)
            optimizer.step()
        scheduler.step()
    assert_twins(model)


@pytest.mark.theorem("twins-stay-twins")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(case=shuffles())
def test_the_shuffled_network_trains_to_the_shuffled_trained_network(
    optimizer: type[Optimizer], case: Shuffle
) -> None:
    """The stronger statement, from any start: every step commutes with π."""
    model, data, layer, order = case
    shuffled = permute(model, layer, order)
    train(shuffled, data, lr=0.01, steps=15, optimizer=optimizer)
    train(model, data, lr=0.01, steps=15, optimizer=optimizer)
    torch.testing.assert_close(
        shuffled.state_dict(), permute(model, layer, order).state_dict(), rtol=0, atol=1e-6
    )


@pytest.mark.theorem("twins-stay-twins")
@given(problem=problems(start="tied", bias=False), case=shuffles(bias=False))
def test_muon_commutes_with_shuffles_too(problem: Problem, case: Shuffle) -> None:
    """Muon steps by a whole matrix, but turns shuffled rows and columns into shuffled ones."""
    model, data = problem
    other, points, layer, order = case
    shuffled = permute(other, layer, order)
    # Muon rounds its matrix to bfloat16, three digits; here it keeps double precision.
    with mock.patch.object(Tensor, "bfloat16", Tensor.double):
        train(model, data, lr=0.001, steps=5, optimizer=Muon)
        train(shuffled, points, lr=0.001, steps=5, optimizer=Muon)
        train(other, points, lr=0.001, steps=5, optimizer=Muon)
    assert_twins(model)
    torch.testing.assert_close(
        shuffled.state_dict(), permute(other, layer, order).state_dict(), rtol=0, atol=1e-6
    )


@pytest.mark.theorem("twins-stay-twins")
@given(problem=problems(start="tied"))
def test_twins_stay_twins_under_lbfgs(problem: Problem) -> None:
    """LBFGS sees all parameters as one vector, by inner products, and a shuffle keeps those."""
    model, data = problem
    lbfgs(model, data, lr=0.1, iterations=10)
    assert_twins(model)


@pytest.mark.theorem("twins-stay-twins")
@pytest.mark.parametrize(("factor", "parts"), [(1.0, False), (2.0, True)])
def test_another_rate_for_one_unit_parts_twins(factor: float, parts: bool) -> None:
    """Number by number is not enough: all numbers of a tensor need one formula, so one rate."""
    tied = tied_(MLP([2, 4, 2], "tanh").double(), generator=torch.Generator().manual_seed(0))
    rates = torch.tensor([factor, 1, 1, 1], dtype=torch.float64)
    for incoming in linear_layers(tied)[0].parameters():
        # Under gradient descent twice the gradient is twice the rate.
        incoming.register_hook(lambda slope: torch.einsum("i,i...->i...", rates, slope))
    train(tied, half_plane(dtype=torch.float64), lr=0.1, steps=20)
    assert gap(units(tied, 1)[1:]) < 1e-12
    difference = gap(units(tied, 1))
    assert difference > 1e-2 if parts else difference < 1e-12


@pytest.mark.theorem("twins-stay-twins")
def test_dropout_parts_twins() -> None:
    """The converse: dropout draws for each unit by itself, and does not commute with π."""
    tied = tied_(MLP([2, 16, 2]), generator=torch.Generator().manual_seed(0))
    first, last = linear_layers(tied)
    model = nn.Sequential(first, nn.Tanh(), nn.Dropout(0.5), last)
    assert distinct_units(units(model, 1)) == 1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        train(model, half_plane(), lr=0.1, steps=3)
    assert distinct_units(units(model, 1)) == 16


@pytest.mark.theorem("collapse")
@given(case=shuffles(start="tied"))
def test_n_twins_compute_what_one_unit_with_n_times_the_outgoing_weights_does(
    case: Shuffle,
) -> None:
    """The collapsed layer holds one unit: its row, its bias, and n times its column."""
    wide, data, layer, _ = case
    one = collapse(wide, layer)
    torch.testing.assert_close(one(data.x), wide(data.x))

    n = len(units(wide, layer))
    many, few = linear_layers(wide), linear_layers(one)
    torch.testing.assert_close(few[layer - 1].weight, many[layer - 1].weight[:1])
    torch.testing.assert_close(few[layer - 1].bias, many[layer - 1].bias[:1])
    torch.testing.assert_close(few[layer].weight, n * many[layer].weight[:, :1])


@pytest.mark.theorem("collapse")
@given(case=shuffles(start="tied"))
def test_training_n_twins_is_training_one_unit_at_two_rates(case: Shuffle) -> None:
    """Rate η for all is η/n for the one unit's incoming weights, and nη for its outgoing ones."""
    wide, data, layer, _ = case
    one, n = collapse(wide, layer), len(units(wide, layer))
    incoming, outgoing = linear_layers(one)[layer - 1 : layer + 1]
    rates: dict[Tensor, float] = dict.fromkeys(one.parameters(), 0.1)
    rates |= {incoming.weight: 0.1 / n, incoming.bias: 0.1 / n, outgoing.weight: 0.1 * n}
    two_rates = SGD([{"params": [p], "lr": rate} for p, rate in rates.items()])
    losses = plain_loop(one, data, two_rates, steps=40)
    torch.testing.assert_close(train(wide, data, lr=0.1, steps=40).losses, losses)


@pytest.mark.theorem("symmetry-principle")
@pytest.mark.parametrize("name", symmetries())
def test_a_map_that_keeps_the_loss_keeps_gradient_descent_and_the_hessian(name: str) -> None:
    """Parts (a), (b) and (c), with R and the Hessian written out as matrices."""
    symmetry = symmetries()[name]
    shapes = {k: p.shape for k, p in symmetry.network.named_parameters()}
    start = parameters_to_vector(symmetry.network.parameters()).detach()

    def named(vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        return {k: t.view(shapes[k]) for k, t in zip(shapes, parts, strict=True)}

    def mapped(vector: Tensor) -> Tensor:
        return torch.cat([t.flatten() for t in symmetry(named(vector)).values()])

    def loss(vector: Tensor) -> Tensor:
        output = functional_call(symmetry.network, named(vector), (X,))
        return F.cross_entropy(output, Y)

    R = torch.stack([mapped(e) for e in torch.eye(len(start), dtype=start.dtype)], dim=1)
    gradient = grad(loss)
    torch.testing.assert_close(R.T @ R, torch.eye(len(start), dtype=start.dtype))
    torch.testing.assert_close(loss(R @ start), loss(start))
    torch.testing.assert_close(gradient(R @ start), R @ gradient(start))

    # The point nearest to the start that R leaves fixed, and where it is trained to.
    values, vectors = torch.linalg.eigh(R + R.T)
    fixed = vectors[:, values > 2 - 1e-9]
    point = fixed @ (fixed.T @ start)
    for _ in range(20):
        torch.testing.assert_close(R @ point, point)
        torch.testing.assert_close(R @ gradient(point), gradient(point))
        point = point - 0.1 * gradient(point)
    H = hessian(loss, point)
    torch.testing.assert_close(H @ R, R @ H)


@pytest.mark.theorem("symmetry-principle")
@pytest.mark.parametrize("name", ["factors turned", "queries and keys turned"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_factors_that_turn_together_stay_zero_together(
    name: str, optimizer: type[Optimizer]
) -> None:
    """A = B = 0 and q = k = 0: no number moves, to the last bit; with one of them zero both do."""
    network = zeros_(symmetries()[name].network)
    train(network, Data(X, Y), lr=0.1, steps=5, optimizer=optimizer)
    assert not any(p.any() for p in network.parameters())
    network = symmetries()[name].network
    nn.init.zeros_(next(network.parameters()))
    run = train(network, Data(X, Y), lr=0.1, steps=3)
    assert list(run.wakes().values()) == [1, 2]


@pytest.mark.theorem("symmetry-principle")
def test_a_choice_of_the_best_expert_is_no_symmetry_where_scores_are_equal() -> None:
    """Three equal experts with equal scores: the first is chosen, and alone has a gradient."""
    network = Experts().double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)
    scores = network.router(X)
    best = F.one_hot(scores.argmax(1), 3).double()
    output = torch.einsum("ne,eoi,ni->no", best, network.experts, X)
    (gradient,) = torch.autograd.grad(F.cross_entropy(output * Y[:, None], Y), network.experts)
    assert gradient.any((1, 2)).tolist() == [True, False, False]


@pytest.mark.theorem("symmetry-principle")
@pytest.mark.parametrize("largest", [torch.max, torch.amax])
def test_where_the_loss_has_no_derivative_a_symmetry_may_carry_no_gradient_along(
    largest: Callable[..., Any],
) -> None:
    """Maxout of two equal pieces: torch.max picks one of them, torch.amax shares out evenly."""

    def loss(pieces: Tensor) -> Tensor:
        answer = largest(X @ pieces.T, dim=1)
        score = answer.values if largest is torch.max else answer
        return F.binary_cross_entropy_with_logits(score, Y.double())

    draw = torch.Generator().manual_seed(0)
    for pieces in torch.randn(20, 2, 2, generator=draw, dtype=torch.float64):
        torch.testing.assert_close(loss(pieces.flip(0)), loss(pieces))
        torch.testing.assert_close(grad(loss)(pieces.flip(0)), grad(loss)(pieces).flip(0))
    equal = torch.randn(1, 2, generator=draw, dtype=torch.float64).expand(2, 2)
    slope = grad(loss)(equal)
    assert slope.any()
    assert torch.equal(slope.flip(0), slope) == (largest is torch.amax)


@given(shuffles(bias=False))
def test_permute_goes_without_biases(case: Shuffle) -> None:
    model, data, layer, order = case
    torch.testing.assert_close(permute(model, layer, order)(data.x), model(data.x))


def test_permute_and_collapse_leave_the_network_as_it_was() -> None:
    model = constant_(MLP([2, 4, 4, 2], "tanh"), 0.1)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    permute(model, 1, [3, 2, 1, 0])
    assert len(list(collapse(model, 2).parameters())) == len(before)
    for name, p in model.state_dict().items():
        assert torch.equal(p, before[name])


def test_permute_takes_what_randperm_gives() -> None:
    model = MLP([2, 4, 2])
    order = torch.randperm(4, generator=torch.Generator().manual_seed(0))
    before, after = (linear_layers(m)[0].weight for m in (model, permute(model, 1, order)))
    assert torch.equal(after, before[order])


def test_a_unit_is_a_row_an_entry_and_a_column() -> None:
    model = MLP([2, 5, 4, 3])
    for layer, (here, after) in enumerate(pairwise(linear_layers(model)), start=1):
        rows = units(model, layer)
        for i in range(len(rows)):
            unit = [here.weight[i], here.bias[i : i + 1], after.weight[:, i]]
            assert torch.equal(rows[i], torch.cat(unit))
    assert not units(MLP([2, 5, 3], bias=False), 1)[:, 2].any()


@pytest.mark.parametrize("piece", ["incoming", "bias", "outgoing"])
def test_twins_are_equal_in_all_three_pieces(piece: str) -> None:
    model = zeros_(MLP([2, 4, 1]))
    first, last = linear_layers(model)
    assert twins(model, 1) == [[0, 1, 2, 3]]
    differing = torch.tensor([1.0, 2.0, 1.0, 3.0])
    pieces = {"incoming": first.weight[:, 1], "bias": first.bias, "outgoing": last.weight[0]}
    with torch.no_grad():
        pieces[piece].copy_(differing)
    assert twins(model, 1) == [[0, 2]]
    assert distinct_units(units(model, 1)) == 3


def test_twins_names_every_group() -> None:
    model = zeros_(MLP([2, 5, 1]))
    with torch.no_grad():
        linear_layers(model)[0].bias.copy_(torch.tensor([2.0, 1.0, 2.0, 0.0, 1.0]))
    assert twins(model, 1) == [[0, 2], [1, 4]]
    assert twins(MLP([2, 5, 1]), 1) == []
    with torch.no_grad():
        linear_layers(model)[0].bias.copy_(torch.tensor([torch.nan, 0.0, torch.nan, -0.0, 1.0]))
    assert twins(model, 1) == [[0, 2], [1, 3]]  # as distinct_units has it


def test_equal_means_equal_to_the_last_bit() -> None:
    weight = torch.ones(2, 3)
    assert distinct_units(weight) == 1
    weight[1, 2] = weight[1, 2].nextafter(torch.tensor(2.0))
    assert distinct_units(weight) == 2


@pytest.mark.parametrize("layer", [-1, 0, 2, 7])
@pytest.mark.parametrize("ask", [units, twins, collapse, partial(permute, permutation=[0, 1, 2])])
def test_a_layer_that_is_not_there_is_refused(
    ask: Callable[[nn.Module, int], object], layer: int
) -> None:
    with pytest.raises(ValueError, match=f"no hidden layer {layer}; the hidden layers are 1 to 1"):
        ask(MLP([2, 3, 2]), layer)
    convolutional = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Linear(8, 3))
    for model in (MLP([2, 2]), convolutional):
        with pytest.raises(ValueError, match=f"{layer}: the network has one nn.Linear, and a hid"):
            ask(model, layer)


@pytest.mark.parametrize("order", [[0, 1, 3], [0, 1, -1], [0, 1, 1], [0, 1], [0, 1, 2, 3], []])
def test_a_unit_that_is_not_there_is_refused(order: list[int]) -> None:
    with pytest.raises(ValueError, match="each of the units 0 to 2 once, got") as error:
        permute(MLP([2, 3, 2]), 1, order)
    assert str(order) in str(error.value)


def test_units_that_differ_do_not_collapse() -> None:
    with pytest.raises(ValueError, match="layer 1 holds 3 distinct units: only twins"):
        collapse(MLP([2, 3, 2]), 1)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_a_weight_that_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be a matrix") as error:
        distinct_units(torch.zeros(shape))
    assert str(shape) in str(error.value)


def test_the_gap_is_the_largest_difference_of_two_units_in_one_number() -> None:
    model = constant_(MLP([2, 4, 2]), 0.1)
    assert gap(units(model, 1)) == 0
    with torch.no_grad():
        linear_layers(model)[1].weight[1, 2] = -0.4
    assert gap(units(model, 1)) == pytest.approx(0.5)
    assert gap(linear_layers(model)[1].weight.T) == pytest.approx(0.5)  # a parameter, too


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 2)])
def test_the_gap_is_of_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"matrix \(units, numbers\) that is not empty, got"):
        gap(torch.zeros(shape))


# Networks on which a permutation or a collapse would compute something else


class Net(nn.Module):
    """Two or three linear layers and a way through them."""

    def __init__(self, way: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.way = way
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def stack(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 6), *between, nn.Linear(6, 3))


def served() -> dict[str, nn.Module]:
    return {
        "elementwise": stack(nn.LeakyReLU(), nn.Dropout(0.5), nn.Flatten()),
        "nothing between": stack(),
        "no bias": nn.Sequential(nn.Linear(2, 6, bias=False), nn.Tanh(), nn.Linear(6, 3)),
        "norm behind": nn.Sequential(
            nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2)
        ),
        "BatchNorm behind": nn.Sequential(
            nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Linear(9, 2)
        ),
        "residual about both": Net(
            lambda m, x: x + m.b(torch.tanh(m.a(x))), a=nn.Linear(2, 6), b=nn.Linear(6, 2)
        ),
        "ReLU behind": nn.Sequential(*stack(nn.ReLU()), nn.Linear(3, 1), nn.ReLU()),
        "wide": nn.Sequential(
            nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 256), nn.ReLU(), nn.Linear(256, 256)
        ),
    }


def refused() -> dict[str, nn.Module]:
    a, b, c = (partial(nn.Linear, *sizes) for sizes in ((2, 6), (6, 3), (6, 6)))
    return {
        "LayerNorm": stack(nn.LayerNorm(6), nn.ReLU()),
        "BatchNorm": stack(nn.BatchNorm1d(6), nn.ReLU()),
        "BatchNorm without parameters": stack(nn.BatchNorm1d(6, affine=False), nn.ReLU()),
        "PReLU of each unit": stack(nn.PReLU(6)),
        "neighbours in a ring": stack(
            nn.Unflatten(1, (1, 6)),
            nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"),
            nn.Flatten(),
        ),
        "threes": stack(nn.Unflatten(1, (2, 3)), nn.Softmax(2), nn.Flatten()),
        "pairs": stack(nn.Unflatten(1, (3, 2)), nn.Softmax(2), nn.Flatten()),
        "residual": Net(lambda m, x: m.b(m.a(x) + m.c(m.a(x))), a=a(), c=c(), b=b()),
        "skip": Net(
            lambda m, x: m.b(torch.relu(m.a(x)) + m.c(torch.relu(m.a(x)))), a=a(), c=c(), b=b()
        ),
        "two heads": Net(lambda m, x: m.b(m.a(x).tanh()) + m.c(m.a(x).tanh()), a=a(), b=b(), c=b()),
        "used twice": Net(lambda m, x: m.b(m.c(m.c(m.a(x)).relu())), a=a(), c=c(), b=b()),
        "encoder layer": nn.TransformerEncoderLayer(6, 2, 8),
        "reversed": Net(lambda m, x: m.b(m.a(x).relu()), b=nn.Linear(6, 2), a=a()),
        "square, reversed": Net(lambda m, x: m.b(m.a(x).relu()), b=c(), a=c()),
        "convolution first": nn.Sequential(
            nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)
        ),
    }


@pytest.mark.parametrize("name", served())
def test_permute_and_collapse_keep_the_function_or_the_frozen(name: str) -> None:
    model = served()[name].eval()
    first, second, *_ = linear_layers(model)
    first.weight.requires_grad_(False)
    second.bias.requires_grad_(False)
    x = torch.randn(20, 2)
    shuffled = permute(model, 1, [5, 3, 0, 4, 1, 2])
    torch.testing.assert_close(shuffled(x), model(x))
    with torch.no_grad():
        for t in (first.weight, second.weight.T, *([] if first.bias is None else [first.bias])):
            t.copy_(t[:1].clone().expand_as(t))
    one = collapse(model, 1)
    torch.testing.assert_close(one(x), model(x))
    assert permute(one, 1, [0]).state_dict().keys() == model.state_dict().keys()
    assert twins(model, 1) == [list(range(6))]
    frozen = {name: p.requires_grad for name, p in model.named_parameters()}
    assert sum(frozen.values()) == len(frozen) - 2
    for other in (shuffled, one):
        assert {name: p.requires_grad for name, p in other.named_parameters()} == frozen


@pytest.mark.parametrize("zeroed", [False, True])
@pytest.mark.parametrize("name", refused())
def test_permute_and_twins_refuse_what_would_be_another_function(name: str, zeroed: bool) -> None:
    """Also where all parameters are zero, and the function is the same for the moment."""
    model = zeros_(refused()[name]) if zeroed else refused()[name]
    order = [5, 3, 0, 4, 1, 2] if name != "reversed" else [1, 0]
    for ask in (partial(permute, permutation=order), twins):
        with pytest.raises(ValueError, match=r"computes: it (calls, in this order, |takes no po)"):
            ask(model, 1)


# One unit is added to six as each of six twins would be: the residual networks stay what they are.
# Equal neighbours give equal sums.
@pytest.mark.parametrize("name", sorted({*refused()} - {"reversed", "residual", "skip"}))
def test_collapse_refuses_what_would_be_another_function(name: str) -> None:
    with pytest.raises(ValueError, match="without changing what the network computes"):
        collapse(zeros_(refused()[name]), 1)


@pytest.mark.parametrize("width", range(2, 10))
def test_a_norm_is_seen_where_some_parameters_give_0_for_all_points(width: int) -> None:
    """Behind the last ReLU the output is 0 everywhere as often as not."""
    layers = [nn.Linear(2, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, 1), nn.ReLU()]
    with pytest.raises(ValueError, match="without changing what the network computes"):
        permute(nn.Sequential(*layers), 1, range(width)[::-1])


def test_no_layer_but_the_next_may_read_the_units_of_a_collapsed_one() -> None:
    """Each unit is an output too: there were six, and would be one."""
    model = zeros_(
        Net(lambda m, x: m.a(x) + m.b(m.a(x).tanh()), a=nn.Linear(2, 6), b=nn.Linear(6, 1))
    )
    with pytest.raises(ValueError, match="without changing what the network computes"):
        collapse(model, 1)


def test_one_layer_of_a_network_can_be_right_where_another_is_not() -> None:
    """The two layers behind an encoder's attention, and two that follow a head."""
    encoder, x = nn.TransformerEncoderLayer(6, 2, 8).eval(), torch.randn(20, 6)
    order = [7, 3, 0, 6, 4, 1, 2, 5]
    torch.testing.assert_close(permute(encoder, 2, order)(x), encoder(x))
    a, b, head = nn.Linear(2, 6), nn.Linear(6, 3), nn.Linear(3, 4)
    model, x = Net(lambda m, x: m.head(m.b(m.a(x).relu())), head=head, a=a, b=b), x[:, :2]
    torch.testing.assert_close(permute(model, 2, [5, 3, 0, 4, 1, 2])(x), model(x))
    says = "linear layer 1 gives 4 numbers and the one registered behind it takes 2: register"
    with pytest.raises(ValueError, match=says):
        permute(model, 1, [1, 0, 2, 3])


def test_a_network_that_gives_no_tensor_is_refused() -> None:
    model = Net(lambda m, x: (m.b(m.a(x)), x), a=nn.Linear(2, 6), b=nn.Linear(6, 3))
    with pytest.raises(ValueError, match="computes: it gives a tuple, and not a tensor"):
        permute(model, 1, [5, 3, 0, 4, 1, 2])


def test_a_refusal_says_what_is_called() -> None:
    model = stack(nn.LayerNorm(6), nn.ReLU())
    says = (
        r"calls, in this order, 0 \(Linear\), 1 \(LayerNorm\), 2 \(ReLU\), 3 \(Linear\)\. The two"
    )
    with pytest.raises(ValueError, match=says):
        permute(model, 1, [5, 3, 0, 4, 1, 2])


def test_a_softmax_can_be_permuted_and_not_collapsed() -> None:
    model, x = zeros_(stack(nn.Softmax(1))), torch.randn(20, 2)
    torch.testing.assert_close(permute(model, 1, [5, 3, 0, 4, 1, 2])(x), model(x))
    with pytest.raises(ValueError, match="without changing what the network computes"):
        collapse(model, 1)


def test_distinct_units_and_gap_at_their_edges() -> None:
    """Equal to the last bit: NaN is equal to itself there, and −0 is 0 as it is elsewhere."""
    nan = float("nan")
    assert distinct_units(torch.zeros(4, 0)) == 1
    assert distinct_units(torch.tensor([[nan, 1.0], [nan, 1.0], [nan, 2.0]])) == 2
    assert distinct_units(torch.tensor([[0.0], [-0.0]])) == 1
    assert distinct_units(torch.tensor([[1 + 2j], [1 + 2j], [1 + 3j]])) == 2
    assert distinct_units(torch.tensor([[1.0, nan], [1.0, nan]], dtype=torch.float64)) == 1
    assert distinct_units(torch.tensor([[0.0], [1e-30], [2e-30]])) == 3
    assert distinct_units(torch.tensor([[2**53], [2**53 + 1]])) == 2
    with pytest.raises(ValueError, match=r"at least one unit, got shape \(0, 3\)"):
        distinct_units(torch.zeros(0, 3))
    inf = float("inf")
    assert gap(torch.tensor([[inf, 1.0], [inf, 4.0]])) == 3
    assert gap(torch.tensor([[inf], [-inf]])) == gap(torch.tensor([[inf], [1.0]])) == inf
    assert gap(torch.tensor([[-inf], [-inf]])) == 0
    with pytest.raises(ValueError, match="holds NaN"):
        gap(torch.tensor([[nan], [nan]]))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
def test_distinct_units_of_few_bits(dtype: torch.dtype) -> None:
    """1.45 and 1.5 are one number there, and NaN is one with itself."""
    rows = torch.tensor([[1.45, 0.0], [1.5, -0.0], [1.5, 1.0], [torch.nan, 1.0], [torch.nan, 1.0]])
    found = distinct_units(rows.to(dtype))
    assert found == len({str(row) for row in (rows.to(dtype).float() + 0).tolist()})
    assert found == (4 if dtype == torch.bfloat16 else 3)


def test_dropout_in_training_does_not_stand_in_the_way() -> None:
    model, x = stack(nn.Tanh(), nn.Dropout(0.5)), torch.randn(20, 2)
    shuffled = permute(model, 1, [5, 3, 0, 4, 1, 2])
    assert shuffled.training
    assert model.training
    torch.testing.assert_close(shuffled.eval()(x), model.eval()(x))


def test_no_number_is_drawn_from_the_global_state() -> None:
    """The probe at random parameters has a generator of its own."""
    model = served()["BatchNorm behind"]
    state = torch.get_rng_state()
    permute(model, 1, [5, 3, 0, 4, 1, 2])
    collapse(constant_(MLP([2, 3, 2]), 0.1), 1)
    assert torch.equal(torch.get_rng_state(), state)
