"""The starts of the lab are those that the package and PyTorch know under their names."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, nn

from zeroinit import gap, kaiming_normal_, normal_, twins, units, xavier_normal_
from zeroinit.lab import DATA, DEPTHS, STARTS, WIDTHS, network, start_
from zeroinit.networks import MLP, linear_layers

LAST_BITS = 2.0**-22  # a product rounded twice, or once


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def lecun_(model: MLP, generator: Generator) -> MLP:
    """PyTorch knows it as the start of He for layers without an activation."""
    for layer in linear_layers(model):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=generator)
        nn.init.zeros_(layer.bias)
    return model


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("start", "fill"),
    [
        ("normal", lambda model, generator: normal_(model, 0.3, generator=generator)),
        ("lecun", lecun_),
        ("xavier", lambda model, generator: xavier_normal_(model, generator=generator)),
        ("kaiming", lambda model, generator: kaiming_normal_(model, generator=generator)),
    ],
)
def test_a_random_start_is_the_one_of_its_name(
    start: str, fill: Callable[[MLP, Generator], MLP], width: int, depth: int
) -> None:
    ours = start_(network("relu", depth, width), start, size=0.3, seed=5)
    theirs = fill(network("relu", depth, width), Generator().manual_seed(5))
    torch.testing.assert_close(flat(ours), flat(theirs), rtol=LAST_BITS, atol=0)


def test_the_default_is_what_linear_layers_draw_by_themselves() -> None:
    ours = start_(network("relu", 2, 8), "default", seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    assert torch.equal(flat(ours), flat(theirs))


@pytest.mark.parametrize("depth", DEPTHS)
def test_tied_units_differ_by_the_size(depth: int) -> None:
    for layer in range(1, depth + 1):
        model = network("tanh", depth, 8)
        assert twins(start_(model, "tied", size=0.0, seed=2), layer) == [list(range(8))]
        apart = gap(units(start_(model, "kaiming", seed=2), layer))
        near = gap(units(start_(model, "tied", size=1e-3, seed=2), layer))
        assert near == pytest.approx(1e-3 * apart, rel=1e-3)


def test_what_is_zero_is_zero() -> None:
    for layer in linear_layers(start_(network("tanh", 3, 8), "zeros", seed=1)):
        assert not layer.weight.any()
        assert not layer.bias.any()
    *hidden, last = linear_layers(start_(network("tanh", 3, 8), "zero-last", seed=1))
    assert not last.weight.any()
    assert all(layer.weight.all() for layer in hidden)
    *hidden, last = linear_layers(start_(network("tanh", 3, 8), "biases", size=0.5, seed=1))
    assert not any(layer.weight.any() for layer in (*hidden, last))
    assert all(layer.bias.all() for layer in hidden)
    assert not last.bias.any()
    assert (flat(start_(network("tanh", 3, 8), "constant", size=0.25)) == 0.25).all()


def test_a_seed_decides() -> None:
    for start in STARTS:
        one, same = (flat(start_(network("tanh", 2, 8), start, seed=3)) for _ in range(2))
        assert torch.equal(one, same)
    he = [flat(start_(network("tanh", 2, 8), "kaiming", seed=seed)) for seed in (3, 4)]
    assert not torch.equal(*he)
    usual = flat(start_(network("tanh", 2, 8), "biases"))
    assert torch.equal(usual, flat(start_(network("tanh", 2, 8), "biases", size=1.0, seed=0)))


def test_a_network_has_the_activation_depth_and_width_asked_for() -> None:
    model, same = network("sigmoid", 3, 4), MLP([2, 4, 4, 4, 2], "sigmoid")
    x = torch.linspace(-2, 2, 10).reshape(5, 2)
    torch.testing.assert_close(model(x), same(x))


def test_one_width_fills_no_register() -> None:
    """All others are powers of two, for which a machine rounds twins alike."""
    assert [width for width in WIDTHS if width.bit_count() > 1] == [17]


def test_no_depth_is_left_out() -> None:
    assert [*DEPTHS] == [*range(1, len(DEPTHS) + 1)]


def test_the_points_fit_the_networks_and_are_those_of_their_name() -> None:
    for name, make in DATA.items():
        data = make()
        assert name.replace("-", "_") == make.__name__
        assert data.x.shape[1] == 2
        assert set(data.y.tolist()) == {0, 1}
