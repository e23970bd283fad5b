"""Diagrams of networks: a circle for every unit, a wire for every weight, the input at the foot.

Every function draws numbers on one ``Axes`` and returns it. A number that is exactly 0 is drawn as
one: its wire is dotted and crossed out, its unit is an empty ring in the colour of zeros.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from zeroinit.plots import STARTS, ground, ink

RADIUS = 0.24  # of a unit, where neighbours are 1 apart


def network(
    ax: Axes,
    units: Sequence[Sequence[float | str]],
    wires: Sequence[Tensor],
    *,
    colours: Sequence[str] | None = None,
    numbers: bool = False,
) -> Axes:
    r"""Draw a network with a number or a word in every unit, and a number on every wire.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    units : sequence of L + 1 sequences of float or str
        What stands in the units of every layer, the input first.
    wires : sequence of L tensors, shape (widths[l], widths[l - 1])
        A number for every wire, laid out as the weights are.
    colours : sequence of str, optional
        A colour for each place of the hidden layers, from the left; a unit and the wires that reach
        it, and those from the last hidden layer to the output, take it. All is ink if not given.
    numbers : bool, default False
        Whether to write its number on every wire that is not zero.

    Returns
    -------
    Axes
        The same ``ax``, without axis lines.

    Raises
    ------
    ValueError
        If the shapes of ``wires`` do not fit the units.

    Examples
    --------
    An all-zero network of one hidden layer, whose ten wires are crossed out one and all:

    >>> import torch
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> wires = [torch.zeros(3, 2), torch.zeros(2, 3)]
    >>> ax = network(ax, [[1.0, 2.0], [0.0, 0.0, 0.0], ["?", "?"]], wires)
    >>> sum(line.get_linestyle() == ":" for line in ax.lines)
    12
    >>> network(ax, [[1.0], [2.0]], [torch.zeros(1, 3)])
    Traceback (most recent call last):
        ...
    ValueError: wires need the shapes [(1, 1)], as the units lie, got [(1, 3)]
    """
    widths = [len(layer) for layer in units]
    due = list(zip(widths[1:], widths[:-1], strict=True))
    shapes = [tuple(wire.shape) for wire in wires]
    if shapes != due:
        raise ValueError(f"wires need the shapes {due}, as the units lie, got {shapes}")
    places = [np.arange(width) - (width - 1) / 2 for width in widths]
    zero = STARTS["zeros"].colour
    last = len(wires)

    def colour(layer: int, unit: int) -> str:
        return ink() if colours is None or layer in (0, last) else colours[unit]

    for l, wire in enumerate(wires, 1):  # noqa: E741 - the book's letter
        for (i, j), number in np.ndenumerate(wire.detach().numpy()):
            x, y = (places[l - 1][j], places[l][i]), (_height(l - 1), _height(l))
            share = (0.34, 0.66)[(i + j) % 2]  # neighbours write at different heights
            middle = x[0] + share * (x[1] - x[0]), y[0] + share * (y[1] - y[0])
            if number == 0:
                ax.plot(x, y, ":", color=zero, lw=1, zorder=1)
                ax.plot(*middle, "x", color=zero, ls="none", ms=4.5, zorder=2)
                continue
            tint = colour(l, i) if l < last else colour(l - 1, j)
            ax.plot(x, y, "-", color=tint, lw=1.6, zorder=1)
            if numbers:
                box = {"facecolor": ground(), "edgecolor": "none", "pad": 0.8}
                ax.text(
                    *middle,
                    _written(number),
                    ha="center",
                    va="center",
                    size=7.5,
                    bbox=box,
                    zorder=3,
                )
    for l, layer in enumerate(units):  # noqa: E741
        for i, number in enumerate(layer):
            edge = zero if number == 0 else colour(l, i)
            ax.add_patch(
                Circle(
                    (places[l][i], _height(l)), RADIUS, facecolor=ground(), edgecolor=edge,
                    lw=1.2 if number == 0 else 2, ls=":" if number == 0 else "-", zorder=4,
                )
            )  # fmt: skip
            ax.text(
                places[l][i], _height(l), number if isinstance(number, str) else _written(number),
                ha="center", va="center", size=8, color=edge if number == 0 else ink(), zorder=5,
            )  # fmt: skip
    side = max(widths) / 2 - 0.2
    ax.set(xlim=(-side, side), ylim=(-0.35, _height(last) + 0.35), aspect="equal")
    ax.axis("off")
    return ax


def pieces(
    ax: Axes, weight: Tensor, bias: Tensor, after: Tensor, *, colours: Sequence[str]
) -> Axes:
    r"""Draw the three pieces of every hidden unit: its row of W¹, entry of b¹ and column of W².

    Parameters
    ----------
    ax : Axes
        Where to draw.
    weight, bias, after : Tensor, shape (width, fan_in), (width,) and (fan_out, width)
        Weight and bias of the hidden layer, and the weight of the next.
    colours : sequence of str
        A colour for each unit.

    Returns
    -------
    Axes
        The same ``ax``, without axis lines, W² above W¹ and b¹, as the signal goes up.
    """
    width, fan_in = weight.shape
    below = -1.0 - width
    blocks = (
        ("$W^2$", after, 0.0, len(after) - 1.0, lambda row, column: column),
        ("$W^1$", weight, 0.0, below + width - 1, lambda row, column: row),
        ("$b^1$", bias[:, None], fan_in + 0.5, below + width - 1, lambda row, column: row),
    )
    for name, block, left, top, unit in blocks:
        for (row, column), number in np.ndenumerate(block.detach().numpy()):
            corner = left + column, top - row
            shade = colours[unit(row, column)]
            ax.add_patch(
                Rectangle(corner, 1, 1, facecolor=shade, edgecolor=ground(), alpha=0.25, lw=2)
            )
            ax.text(
                corner[0] + 0.5, corner[1] + 0.5, _written(number), ha="center", va="center", size=8
            )
        ax.text(left, top + 1.15, name, va="bottom", size=10)
    ax.set(xlim=(-0.2, max(width, fan_in + 1.5) + 0.2), ylim=(below - 0.2, len(after) + 0.8))
    ax.set_aspect(0.62)
    ax.axis("off")
    return ax


def _height(layer: int) -> float:
    """Return how high a layer lies."""
    return 1.25 * layer


def _written(number: float) -> str:
    """Return a number in two decimals, or its first digit if they would not tell it from 0."""
    short = f"{number:.2f}" if abs(number) >= 0.005 else f"{number:.0e}"
    return "0" if number == 0 else short.replace("-", "−")
