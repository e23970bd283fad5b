"""The starts, against what PyTorch's own layers and fillers do."""

import math
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from zeroinit import (
    MLP,
    Data,
    angles_,
    constant_,
    default_,
    distinct_units,
    kaiming_normal_,
    linear_layers,
    log_prior_,
    normal_,
    tie_,
    tied_,
    twins,
    xavier_normal_,
    zeros_,
)
from zeroinit.initialization import INITIALIZERS
from zeroinit.networks import FAMILIES

WIDTHS = st.lists(st.integers(1, 9), min_size=2, max_size=5)


def generator(seed: int = 0) -> Generator:
    """Return a generator of our own."""
    return Generator().manual_seed(seed)


@given(widths=WIDTHS, bias=st.booleans(), seed=st.integers(0, 10**6))
def test_default_draws_what_a_linear_layer_draws_by_itself(
    widths: list[int], bias: bool, seed: int
) -> None:
    ours = default_(MLP(widths, bias=bias), generator=generator(seed))
    theirs = MLP(widths, bias=bias, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in linear_layers(theirs):
            layer.reset_parameters()
    # PyTorch reaches the bound 1/√fan_in by √3·√(1/3)/√fan_in, which may round otherwise.
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-6, atol=0)


@given(widths=WIDTHS, bias=st.booleans(), value=st.floats(-9, 9))
def test_constant_fills_every_parameter(widths: list[int], bias: bool, value: float) -> None:
    model = constant_(MLP(widths, bias=bias, dtype=torch.float64), value)
    assert all((p == value).all() for p in model.parameters())
    assert all((p == 0).all() for p in zeros_(model).parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_zeros_leaves_no_parameter_of_any_network(family: str) -> None:
    assert not any(p.any() for p in zeros_(FAMILIES[family]()).parameters())


def normal(model: MLP, generator: Generator) -> MLP:
    """Fill with normal numbers of deviation 0.3."""
    return normal_(model, 0.3, generator=generator)


def kaiming(model: MLP, generator: Generator) -> MLP:
    """Fill as He and others do."""
    return kaiming_normal_(model, generator=generator)


def xavier(model: MLP, generator: Generator) -> MLP:
    """Fill as Glorot and Bengio do."""
    return xavier_normal_(model, generator=generator)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (normal, partial(nn.init.normal_, mean=0.0, std=0.3)),
        (kaiming, partial(nn.init.kaiming_normal_, nonlinearity="relu")),
        (xavier, nn.init.xavier_normal_),
    ],
)
@given(widths=WIDTHS, bias=st.booleans(), seed=st.integers(0, 10**6))
def test_normal_starts_are_those_of_torch_nn_init_with_zero_biases(
    ours: Callable[[MLP, Generator], MLP],
    theirs: Callable[..., Tensor],
    widths: list[int],
    bias: bool,
    seed: int,
) -> None:
    model, one = ours(MLP(widths, bias=bias), generator(seed)), generator(seed)
    for layer in linear_layers(model):
        expected = theirs(torch.empty_like(layer.weight), generator=one)
        torch.testing.assert_close(layer.weight.detach(), expected)
        assert not bias or not layer.bias.any()


