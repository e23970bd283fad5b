"""Data and starts of the book's lab, equal to the last bit in Python and in the browser.

The lab runs :func:`~zeroinit.functional.functional_step` in a browser. Its random numbers are drawn
here; from them both sides compute a start in float32, so it is the same start.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Generator, nn

from zeroinit._checks import lookup
from zeroinit.data import Data, half_plane, moons, xor
from zeroinit.initialization import constant_, default_, normal_, tie_, zeros_
from zeroinit.networks import MLP, linear_layers

#: The points of the lab, by name.
#:
#: :meta hide-value:
DATA: Mapping[str, Callable[[], Data]] = MappingProxyType(
    {"half-plane": half_plane, "xor": xor, "moons": moons}
)
#: The units of a hidden layer, the hidden layers, and the seeds that the lab offers.
WIDTHS, DEPTHS, SEEDS = (2, 4, 8, 16, 17, 32), (1, 2, 3, 4), range(6)


def network(activation: str, depth: int, width: int) -> MLP:
    """Return a network of the lab: two numbers, ``depth`` hidden layers of ``width``, two logits.

    Examples
    --------
    >>> network("tanh", depth=3, width=8).widths
    [2, 8, 8, 8, 2]
    """
    return MLP([2, *[width] * depth, 2], activation)


@torch.no_grad()
def draw_(model: MLP, generator: Generator) -> MLP:
    """Fill a network with standard normal numbers: every weight in order, then every bias.

    Examples
    --------
    The weights are those of :func:`~zeroinit.initialization.normal_`:

    >>> ours = draw_(network("tanh", 1, 8), Generator().manual_seed(3))
    >>> theirs = normal_(network("tanh", 1, 8), 1.0, generator=Generator().manual_seed(3))
    >>> torch.equal(ours.layers[1].weight, theirs.layers[1].weight)
    True
    """
    normal_(model, 1.0, generator=generator)
    for layer in linear_layers(model):
        layer.bias.normal_(generator=generator)
    return model


@torch.no_grad()
def start_(model: MLP, start: str, *, size: float = 1.0, seed: int = 0) -> MLP:
    """Fill a network as the lab does, with the same numbers to the last bit.

    Parameters
    ----------
    model : MLP
        Filled in place.
    start : str
        A name in :data:`STARTS`.
    size : float, default 1
        The value of ``constant``, the standard deviation of ``normal`` and ``biases``, the
        difference ε of ``tied``; the others take none.
    seed : int, default 0
        Seed of the numbers, for the starts that draw.

    Returns
    -------
    MLP
        The same ``model``.

    Raises
    ------
    ValueError
        If the start is unknown.

    Examples
    --------
    ``tied`` leads from twins, where ε is 0, to the start of He, where it is 1:

    >>> from zeroinit import distinct_units
    >>> tied = start_(network("tanh", 1, 8), "tied", size=0.0, seed=3)
    >>> he = start_(network("tanh", 1, 8), "kaiming", seed=3)
    >>> distinct_units(tied.layers[0].weight), distinct_units(he.layers[0].weight)
    (1, 8)
    >>> whole = start_(network("tanh", 1, 8), "tied", size=1.0, seed=3)
    >>> torch.allclose(whole.layers[1].weight, he.layers[1].weight)
    True

    ``default`` is what :class:`torch.nn.Linear` draws by itself after ``torch.manual_seed(seed)``:

    >>> own, default = MLP([2, 8, 2], seed=3), start_(network("relu", 1, 8), "default", seed=3)
    >>> torch.equal(own.layers[1].bias, default.layers[1].bias)
    True

    >>> start_(network("tanh", 1, 8), "orthogonal")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: unknown start 'orthogonal': choose one of zeros, constant, tied, normal, lecun, ...
    """
    fill = lookup("start", start, STARTS)
    draw = default_ if start == "default" else draw_
    fill(draw(model, generator=Generator().manual_seed(seed)), size)
    return model


def _scale(model: MLP, std: Callable[[nn.Linear], float]) -> None:
    for layer in linear_layers(model):
        layer.weight.mul_(std(layer))
        layer.bias.zero_()


def _lecun(model: MLP, size: float) -> None:
    _scale(model, lambda layer: math.sqrt(1 / layer.in_features))


def _he(model: MLP, size: float) -> None:
    _scale(model, lambda layer: math.sqrt(2 / layer.in_features))


def _glorot(model: MLP, size: float) -> None:
    _scale(model, lambda layer: math.sqrt(2 / (layer.in_features + layer.out_features)))


def _tied(model: MLP, size: float) -> None:
    _he(model, size)
    weights = [layer.weight for layer in linear_layers(model)]
    random = [weight.clone() for weight in weights]
    tie_(model)
    for equal, other in zip(weights, random, strict=True):
        equal.add_(size * (other - equal))


def _zero_last(model: MLP, size: float) -> None:
    _he(model, size)
    zeros_(linear_layers(model)[-1])


def _biases(model: MLP, size: float) -> None:
    *hidden, last = linear_layers(model)
    for layer in hidden:
        layer.weight.zero_()
        layer.bias.mul_(size)
    zeros_(last)


#: The starts by name; each turns the numbers of :func:`draw_` into a start of a size. ``default``
#: is the one whose numbers are drawn by :func:`~zeroinit.initialization.default_`, and stay.
#:
#: :meta hide-value:
STARTS: Mapping[str, Callable[[MLP, float], object]] = MappingProxyType(
    {
        "zeros": lambda model, size: zeros_(model),
        "constant": constant_,
        "tied": _tied,
        "normal": lambda model, size: _scale(model, lambda layer: size),
        "lecun": _lecun,
        "xavier": _glorot,
        "kaiming": _he,
        "default": lambda model, size: model,
        "zero-last": _zero_last,
        "biases": _biases,
    }
)
