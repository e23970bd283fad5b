"""Permute the units of a hidden layer, find and count its twins, collapse it to one unit.

A unit of hidden layer l is row i of Wˡ, entry i of bˡ and column i of Wˡ⁺¹; twins are units whose
three pieces are equal (Theorem *Permutation symmetry* and those after it).
"""

from collections.abc import Sequence
from copy import deepcopy
from operator import index
from typing import TypeVar

import torch
from torch import Tensor, nn

from zeroinit.networks import linear_layers

M = TypeVar("M", bound=nn.Module)


def distinct_units(weight: Tensor) -> int:
    r"""Return how many different units a weight matrix holds.

    Parameters
    ----------
    weight : Tensor, shape (fan_out, fan_in)
        Weights of one layer; row :math:`i` holds the incoming weights of unit :math:`i`.

    Returns
    -------
    int
        Number of distinct rows, from 1 (all units equal) to ``fan_out``. Equal means equal to the
        last bit; so a NaN is equal to the same NaN, though −0 is equal to 0.

    Raises
    ------
    ValueError
        If ``weight`` is not a matrix, or has no row.

    Examples
    --------
    Zero weights make every unit the same; random weights make each its own:

    >>> distinct_units(torch.zeros(8, 3))
    1
    >>> distinct_units(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    8
    """
    if weight.ndim != 2:
        raise ValueError(
            f"weight must be a matrix (fan_out, fan_in), got shape {tuple(weight.shape)}"
        )
    if len(weight) == 0:
        raise ValueError(f"weight must have at least one unit, got shape {tuple(weight.shape)}")
    if weight.shape[1] == 0:
        return 1
    return len(torch.unique(_bits(weight), dim=0))


def _bits(weight: Tensor) -> Tensor:
    """Return integers that are equal where the numbers are equal to the last bit, or 0 and −0."""
    numbers = torch.view_as_real(weight) if weight.is_complex() else weight
    if not numbers.is_floating_point():
        return numbers
    # Double precision holds the numbers of every other, and −0 + 0 is 0.
    return (numbers.cpu().double() + 0).view(torch.int64)


def gap(weight: Tensor) -> float:
    r"""Return how far apart the units of a weight matrix are, in their most different number.

    Rounding can make twins differ in their last bits. :func:`distinct_units` then counts them as
    different, and their gap shows that the difference is tiny.

    Parameters
    ----------
    weight : Tensor, shape (units, numbers)
        One unit a row, such as the weights of one layer, or what :func:`units` gives.

    Returns
    -------
    float
        The largest difference between two entries of one column; 0 if all units are equal, equal
        infinities too.

    Raises
    ------
    ValueError
        If ``weight`` is not a matrix, is empty, or holds NaN.

    Examples
    --------
    >>> from zeroinit import MLP, constant_
    >>> gap(units(constant_(MLP([2, 16, 2]), 0.1), 1))
    0.0
    >>> gap(torch.tensor([[1.0, 5.0], [1.5, 2.0]]))
    3.0
    """
    if weight.ndim != 2 or weight.numel() == 0:
        raise ValueError(
            "weight must be a matrix (units, numbers) that is not empty, "
            f"got shape {tuple(weight.shape)}"
        )
    if weight.isnan().any():
        raise ValueError("weight holds NaN, which has no distance: mend the run that made it")
    most, least = weight.detach().amax(0), weight.detach().amin(0)
    return float(torch.where(most == least, 0, most - least).max())


def units(model: nn.Module, layer: int) -> Tensor:
    """Return the units of a hidden layer, one a row.

    Parameters
    ----------
    model : nn.Module
        A network whose linear layers follow one another.
    layer : int
        The hidden layer, from 1 to L − 1.

    Returns
    -------
    Tensor, shape (width, fan_in + 1 + fan_out)
        Incoming weights, bias (0 if the layer has none) and outgoing weights of every unit.

    Raises
    ------
    ValueError
        If there is no such hidden layer, or the linear layer behind it takes more or fewer numbers
        than it gives.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> units(MLP([2, 16, 3]), 1).shape
    torch.Size([16, 6])
    """
    here, after = _hidden(model, layer)
    bias = here.weight.new_zeros(here.out_features) if here.bias is None else here.bias
    return torch.cat([here.weight, bias[:, None], after.weight.T], dim=1).detach()