@pytest.mark.parametrize(
    ("ours", "fan_in", "fan_out", "std"),
    [
        (normal, 400, 300, 0.3),
        (kaiming, 400, 300, math.sqrt(2 / 400)),
        (xavier, 400, 300, math.sqrt(2 / 700)),
    ],
)
def test_normal_starts_have_the_deviation_of_their_formula(
    ours: Callable[[MLP, Generator], MLP], fan_in: int, fan_out: int, std: float
) -> None:
    weight = linear_layers(ours(MLP([fan_in, fan_out]), generator()))[0].weight
    # The deviation of n normal numbers is known to 1 part in √(2n), here 490; allow ten such.
    assert float(weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert abs(float(weight.detach().mean())) < 10 * std / math.sqrt(weight.numel())


def test_a_deviation_of_0_is_the_start_at_zero() -> None:
    assert not any(p.any() for p in normal_(MLP([2, 5, 2]), 0.0).parameters())


def test_tie_keeps_what_the_first_unit_of_each_layer_holds() -> None:
    one = MLP([3, 4, 5, 2])
    model = tie_(deepcopy(one))
    for tied, drawn in zip(linear_layers(model)[:-1], linear_layers(one)[:-1], strict=True):
        assert torch.equal(tied.weight[:, 0], drawn.weight[:1, 0].expand(len(tied.weight)))
        assert torch.equal(tied.bias, drawn.bias[:1].expand(len(tied.bias)))


@given(hidden=st.lists(st.integers(2, 6), min_size=1, max_size=3), bias=st.booleans())
def test_tied_units_are_twins_of_the_first_and_what_one_unit_holds_is_random(
    hidden: list[int], bias: bool
) -> None:
    model = tied_(MLP([3, *hidden, 4], bias=bias), generator=generator())
    for layer, width in enumerate(hidden, start=1):
        assert twins(model, layer) == [list(range(width))]
    first, *_, last = linear_layers(model)
    assert len(first.weight[0].unique()) == 3
    assert len(last.weight[:, 0].unique()) == 4
    assert not bias or len(last.bias.unique()) == 4


@pytest.mark.parametrize(
    ("start", "fill"),
    [
        ("default", default_),
        ("tied", tied_),
        ("kaiming", kaiming_normal_),
        ("xavier", xavier_normal_),
    ],
)
def test_a_named_start_is_the_function_of_its_name(start: str, fill: Callable[..., MLP]) -> None:
    named = INITIALIZERS[start](MLP([2, 5, 2]), generator(3))
    called = fill(MLP([2, 5, 2]), generator=generator(3))
    assert all(map(torch.equal, named.parameters(), called.parameters()))


def test_the_named_constant_is_a_tenth() -> None:
    model = INITIALIZERS["constant"](MLP([2, 5, 2], dtype=torch.float64), generator())
    assert all((p == 0.1).all() for p in model.parameters())


def test_without_a_generator_the_numbers_are_pytorchs_global_ones() -> None:
    for fill in (default_, tied_, kaiming_normal_, xavier_normal_, partial(normal_, std=0.3)):
        with torch.random.fork_rng():
            torch.manual_seed(7)
            by_global = fill(MLP([2, 5, 2]))
        by_ours = fill(MLP([2, 5, 2]), generator=generator(7))
        assert all(map(torch.equal, by_global.parameters(), by_ours.parameters()))


@pytest.mark.parametrize("start", INITIALIZERS)
def test_a_named_start_is_a_function_of_the_seed_alone(start: str) -> None:
    state = torch.get_rng_state()
    models = [MLP([2, 5, 2], seed=seed) for seed in (0, 1)]
    for model in models:
        assert INITIALIZERS[start](model, generator(3)) is model
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))
    other = INITIALIZERS[start](MLP([2, 5, 2]), generator(4))
    same = all(map(torch.equal, models[0].parameters(), other.parameters()))
    assert same == (start in ("zeros", "constant", "angles"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("start", INITIALIZERS)
def test_a_start_is_a_number_that_can_be_trained(start: str) -> None:
    model = INITIALIZERS[start](MLP([2, 5, 2]), generator())
    assert all(p.requires_grad and p.is_leaf and p.isfinite().all() for p in model.parameters())


@given(st.integers(1, 20))
def test_angles_are_the_roots_of_unity_and_all_else_is_zero(width: int) -> None:
    first, *others = angles_(MLP([2, width, 3], dtype=torch.float64)).parameters()
    rows = torch.view_as_complex(first.detach())
    torch.testing.assert_close(rows**width, torch.ones_like(rows))
    assert distinct_units(first) == width
    turns = (rows[1:] / rows[:-1]).angle() % (2 * math.pi)
    torch.testing.assert_close(turns, torch.full_like(turns, 2 * math.pi / width))
    assert not any(p.any() for p in others)


def test_angles_are_refused_where_they_do_not_fit() -> None:
    model = MLP([3, 4, 2])
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match="fan_in 2, got 3"):
        angles_(model)
    assert all(map(torch.equal, model.parameters(), before))


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_the_log_prior_is_the_logarithm_of_the_frequencies(counts: list[int]) -> None:
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    layer = nn.Linear(3, len(counts), dtype=torch.float64)
    weight = layer.weight.clone()
    assert log_prior_(layer, Data(torch.zeros(len(y), 1, dtype=torch.float64), y)) is layer
    expected = [math.log(count / sum(counts)) for count in counts]
    torch.testing.assert_close(layer.bias.tolist(), expected)
    assert torch.equal(layer.weight, weight)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (partial(constant_, value=math.nan), "value must be a finite number, got nan"),
        (partial(constant_, value=math.inf), "value must be a finite number, got inf"),
        (partial(normal_, std=-0.1), "std must be a finite number of at least 0, got -0.1"),
        (partial(normal_, std=math.nan), "std must be a finite number of at least 0, got nan"),
    ],
)
def test_a_number_that_is_none_is_refused_and_nothing_changed(
    fill: Callable[[MLP], MLP], message: str
) -> None:
    model = MLP([2, 3, 2])
    before = deepcopy(model)
    with pytest.raises(ValueError, match=message):
        fill(model)
    assert all(map(torch.equal, model.parameters(), before.parameters()))


@pytest.mark.parametrize("fill", [default_, tied_, kaiming_normal_, xavier_normal_])
def test_a_network_without_a_linear_layer_is_refused(
    fill: Callable[[nn.Module], nn.Module],
) -> None:
    with pytest.raises(ValueError, match=r"Conv1d has no nn.Linear layer: give a network that has"):
        fill(nn.Conv1d(1, 1, 1))


def test_a_layer_without_inputs_starts_as_pytorch_s() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that there is nothing to fill
        layer = nn.Linear(0, 3)
    with torch.no_grad():
        layer.bias.fill_(1)
    assert default_(layer).bias.tolist() == [0, 0, 0]
