"""Random rows collide as often as the chances of their values say."""

import math
from collections.abc import Callable
from itertools import combinations, product

import pytest
import torch


@pytest.mark.theorem("colliding-rows")
@pytest.mark.parametrize(
    ("other", "chance"),
    [
        (lambda v: v, 0.5**2 + 0.3**2 + 0.2**2),
        (lambda v: -v, 0.5 * 0.3 + 0.3 * 0.5 + 0.2**2),
    ],
    ids=["equal", "opposite"],
)
def test_pairs_over_all_layers_of_three_values(other: Callable[[int], int], chance: float) -> None:
    """Every layer of three rows of two weights, each with its probability."""
    p = {1: 0.5, -1: 0.3, 0: 0.2}
    expected = 0.0
    for w in product(p, repeat=6):
        rows = [w[:2], w[2:4], w[4:]]
        pairs = sum(a == tuple(map(other, b)) for a, b in combinations(rows, 2))
        expected += pairs * math.prod(p[v] for v in w)
    assert expected == pytest.approx(math.comb(3, 2) * chance**2)


@pytest.mark.theorem("colliding-rows")
@pytest.mark.parametrize("sign", [1, -1])
def test_pairs_of_rounded_normal_rows(sign: int) -> None:
    """The chances are counted in draws of their own; the count is within three standard errors."""
    rng = torch.Generator().manual_seed(0)
    rounded = (0.02 * torch.randn(4_000_000, generator=rng)).to(torch.float8_e4m3fn).float()
    p = rounded.unique(return_counts=True)[1].double() / len(rounded)
    layers = (0.02 * torch.randn(400, 64, 2, generator=rng)).to(torch.float8_e4m3fn).float()
    met = (layers[:, :, None] == sign * layers[:, None]).all(3)
    counts = met.triu(1).sum((1, 2)).double()
    expected = math.comb(64, 2) * p.square().sum() ** 2
    assert (counts.mean() - expected).abs() < 3 * counts.std() / len(counts) ** 0.5