@torch.no_grad()
def twins(model: nn.Module, layer: int) -> list[list[int]]:
    """Return the groups of twins of a hidden layer: units equal in all three pieces.

    Parameters
    ----------
    model, layer
        As for :func:`units`.

    Returns
    -------
    list of list of int
        Indices of the units of each group, counted from 0; a unit without a twin is in no group.
        Equal means equal to the last bit, as for :func:`distinct_units`.

    Raises
    ------
    ValueError
        If there is no such hidden layer, or its units are told apart by more than their three
        pieces: :func:`permute` refuses the same networks.

    Examples
    --------
    Different outgoing weights alone make two units different:

    >>> from zeroinit import MLP, zeros_
    >>> model = zeros_(MLP([2, 4, 1]))
    >>> twins(model, 1)
    [[0, 1, 2, 3]]
    >>> with torch.no_grad():
    ...     model.layers[1].weight.copy_(torch.tensor([[1.0, 2.0, 1.0, 3.0]]))
    Parameter containing:
    tensor([[1., 2., 1., 3.]], requires_grad=True)
    >>> twins(model, 1)
    [[0, 2]]
    """
    rows = units(model, layer)
    every = torch.arange(len(rows))
    # Every order of the units comes of these two.
    for order in (every.roll(1), torch.cat([every[:2].flip(0), every[2:]])):
        _check_same(model, layer, order, 1)
    groups: dict[int, list[int]] = {}
    for unit, group in enumerate(torch.unique(_bits(rows), dim=0, return_inverse=True)[1].tolist()):
        groups.setdefault(group, []).append(unit)
    return [group for group in groups.values() if len(group) > 1]


@torch.no_grad()
def permute(model: M, layer: int, permutation: Sequence[int] | Tensor) -> M:
    r"""Return a copy of ``model`` with the units of a hidden layer in another order.

    Parameters
    ----------
    model, layer
        As for :func:`units`.
    permutation : sequence of int, or Tensor of int
        Each index from 0 to width − 1 once; unit ``permutation[i]`` becomes unit i.

    Returns
    -------
    nn.Module
        A network that computes the same function (Theorem *Permutation symmetry*); what is frozen
        stays frozen.

    Raises
    ------
    ValueError
        If there is no such hidden layer, or ``permutation`` names a unit that is not there, or one
        twice, or leaves one out; or if, with random parameters, the network would not compute the
        same function. So it is if a norm with parameters stands between the two linear layers, if
        something else reads the units, if one of the layers is used twice, or if they are
        registered in another order than they are called.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> model, x = MLP([2, 4, 2]), torch.randn(5, 2)
    >>> torch.allclose(permute(model, 1, [3, 0, 1, 2])(x), model(x))
    True

    >>> permute(model, 1, [0, 1, 2, 4])
    Traceback (most recent call last):
        ...
    ValueError: permutation must hold each of the units 0 to 3 once, got [0, 1, 2, 4]
    """
    width = _hidden(model, layer)[0].out_features
    order = [index(i) for i in permutation]
    if sorted(order) != list(range(width)):
        raise ValueError(
            f"permutation must hold each of the units 0 to {width - 1} once, got {order}"
        )
    keep = torch.tensor(order)
    _check_same(model, layer, keep, 1)
    return _rebuilt(model, layer, keep, 1)


@torch.no_grad()
def collapse(model: M, layer: int) -> M:
    r"""Return the network in which one unit stands for all the twins of a hidden layer.

    n twins with outgoing weights v compute what one unit with outgoing weights n·v computes
    (Theorem *Collapse*).

    Parameters
    ----------
    model, layer
        As for :func:`units`.

    Returns
    -------
    nn.Module
        A copy of ``model`` whose hidden layer has one unit, and which computes the same function;
        what is frozen stays frozen.

    Raises
    ------
    ValueError
        If there is no such hidden layer, or its units are not all twins; or if the network would
        not compute the same function, as for :func:`permute`.

    Examples
    --------
    >>> from zeroinit import MLP, constant_
    >>> wide = constant_(MLP([2, 16, 2], "tanh"), 0.1)
    >>> one, x = collapse(wide, 1), torch.randn(5, 2)
    >>> sum(p.numel() for p in one.parameters()), torch.allclose(one(x), wide(x))
    (7, True)

    Units that differ cannot be one:

    >>> collapse(MLP([2, 16, 2]), 1)
    Traceback (most recent call last):
        ...
    ValueError: layer 1 holds 16 distinct units: only twins can collapse to one
    """
    distinct = distinct_units(units(model, layer))
    if distinct != 1:
        raise ValueError(
            f"layer {layer} holds {distinct} distinct units: only twins can collapse to one"
        )
    width, keep = _hidden(model, layer)[0].out_features, torch.tensor([0])
    _check_same(model, layer, keep, width)
    return _rebuilt(model, layer, keep, width)


