"""What separates the twins, what does not, and where dropout wakes nothing."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import cast
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import MatrixRule, State, assert_twins, autograd, shampoo, soap
from strategies import NONZERO_AT_ZERO, ZERO_AT_ZERO, Problem, problems
from torch import Generator, Tensor, nn
from torch.optim import SGD, Muon

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


def average_gradients(model: MLP) -> None:
    """From now on all units of a hidden layer get their mean gradient, equal to the last bit."""

    def mean(dim: int) -> Callable[[Tensor], Tensor]:
        return lambda slope: slope.mean(dim, keepdim=True).expand_as(slope)

    layers = linear_layers(model)
    for below, above in pairwise(layers):
        for incoming in below.parameters():
            incoming.register_hook(mean(0))
        above.weight.register_hook(mean(1))


def six_twins(seed: int) -> Problem:
    """Draw six tanh twins with gradients equal to the last bit, and points of three classes."""
    x = half_plane(dtype=torch.float64).x
    y = torch.randint(3, (len(x),), generator=Generator().manual_seed(seed))
    model = MLP([2, 6, 3], "tanh", dtype=torch.float64)
    average_gradients(tied_(model, generator=Generator().manual_seed(seed)))
    return model, Data(x, y)


def in_few_bits(numbers: Tensor, block: int, largest: int = 127) -> Tensor:
    """Round to whole multiples of a scale, one scale for each block of numbers in memory."""
    parts = numbers.flatten().split(block)
    scales = [part.abs().max() / largest for part in parts]
    rounded = [(part / scale).round() * scale for part, scale in zip(parts, scales, strict=True)]
    return torch.cat(rounded).view_as(numbers)


def orthogonal(size: int, draw: Generator) -> Tensor:
    """Draw an orthogonal matrix."""
    basis: Tensor = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64)).Q
    return basis


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
@pytest.mark.parametrize(("difference", "reaches"), [([1.0, 1, 1], False), ([1.0, 1, 0], True)])
def test_a_multiple_of_ones_between_two_outgoing_columns_never_reaches_a_gradient(
    difference: list[float], reaches: bool
) -> None:
    """Softmax takes no notice of what is added to all logits, so equal rows go on being equal."""
    x = half_plane(dtype=torch.float64).x
    data = Data(x, torch.arange(len(x)) % 4 % 3)
    model = MLP([2, 2, 3], "tanh", dtype=torch.float64)
    _, last = linear_layers(tied_(model, generator=Generator().manual_seed(0)))
    with torch.no_grad():
        last.weight[:, 1] += torch.tensor(difference, dtype=torch.float64)
    slopes = autograd(model, data)
    run = train(model, data, lr=0.5, steps=50)
    rows = units(model, 1)[:, :3]
    if reaches:
        assert gap(slopes["layers.0.weight"]) > 1e-3
        assert gap(rows) > 1e-2
    else:
        assert gap(slopes["layers.0.weight"]) < 1e-15
        assert gap(slopes["layers.0.bias"][:, None]) < 1e-15
        assert gap(slopes["layers.1.weight"].T) < 1e-15
        assert gap(rows) < 1e-12 < run.losses[0] - run.losses[-1]
        between = last.weight[:, 1] - last.weight[:, 0]
        torch.testing.assert_close(between, torch.ones_like(between))


@pytest.mark.theorem("what-parts")
@given(problem=problems(["relu"]), seed=SEEDS)
def test_a_difference_in_front_of_a_relu_that_is_off_never_reaches_a_gradient(
    problem: Problem, seed: int
) -> None:
    """First-layer units with z ≤ 0 for every sample differ, never move, and output zero."""
    model, data = problem
    first = linear_layers(model)[0]
    nn.init.zeros_(first.weight)
    first.bias.data.copy_(-torch.rand(len(first.bias), generator=Generator().manual_seed(seed)))
    before = units(model, 1)
    train(model, data, lr=0.5, steps=20)
    assert distinct_units(before) > 1
    assert torch.equal(units(model, 1), before)
    assert gap(model(data.x).detach()) < 1e-12


@pytest.mark.theorem("what-parts")
@given(problem=problems(["tanh", "gelu", "sigmoid"]), seed=SEEDS)
def test_a_difference_that_reaches_no_gradient_stays_what_it_is(
    problem: Problem, seed: int
) -> None:
    """Units that differ in the weights of a coordinate that is zero in every sample."""
    model, data = problem
    tied_(model, generator=Generator().manual_seed(seed))
    first = linear_layers(model)[0].weight
    data.x[:, 0] = 0
    first.data[:, 0] = torch.randn(len(first), generator=Generator().manual_seed(seed))
    before = units(model, 1)
    train(model, data, lr=0.5, steps=20)
    after = units(model, 1)
    assert gap(before) > 1e-3
    assert gap(after[:, 1:]) < 1e-9 < (after[:, 1:] - before[:, 1:]).abs().max()
    assert torch.equal(after[:, 0], before[:, 0])


@pytest.mark.theorem("what-parts")
@pytest.mark.parametrize("block", [5, 7, 1000])
@given(seed=SEEDS)
def test_a_scale_for_each_block_parts_twins_and_one_for_all_does_not(block: int, seed: int) -> None:
    """Momentum that is kept in eight bits, in blocks whose edges run between six twins."""
    model, data = six_twins(seed)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(model(data.x), data.y).backward()
        optimizer.step()
        for kept in optimizer.state.values():
            kept["momentum_buffer"] = in_few_bits(kept["momentum_buffer"], block)
    if block == 1000:
        assert gap(units(model, 1)) < 1e-12
    else:
        assert gap(units(model, 1)) > 1e-9


@pytest.mark.theorem("what-parts")
def test_the_momentum_of_two_twins_in_blocks_of_three() -> None:
    """Largest numbers: 1 in the first block; 1/3 in the last, where 1/3 stays what it is."""
    twins = torch.tensor([[1, 1 / 3], [1, 1 / 3]], dtype=torch.float64)
    expected = torch.tensor([[1, 42 / 127], [1, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(in_few_bits(twins, 3), expected)
    for whole in (2, 4):
        assert gap(in_few_bits(twins, whole)) == 0


@pytest.mark.theorem("what-parts")
@pytest.mark.parametrize("nearest", [True, False])
@given(seed=SEEDS)
def test_rounding_at_random_parts_twins_and_rounding_to_the_nearest_does_not(
    nearest: bool, seed: int
) -> None:
    """Gradients as multiples of a quarter of the largest; a draw for each rounds it up or down."""
    model, data = six_twins(seed)
    draw = Generator().manual_seed(seed)
    for _ in range(5):
        for name, slope in autograd(model, data).items():
            grid = slope.abs().max() / 4
            shift = torch.rand(slope.shape, generator=draw, dtype=slope.dtype)
            multiple = (slope / grid + (0.5 if nearest else shift)).floor()
            model.get_parameter(name).data -= 0.1 * grid * multiple
    if nearest:
        assert_twins(model)
    else:
        assert gap(units(model, 1)) > 1e-5


@pytest.mark.theorem("twins-stay-twins")
@pytest.mark.parametrize("rule", [shampoo, soap])
@given(rows=st.integers(1, 6), columns=st.integers(1, 6), seed=SEEDS)
def test_rules_for_whole_matrices_commute_with_rotations(
    rule: Callable[[Tensor, State], Tensor], rows: int, columns: int, seed: int
) -> None:
    """F(PGQᵀ) = P F(G) Qᵀ for orthogonal P and Q, in step after step."""
    draw = Generator().manual_seed(seed)
    p, q = orthogonal(rows, draw), orthogonal(columns, draw)
    straight: State = {}
    turned: State = {}
    for _ in range(3):
        gradient = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
        expected = p @ rule(gradient, straight) @ q.T
        torch.testing.assert_close(rule(p @ gradient @ q.T, turned), expected, rtol=0, atol=1e-5)


@pytest.mark.theorem("twins-stay-twins")
@given(rows=st.integers(1, 6), columns=st.integers(1, 6), seed=SEEDS)
def test_muon_keeps_the_singular_vectors_of_the_gradient(
    rows: int, columns: int, seed: int
) -> None:
    """Its step is U f(S) Vᵀ for G = USVᵀ, so it commutes with rotations; f is five polynomials."""
    draw = Generator().manual_seed(seed)
    gradient = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    p, q = orthogonal(rows, draw), orthogonal(columns, draw)

    def step(gradient: Tensor) -> Tensor:
        weight = nn.Parameter(torch.zeros_like(gradient))
        weight.grad = gradient.clone()
        # Muon rounds its matrix to bfloat16, three digits; here it keeps double precision.
        with mock.patch.object(Tensor, "bfloat16", Tensor.double):
            Muon([weight], lr=1, weight_decay=0, momentum=0).step()
        return weight.detach()

    u, s, vt = torch.linalg.svd(gradient, full_matrices=False)
    s /= gradient.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    expected = -(max(1, rows / columns) ** 0.5) * (u * s @ vt)
    torch.testing.assert_close(step(gradient), expected)
    torch.testing.assert_close(step(p @ gradient @ q.T), p @ step(gradient) @ q.T)


@pytest.mark.theorem("twins-stay-twins")
@pytest.mark.parametrize("rule", [shampoo, soap])
@given(problem=problems(start="tied"))
def test_only_rounding_parts_twins_under_rules_for_whole_matrices(
    rule: Callable[[Tensor, State], Tensor], problem: Problem
) -> None:
    """With gradients that are equal to the last bit twins stay; without, the machine decides."""
    model, data = problem
    average_gradients(model)
    train(model, data, lr=0.01, steps=15, optimizer=partial(MatrixRule, rule=rule))
    assert_twins(model)


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
