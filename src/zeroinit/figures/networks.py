"""Diagrams of networks: a circle for every unit, a wire for every weight, the input at the foot.

A zero is marked: its wire is dotted and crossed out, its unit is an empty ring in the colour of
zeros.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray
from torch import Tensor

from zeroinit.figures.style import STARTS, ground, ink

RADIUS = 0.28  # of a unit, where neighbours are 1 apart


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
        A number or a word for every unit of every layer, the input first.
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
        ends = np.array([(low, high) for high in places[l] for low in places[l - 1]])
        y = _height(l - 1), _height(l)
        for k, share in enumerate(_clear_places(ends)):
            i, j = divmod(k, widths[l - 1])
            number = float(wire.detach()[i, j])
            mark = ends[k] @ (1 - share, share), y[0] + share * (y[1] - y[0])
            if number == 0:
                ax.plot(ends[k], y, ":", color=zero, lw=1, zorder=1)
                ax.plot(*mark, "x", color=zero, ms=4.5)
                continue
            tint = colour(l, i) if l < last else colour(l - 1, j)
            ax.plot(ends[k], y, "-", color=tint, lw=1.6, zorder=1)
            if numbers:
                _say(ax, mark, _written(number), ink(), size=7.5).set_bbox(
                    {"facecolor": ground(), "edgecolor": "none", "pad": 0.8}
                )
    for l, layer in enumerate(units):  # noqa: E741
        for i, held in enumerate(layer):
            place = (float(places[l][i]), _height(l))
            edge, lw, ls = (zero, 1.2, ":") if held == 0 else (colour(l, i), 2.0, "-")
            ring = Circle(place, RADIUS, fc=ground(), ec=edge, lw=lw, ls=ls, zorder=4)
            ax.add_patch(ring)
            text = held if isinstance(held, str) else _written(held)
            _say(ax, place, text, zero if held == 0 else ink())
    side = max(widths) / 2 - 0.2
    ax.set(xlim=(-side, side), ylim=(-0.35, _height(last) + 0.35), aspect="equal")
    ax.axis("off")
    return ax


def pieces(
    ax: Axes,
    weight: Tensor,
    bias: Tensor,
    after: Tensor,
    *,
    names: Sequence[str],
    colours: Sequence[str],
) -> Axes:
    r"""Draw the three pieces of every hidden unit: its row of W¹, entry of b¹ and column of W².

    Parameters
    ----------
    ax : Axes
        Where to draw.
    weight, bias, after : Tensor, shape (width, fan_in), (width,) and (fan_out, width)
        Weight and bias of the hidden layer, and the weight of the next.
    names, colours : sequence of str
        A name and a colour for each unit.

    Returns
    -------
    Axes
        The same ``ax``, without axis lines, W² above W¹ and b¹, as the signal goes up.

    Examples
    --------
    >>> import torch
    >>> from matplotlib.figure import Figure
    >>> ax, numbers = Figure().subplots(), torch.tensor([[0.5], [-0.25]])
    >>> ax = pieces(ax, numbers, torch.zeros(2), numbers.T, names="AB", colours=["C3", "C4"])
    >>> [text.get_text() for text in ax.texts if text.get_text() in "0 0.50 −0.25"]
    ['0.50', '0', '0.50', '−0.25', '0', '−0.25']
    """
    (width, fan_in), fan_out = weight.shape, len(after)
    top = width + 1.6
    weight, bias, after = weight.detach(), bias.detach(), after.detach()
    for k, (name, colour) in enumerate(zip(names, colours, strict=True)):
        height = width - k - 0.5
        row = {(column + 0.5, height): weight[k, column] for column in range(fan_in)}
        entry = {(fan_in + 0.9, height): bias[k]}
        column = {(k + 0.5, top + fan_out - row - 0.5): after[row, k] for row in range(fan_out)}
        for (x, y), number in (row | entry | column).items():
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=colour, alpha=0.25, lw=0))
            _say(ax, (x, y), _written(float(number)), ink())
        for place in ((-0.3, height), (k + 0.5, top + fan_out + 0.35)):
            _say(ax, place, name, colour).set_fontweight("bold")
    for title, place in (
        ("$W^1$", (-0.3, width + 0.35)),
        ("$b^1$", (fan_in + 0.9, width + 0.35)),
        ("$W^2$", (-0.3, top + fan_out + 0.35)),
    ):
        _say(ax, place, title, ink(), size=10)
    ax.set(xlim=(-0.6, max(width, fan_in + 1.4)), ylim=(-0.1, width + fan_out + 2.4))
    ax.set_aspect(0.6)
    ax.axis("off")
    return ax


def _clear_places(ends: NDArray[np.float64]) -> list[float]:
    """Return for every wire how far up its mark stands, clear of the other wires and their marks.

    ``ends`` holds, for each wire, where its lower end lies and where its upper one.
    """
    shares = np.array([0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73])
    marks = ends @ np.stack([1 - shares, shares])
    chosen: list[float] = []
    taken: list[tuple[float, float]] = []
    for k, places in enumerate(marks):
        others = np.delete(marks, k, axis=0)
        room = [
            min(
                [*np.abs(x - others[:, s]), *(abs(x - a) + 3 * abs(y - b) for a, b in taken)],
                default=0,
            )
            for s, (x, y) in enumerate(zip(places, shares, strict=True))
        ]
        best = int(np.argmax(np.round(room, 6)))
        chosen.append(float(shares[best]))
        taken.append((places[best], shares[best]))
    return chosen


def _height(layer: int) -> float:
    """Return how high a layer lies."""
    return 1.25 * layer


def _written(number: float) -> str:
    """Return a number in two decimals, or its first digit if they would not tell it from 0."""
    short = f"{number:.2f}" if abs(number) >= 0.005 else f"{number:.1g}"
    return "0" if number == 0 else short.replace("-", "−")


def _say(ax: Axes, place: tuple[float, float], text: str, colour: str, *, size: float = 8) -> Text:
    """Write a text about a place, above all lines."""
    return ax.text(*place, text, color=colour, size=size, ha="center", va="center", zorder=5)