def _rebuilt(model: M, layer: int, keep: Tensor, gain: int) -> M:
    """Return a copy with only the units ``keep``, their outgoing weights times ``gain``."""
    model = deepcopy(model)
    here, after = _hidden(model, layer)
    here.weight = _like(here.weight, here.weight[keep].clone())
    if here.bias is not None:
        here.bias = _like(here.bias, here.bias[keep].clone())
    after.weight = _like(after.weight, gain * after.weight[:, keep])
    here.out_features = after.in_features = len(keep)
    return model


def _like(old: Tensor, numbers: Tensor) -> nn.Parameter:
    return nn.Parameter(numbers, requires_grad=old.requires_grad)


def _check_same(model: nn.Module, layer: int, keep: Tensor, gain: int) -> None:
    """Refuse a network if ``_rebuilt`` changes the function that it computes."""
    probe = deepcopy(model).eval()
    generator = torch.Generator().manual_seed(0)
    calls: list[str] = []
    for name, module in probe.named_modules():
        if not next(module.children(), None):
            called = f"{name} ({type(module).__name__})"
            module.register_forward_pre_hook(lambda *_, called=called: calls.append(called))
    why = "it takes no points, one a row"
    for fan_in in dict.fromkeys(linear.in_features for linear in linear_layers(probe)):
        points = torch.randn(16, fan_in, generator=generator).to(_hidden(probe, layer)[0].weight)
        calls.clear()
        try:
            output = probe(points)
        except Exception:  # a network may raise anything for points that it cannot take
            continue
        if not isinstance(output, Tensor):
            why = f"it gives a {type(output).__name__}, and not a tensor"
            break
        why = f"it calls, in this order, {', '.join(calls)}"
        # More than once, because at some parameters the output is 0 everywhere, as behind a ReLU.
        if all(_same(probe, layer, keep, gain, points, generator) for _ in range(8)):
            return
    raise ValueError(
        f"hidden layer {layer} cannot be rebuilt without changing what the network computes: {why}."
        " The two linear layers must be called once each, one after the other, with nothing but "
        "elementwise functions between them: take the units out of what else reads them"
    )


def _same(
    probe: nn.Module,
    layer: int,
    keep: Tensor,
    gain: int,
    points: Tensor,
    generator: torch.Generator,
) -> bool:
    """Return whether ``_rebuilt`` makes the same function, at random parameters.

    They are random so that nothing which treats the units unlike each other goes unseen.
    """
    for p in probe.parameters():
        p.copy_(torch.randn(p.shape, generator=generator))
    for b in probe.buffers():
        if b.is_floating_point():
            b.copy_(torch.rand(b.shape, generator=generator))  # a variance is not below 0
    here, after = _hidden(probe, layer)
    if gain > 1:
        for t in (here.weight, after.weight.T, *([] if here.bias is None else [here.bias])):
            t.copy_(t[:1].clone().expand_as(t))
    expected = probe(points)
    try:
        found = _rebuilt(probe, layer, keep, gain)(points)
    except Exception:  # what a layer says of units that are no longer there
        return False
    bound = torch.finfo(points.dtype).eps ** 0.5 * expected.abs().max()
    return found.shape == expected.shape and bool((found - expected).abs().max() <= bound)


def _hidden(model: nn.Module, layer: int) -> tuple[nn.Linear, nn.Linear]:
    """Return hidden layer ``layer`` and the one after it."""
    layers = linear_layers(model)
    if not 1 <= layer < len(layers):
        raise ValueError(
            f"there is no hidden layer {layer}; the hidden layers are 1 to {len(layers) - 1}"
            if len(layers) > 1
            else f"there is no hidden layer {layer}: the network has one nn.Linear, and a hidden "
            "layer stands between two"
        )
    here, after = layers[layer - 1 : layer + 1]
    if here.out_features != after.in_features:
        raise ValueError(
            f"linear layer {layer} gives {here.out_features} numbers and the one registered behind "
            f"it takes {after.in_features}: register the layers in the order in which they are "
            "called"
        )
    return here, after
