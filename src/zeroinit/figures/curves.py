"""Curves of numbers by step, by layer, by width and by size."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from zeroinit.figures.style import ink, look_of


def losses(ax: Axes, curves: Mapping[str, Tensor], *, limit: float | None = None) -> Axes:
    """Draw losses by step; of many seeds the median, in the band that holds eight runs in ten.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    curves : mapping of str to Tensor, shape (steps + 1,) or (steps + 1, seeds)
        Losses by label; a label that begins with a name in
        :data:`~zeroinit.figures.style.STARTS` takes its colour.
    limit : float, optional
        A level to mark, in nats, such as the entropy H(p) of the labels.

    Returns
    -------
    Axes
        The same ``ax``.
    """
    for k, (label, curve) in enumerate(curves.items()):
        values = np.asarray(curve.reshape(len(curve), -1))
        low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=1)
        look = look_of(label, k)
        ax.plot(middle, label=label, color=look.colour, linestyle=look.dash)
        if values.shape[1] > 1:
            ax.fill_between(range(len(middle)), low, high, color=look.colour, alpha=0.2, lw=0)
    if limit is not None:
        ax.axhline(limit, color=ink(), lw=1, ls=(0, (1, 2)), label="H(p), entropy of labels")
    ax.set(xlabel="step", ylabel="loss (nats)")
    ax.legend()
    return ax


def by_layer(ax: Axes, values: Mapping[str, Tensor], *, ylabel: str, first: int = 0) -> Axes:
    """Draw a quantity by layer: the median over seeds, in the band that holds eight in ten.

    Parameters
    ----------
    ax : Axes
        Where to draw; give it a logarithmic scale before or after, as suits the quantity.
    values : mapping of str to Tensor, shape (layers, seeds)
        Numbers by label; where they are 0 for every seed, a cross stands at the foot of the axes.
    ylabel : str
        The quantity, with its unit.
    first : int, default 0
        The layer of the first row; 0 is the input.

    Returns
    -------
    Axes
        The same ``ax``.
    """
    for k, (label, numbers) in enumerate(values.items()):
        layer = np.arange(first, first + len(numbers))
        low, middle, high = np.nanquantile(np.asarray(numbers), [0.1, 0.5, 0.9], axis=1)
        zero = (np.asarray(numbers) == 0).all(1)
        low, middle, high = (np.ma.masked_where(zero, line) for line in (low, middle, high))
        colour, dash, marker = look_of(label, k)
        ax.plot(layer, middle, marker, ls=dash, color=colour, label=label)
        ax.fill_between(layer, low, high, color=colour, alpha=0.2, lw=0)
        foot = np.full(zero.sum(), 0.02)
        ax.plot(layer[zero], foot, "x", color=colour, transform=ax.get_xaxis_transform())
    ax.set(xlabel="layer $l$", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def by_width(
    ax: Axes,
    steps: Mapping[str, Mapping[int, int | None]],
    *,
    last: int,
    predicted: float | None = None,
) -> Axes:
    """Draw the step at which something happens by width; a cross at the top where it does not.

    Parameters
    ----------
    ax : Axes
        Where to draw; its steps are on a logarithmic scale.
    steps : mapping of str to mapping of int to int or None
        For every event, by its label, the step, at least 1, by width; None if it was not seen.
    last : int
        The last step of the runs, which is marked.
    predicted : float, optional
        A step to mark as predicted.

    Returns
    -------
    Axes
        The same ``ax``, without a legend: axes beside it can share one.
    """
    for k, (label, found) in enumerate(steps.items()):
        colour, _, marker = look_of(label, k)
        seen = {width: step for width, step in found.items() if step is not None}
        never = [width for width in found if width not in seen]
        ax.plot(list(seen), list(seen.values()), marker, color=colour, label=label)
        heights = [0.98 - 0.05 * k] * len(never)
        ax.plot(never, heights, "x", color=colour, transform=ax.get_xaxis_transform())
    ax.axhline(last, color=ink(), lw=1, label="end of the runs")
    if predicted is not None:
        ax.axhline(predicted, color=ink(), lw=1, ls=(0, (4, 2)), label="predicted escape")
    ax.set(xlabel="width $n$", ylabel="step", yscale="log", ylim=(0.8, 5 * last))
    return ax


def waits(
    ax: Axes, sizes: Tensor, measured: Mapping[str, Tensor], predicted: Mapping[str, Tensor]
) -> Axes:
    """Draw how long a difference takes to escape, by its size: measured dots, predicted lines.

    Parameters
    ----------
    ax : Axes
        Where to draw; the steps are on its own scale, made logarithmic before or after.
    sizes : Tensor, shape (sizes,)
        Sizes of the difference, above 0.
    measured, predicted : mapping of str to Tensor, shape (sizes,)
        Steps by label, under the same labels.

    Returns
    -------
    Axes
        The same ``ax``; sizes are on a logarithmic scale, the smallest on the right.
    """
    for k, (label, steps) in enumerate(measured.items()):
        colour, dash, marker = look_of(label, k)
        ax.plot(sizes, predicted[label], color=colour, linestyle=dash, lw=1.2)
        ax.plot(sizes, steps, marker, color=colour, label=label)
    ax.set(
        xscale="log",
        xlabel="size ε of the difference, smaller to the right",
        ylabel="steps to escape",
    )
    ax.xaxis.set_inverted(True)
    ax.legend()
    return ax


def signals(
    ax: Axes, sizes: Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]]
) -> Axes:
    """Draw measured sizes by layer as marks, and predicted ones as lines.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    sizes : mapping of str to two sequences of float or None
        Measured and predicted mean squares, layer by layer; nothing is drawn for None, and of a
        measured 0 a cross at the foot of the axes.

    Returns
    -------
    Axes
        The same ``ax``, on a logarithmic scale.
    """
    for k, (label, (measured, predicted)) in enumerate(sizes.items()):
        colour, dash, marker = look_of(label, k)
        layer = np.arange(1, len(measured) + 1)
        seen, law = (np.array(numbers, float) for numbers in (measured, predicted))
        ax.plot(layer, np.where(law > 0, law, np.nan), ls=dash, color=colour, label=f"{label}, law")
        ax.plot(layer, np.where(seen > 0, seen, np.nan), marker, color=colour, label=label)
        foot = np.full(len(layer[seen == 0]), 0.02)
        ax.plot(layer[seen == 0], foot, "x", color=colour, transform=ax.get_xaxis_transform())
    ax.set(xlabel="call of a layer", ylabel="mean square", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax
