"""Mean squares of signal and error are those of the law, and their spread that of the kurtosis."""

from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch
from torch import Generator, Tensor

Draw = Callable[..., Tensor]

#: Draws of mean 0 and variance 1.
SHAPES: dict[str, Draw] = {
    "normal": torch.randn,
    "uniform": lambda *shape, **how: 3**0.5 * (2 * torch.rand(*shape, **how) - 1),
}
SLOPES = {"identity": 1.0, "relu": 0.5}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"identity": lambda z: z, "relu": torch.relu}


def agrees(numbers: Tensor, expected: float) -> bool:
    """Whether a mean over independent draws is within three standard errors."""
    return bool((numbers.mean() - expected).abs() < 3 * numbers.std() / len(numbers) ** 0.5)


@pytest.mark.theorem("mean-square-law")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_mean_squares_over_many_networks(activation: str, shape: str) -> None:
    """Autograd's, in small networks: there the widths are far from any limit."""
    widths, deviations = [2, 3, 4, 2], [0.9, 0.6, 0.7]
    rng = Generator().manual_seed(0)
    x = torch.tensor([[1.0, -2.0]]).expand(60_000, 1, 2).clone().requires_grad_()
    h, c, signal = x, SLOPES[activation], x[0].detach().square().mean().item()
    for (n, out), s in zip(pairwise(widths), deviations, strict=True):
        z = h @ (s * SHAPES[shape](len(x), n, out, generator=rng))
        h, signal = ACTIVATIONS[activation](z), signal * c * n * s**2
        assert agrees(h.detach().square().mean((1, 2)), signal)
    error = torch.tensor([[0.5, 1.5]]).expand(len(x), 1, 2)
    (g,) = torch.autograd.grad(z, x, error)
    expected = error[0].square().mean().item() / c  # the last layer has no activation
    for n, s in zip(widths[1:], deviations, strict=True):
        expected *= c * n * s**2
    assert agrees(g.square().mean((1, 2)), expected)


@pytest.mark.theorem("mean-square-law")
def test_the_mean_square_of_the_signal_over_all_signs_is_exact() -> None:
    """Every network of random signs, each once, so that nothing is left to chance."""
    x = torch.tensor([1.0, -3.0])
    for activation, c in SLOPES.items():
        sigma = ACTIVATIONS[activation]
        weights = [torch.tensor(w).view(4, 2) for w in product([1.0, -1.0], repeat=8)]
        last = torch.stack([sigma(w[2:] @ sigma(w[:2] @ x)) for w in weights])
        assert last.square().mean() == x.square().mean() * (c * 2) ** 2


@pytest.mark.theorem("size-fluctuates")
@pytest.mark.parametrize("kurtosis", [3, 9 / 5, 1])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_the_fourth_power_of_the_length_over_all_weights(activation: str, kurtosis: float) -> None:
    """Weights have three values, the two outer ones equally likely, so that all can be listed."""
    n, s, h = 2, 0.8, torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    outer = 1 / (2 * kurtosis)
    values = torch.tensor([-1, 0, 1]) * kurtosis**0.5
    chances = torch.tensor([outer, 1 - 2 * outer, outer], dtype=torch.float64)
    lists = torch.cartesian_prod(*[torch.arange(3)] * 6)
    length = ACTIVATIONS[activation](s * values[lists].view(-1, n, 3).double() @ h).norm(dim=1)
    found = (chances[lists].prod(1) * length**4).sum()

    square, fourth = h.square().sum() ** 2, h.pow(4).sum()
    expected = {
        "identity": n * s**4 * ((n + 2) * square + (kurtosis - 3) * fourth),
        "relu": n * s**4 / 4 * ((n + 5) * square + 2 * (kurtosis - 3) * fourth),
    }
    torch.testing.assert_close(found, expected[activation], rtol=1e-6, atol=0)


@pytest.mark.theorem("size-fluctuates")
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_the_logarithm_spreads_by_layer(activation: str) -> None:
    n, depth, rng = 40, 6, Generator().manual_seed(2)
    h, logs = torch.ones(4000, n, 1), []
    for _ in range(depth):
        w = torch.randn(len(h), n, n, generator=rng) * (1 / n / SLOPES[activation]) ** 0.5
        h = ACTIVATIONS[activation](w @ h)
        logs.append(h.square().mean((1, 2)).log())
    steps = torch.stack(logs).diff(dim=0)
    correlations = torch.corrcoef(steps)[~torch.eye(depth - 1, dtype=torch.bool)]
    assert correlations.abs().max() < 4 / len(h[:, 0]) ** 0.5
    spread = (logs[-1] - logs[-1].mean()).square()
    if activation == "identity":
        exact = depth * torch.polygamma(1, torch.tensor(n / 2)).item()
        assert agrees(spread, exact)
        assert exact == pytest.approx(depth * 2 / n, rel=1.5 / n)
    else:
        assert spread.mean().item() == pytest.approx(depth * 5 / n, rel=0.15)
