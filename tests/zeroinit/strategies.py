"""Random problems, a network and its data, on which the theorems are tested as properties.

All is in double precision: what mathematics calls equal then differs by some 1e-15.
"""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

from zeroinit import MLP, Data, units
from zeroinit.initialization import INITIALIZERS
from zeroinit.networks import ACTIVATIONS

#: The activations with σ(0) = 0, and those with σ(0) ≠ 0.
ZERO_AT_ZERO = ("relu", "leaky_relu", "tanh", "gelu", "silu", "elu", "identity")
NONZERO_AT_ZERO = ("sigmoid", "softplus")

Problem = tuple[MLP, Data]
Shuffle = tuple[MLP, Data, int, list[int]]


@st.composite
def labelled_points(draw: st.DrawFn, fan_in: int, classes: int, *, balanced: bool = False) -> Data:
    """Draw normal points of every class, of each equally many or of some more than of others."""
    if balanced:
        counts = [draw(st.integers(1, 5))] * classes
    else:
        sizes = st.lists(st.integers(1, 9), min_size=classes, max_size=classes)
        counts = draw(sizes.filter(lambda counts: len(set(counts)) > 1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    x = torch.randn(sum(counts), fan_in, generator=generator, dtype=torch.float64)
    return Data(x, torch.arange(classes).repeat_interleave(torch.tensor(counts)))


@st.composite
def problems(
    draw: st.DrawFn,
    activations: Sequence[str] = tuple(ACTIVATIONS),
    *,
    start: str = "default",
    bias: bool = True,
    balanced: bool = False,
) -> Problem:
    """Draw a network with one to three hidden layers of two to six units, and data for it."""
    fan_in, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    hidden = draw(st.lists(st.integers(2, 6), min_size=1, max_size=3))
    activation = draw(st.sampled_from(activations))
    model = MLP([fan_in, *hidden, classes], activation, bias=bias, dtype=torch.float64)
    INITIALIZERS[start](model, torch.Generator().manual_seed(draw(st.integers(0, 10**6))))
    return model, draw(labelled_points(fan_in, classes, balanced=balanced))


@st.composite
def shuffles(draw: st.DrawFn, *, start: str = "default", bias: bool = True) -> Shuffle:
    """Draw a problem, one of its hidden layers, and an order of that layer's units."""
    model, data = draw(problems(start=start, bias=bias))
    layer = draw(st.integers(1, len(model.layers) - 1))
    return model, data, layer, draw(st.permutations(range(len(units(model, layer)))))


@st.composite
def least_squares(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Draw inputs of any shape and rank, targets, and a start; singular values are from 1 to 2."""
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    scales = draw(st.lists(st.floats(1, 2), min_size=1, max_size=min(n, d)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    numbers = torch.randn(n * n + d * d + n + d, generator=generator, dtype=torch.float64)
    left, right, y, start = numbers.split([n * n, d * d, n, d])
    (u, _), (v, _) = torch.linalg.qr(left.view(n, n)), torch.linalg.qr(right.view(d, d))
    rank = len(scales)
    x = u[:, :rank] * torch.tensor(scales, dtype=torch.float64) @ v[:, :rank].T
    return x, y, start
