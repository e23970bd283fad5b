"""Starts that ``torch.nn.init`` does not offer, as functions named like its own: ``zeros_``.

Each takes a module, fills the parameters that its first sentence names, and returns the module.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from zeroinit._checks import check_not_negative
from zeroinit.data import Data
from zeroinit.networks import linear_layers

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def constant_(model: M, value: float) -> M:
    """Fill every parameter of ``model``, weight or bias, with ``value``.

    Parameters
    ----------
    model : nn.Module
        Filled in place.
    value : float
        Any finite number. Units of a hidden layer become twins; with 0 the network is *all-zero*.

    Returns
    -------
    nn.Module
        The same ``model``.

    Raises
    ------
    ValueError
        If ``value`` is not finite.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model = constant_(MLP([2, 16, 2]), 0.1)
    >>> model.layers[0].weight.unique()
    tensor([0.1000], grad_fn=<Unique2Backward0>)
    """
    if not math.isfinite(value):
        raise ValueError(f"value must be a finite number, got {value}")
    for parameter in model.parameters():
        parameter.fill_(value)
    return model


def zeros_(model: M) -> M:
    """Fill every parameter of ``model`` with 0: the all-zero start.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> bool(zeros_(MLP([2, 16, 2]))(torch.randn(5, 2)).any())
    False
    """
    return constant_(model, 0.0)


@torch.no_grad()
def default_(model: M, *, generator: Generator | None = None) -> M:
    r"""Fill the linear layers of ``model`` as :class:`torch.nn.Linear` does by itself.

    Weights and biases are uniform on :math:`\pm 1/\sqrt{\text{fan\_in}}`, drawn layer by layer,
    weight first.

    Parameters
    ----------
    model : nn.Module
        A network with linear layers, filled in place.
    generator : torch.Generator, optional
        Where the numbers come from; PyTorch's global one if not given, as in ``torch.nn.init``.

    Examples
    --------
    The same seed gives what PyTorch gives, bit for bit:

    >>> from zeroinit import MLP
    >>> ours = default_(MLP([2, 16, 2]), generator=torch.Generator().manual_seed(7))
    >>> torch.equal(ours.layers[1].weight, MLP([2, 16, 2], seed=7).layers[1].weight)
    True
    """
    for layer in linear_layers(model):
        bound = 1 / math.sqrt(layer.in_features) if layer.in_features else 0.0
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return model


@torch.no_grad()
def normal_(model: M, std: float, *, generator: Generator | None = None) -> M:
    """Fill the weights with normal numbers of mean 0 and deviation ``std``, the biases with 0.

    Parameters
    ----------
    model : nn.Module
        A network with linear layers, filled in place.
    std : float, at least 0
        Standard deviation of every weight. With 0 the start is all-zero.
    generator : torch.Generator, optional
        Where the numbers come from; PyTorch's global one if not given.

    Raises
    ------
    ValueError
        If ``std`` is negative or not finite.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model = normal_(MLP([2, 16, 2]), 0.01, generator=torch.Generator().manual_seed(0))
    >>> bool(model.layers[0].bias.any()), len(model.layers[0].weight.unique())
    (False, 32)
    """
    check_not_negative("std", std)
    return _weights_(model, lambda weight: weight.normal_(0.0, std, generator=generator))


def kaiming_normal_(model: M, *, generator: Generator | None = None) -> M:
    r"""Fill the weights with normal numbers that keep the signal's size, the biases with 0.

    Their deviation :math:`\sqrt{2/\text{fan\_in}}` keeps the mean square of the signal through
    ReLU layers (He et al. 2015, equation 10): :func:`torch.nn.init.kaiming_normal_` on every layer.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model = kaiming_normal_(MLP([512, 512]), generator=torch.Generator().manual_seed(0))
    >>> round((model.layers[0].weight.std() * 16).item(), 2)
    1.0
    """
    return _weights_(
        model,
        lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator),
    )


def xavier_normal_(model: M, *, generator: Generator | None = None) -> M:
    r"""Fill the weights with normal numbers that suit both directions, the biases with 0.

    Their deviation :math:`\sqrt{2/(\text{fan\_in} + \text{fan\_out})}` is a compromise between the
    signal forward and the gradient backward (Glorot & Bengio 2010, equation 12):
    :func:`torch.nn.init.xavier_normal_` on every layer.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model = xavier_normal_(MLP([512, 512]), generator=torch.Generator().manual_seed(0))
    >>> round((model.layers[0].weight.std() * 512**0.5).item(), 2)
    1.0
    """
    return _weights_(model, lambda weight: nn.init.xavier_normal_(weight, generator=generator))


@torch.no_grad()
def tied_(model: M, *, generator: Generator | None = None) -> M:
    """Draw :func:`default_`, then make every hidden unit a twin of its layer's first.

    Rows of a hidden weight, entries of its bias, and columns of the next weight become equal;
    only the numbers of one unit remain random.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model = tied_(MLP([2, 16, 2]), generator=torch.Generator().manual_seed(0))
    >>> model.layers[0].weight.unique(dim=0).shape, model.layers[1].weight.unique(dim=1).shape
    (torch.Size([1, 2]), torch.Size([2, 1]))
    """
    return tie_(default_(model, generator=generator))


@torch.no_grad()
def tie_(model: M) -> M:
    """Make every hidden unit of ``model`` a twin of its layer's first.

    Parameters
    ----------
    model : nn.Module
        A network whose linear layers follow one another; changed in place.

    Examples
    --------
    >>> from zeroinit import MLP, twins
    >>> twins(tie_(MLP([2, 4, 2])), 1)
    [[0, 1, 2, 3]]

    A network without a hidden layer has nothing to tie:

    >>> weight = tie_(MLP([2, 2], seed=1)).layers[0].weight
    >>> torch.equal(weight, MLP([2, 2], seed=1).layers[0].weight)
    True
    """
    for layer, after in pairwise(linear_layers(model)):
        layer.weight.copy_(layer.weight[:1].clone().expand_as(layer.weight))
        if layer.bias is not None:
            layer.bias.fill_(layer.bias[0].item())
        after.weight.copy_(after.weight[:, :1].clone().expand_as(after.weight))
    return model


@torch.no_grad()
def angles_(model: M) -> M:
    r"""Fill the first layer with directions at equal angles, and all else with 0.

    Unit i of n gets the weights :math:`(\cos 2\pi i/n, \sin 2\pi i/n)`. Nothing is random, but all
    units differ, and that is enough to learn (Theorem *A difference is enough*).

    Parameters
    ----------
    model : nn.Module
        A network with linear layers whose first one takes two numbers; filled in place.

    Raises
    ------
    ValueError
        If the first layer does not take two numbers.

    Examples
    --------
    >>> from zeroinit import MLP, twins
    >>> model = angles_(MLP([2, 16, 2]))
    >>> twins(model, 1), bool(model.layers[1].weight.any())
    ([], False)
    """
    first = linear_layers(model)[0]
    if first.in_features != 2:
        raise ValueError(f"angles are for a first layer of fan_in 2, got {first.in_features}")
    zeros_(model)
    i = torch.arange(first.out_features, dtype=torch.float64)
    turn = 2 * math.pi * i / first.out_features
    first.weight.copy_(torch.stack([turn.cos(), turn.sin()], dim=1))
    return model


@torch.no_grad()
def log_prior_(layer: nn.Linear, data: Data) -> nn.Linear:
    r"""Set the bias of an output layer to the log-frequencies of the classes.

    With zero weight and :math:`b_c = \ln p_c` the softmax is the class prior, and the loss starts
    at the entropy :math:`H(p)` where it would otherwise have to descend from :math:`\ln C`.

    Parameters
    ----------
    layer : nn.Linear
        The output layer, one unit for each class; its bias is filled in place.
    data : Data
        Points with class labels.

    Raises
    ------
    ValueError
        If the layer has no bias, has not one unit for each class, or a class has no point.

    Examples
    --------
    >>> from zeroinit import half_plane
    >>> data = half_plane()
    >>> layer = log_prior_(torch.nn.Linear(16, 2), data)
    >>> torch.allclose(layer.bias.softmax(0), data.frequencies)
    True

    A layer made with ``bias=False`` has none to fill:

    >>> log_prior_(torch.nn.Linear(16, 2, bias=False), data)
    Traceback (most recent call last):
        ...
    ValueError: the layer has no bias to fill: make it with nn.Linear(16, 2, bias=True)
    """
    if layer.bias is None:
        made = f"nn.Linear({layer.in_features}, {layer.out_features}, bias=True)"
        raise ValueError(f"the layer has no bias to fill: make it with {made}")
    frequencies = data.frequencies
    if len(frequencies) != layer.out_features:
        raise ValueError(
            f"the layer has {layer.out_features} outputs and the data {len(frequencies)} classes: "
            "give the output layer of a network for these classes"
        )
    if not frequencies.all():
        raise ValueError(
            f"class {int(frequencies.argmin())} has no point: its log-frequency is -inf"
        )
    layer.bias.copy_(frequencies.log())
    return layer


@torch.no_grad()
def _weights_(model: M, fill: Callable[[Tensor], object]) -> M:
    for layer in linear_layers(model):
        fill(layer.weight)
        if layer.bias is not None:
            layer.bias.zero_()
    return model


#: The starts by name (zeros, constant, tied, angles, default, kaiming, xavier), each a function of
#: the model and a generator. The constant is 0.1.
#:
#: :meta hide-value:
INITIALIZERS: Mapping[str, Callable[[nn.Module, Generator], nn.Module]] = MappingProxyType(
    {
        "zeros": lambda model, generator: zeros_(model),
        "constant": lambda model, generator: constant_(model, 0.1),
        "tied": lambda model, generator: tied_(model, generator=generator),
        "angles": lambda model, generator: angles_(model),
        "default": lambda model, generator: default_(model, generator=generator),
        "kaiming": lambda model, generator: kaiming_normal_(model, generator=generator),
        "xavier": lambda model, generator: xavier_normal_(model, generator=generator),
    }
)
