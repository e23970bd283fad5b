"""ReLU networks that are dead by chance: how often, and that they stay so."""

from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from zeroinit import train, xor

DRAWS = 100_000


def agree(share: Tensor, expected: float) -> bool:
    """Whether shares of draws are within three standard errors."""
    return bool(((share - expected).abs() < 3 * (expected * (1 - expected) / DRAWS) ** 0.5).all())


@pytest.mark.theorem("born-dead")
@pytest.mark.parametrize("shape", ["normal", "uniform"])
def test_networks_are_dead_for_one_input_as_often_as_said(shape: str) -> None:
    rng, widths = Generator().manual_seed(0), [2, 3, 1, 4]
    h, alive = torch.tensor([[0.3], [-1.0]]).expand(DRAWS, 2, 1), 1.0
    for n, out in pairwise(widths):
        w = torch.empty(DRAWS, out, n)
        w = w.normal_(generator=rng) if shape == "normal" else w.uniform_(-1, 1, generator=rng)
        h, alive = (w @ h).relu(), alive * (1 - 2.0**-out)
        assert agree(h.any(1).float().mean(), alive)


@pytest.mark.theorem("born-dead")
def test_units_above_a_living_layer_are_off_independently() -> None:
    """Each of the eight patterns of three units is equally frequent."""
    rng = Generator().manual_seed(1)
    below = torch.tensor([0.0, 2.0, 0.5])
    on = torch.randn(DRAWS, 3, 3, generator=rng) @ below > 0
    patterns = torch.tensor([*product([False, True], repeat=3)])
    shares = (on[:, None] == patterns).all(2).float().mean(0)
    assert agree(shares, 1 / 8)


@pytest.mark.theorem("born-dead")
def test_a_unit_of_the_first_layer_is_off_at_all_of_some_inputs() -> None:
    rng = Generator().manual_seed(2)
    w = 2 * torch.rand(DRAWS, 3, 1, generator=rng) - 1
    x = torch.randn(DRAWS, 4, 3, generator=rng) * torch.tensor([1.0, 5.0, 0.1])
    assert agree((x @ w < 0).all(1).float().mean(), 2.0**-4)


@pytest.mark.theorem("born-dead")
def test_a_network_that_is_dead_for_each_sample_never_moves() -> None:
    """Of three units one is on for a half of the samples, and those die a layer later."""
    data = xor(64)
    model = nn.Sequential(
        nn.Linear(2, 3, bias=False), nn.ReLU(),
        nn.Linear(3, 2, bias=False), nn.ReLU(),
        nn.Linear(2, 2, bias=False),
    )  # fmt: skip
    first, second = model[0], model[2]
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.5], [1.0, 0.0], [2.0, 1.0]]))  # type: ignore[operator]
        second.weight.copy_(-second.weight.abs())  # type: ignore[operator]
    h = F.relu(first(data.x)).any(1)
    assert h.any()
    assert not h.all()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, data, lr=1.0, steps=5)
    assert not model(data.x).any()
    assert all(torch.equal(p, start[name]) for name, p in model.named_parameters())
