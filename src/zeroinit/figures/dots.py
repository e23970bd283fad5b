"""Rows of dots, one dot for each seed."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from zeroinit.figures.style import ink, look_of


def spread(ax: Axes, values: Mapping[str, Tensor], *, xlabel: str) -> Axes:
    """Draw one dot a seed for every label, a row each, and a bar at the median.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    values : mapping of str to Tensor, shape (seeds,)
        Numbers by label.
    xlabel : str
        The quantity, with its unit.

    Returns
    -------
    Axes
        The same ``ax``, the first label on top.
    """
    for row, (label, numbers) in enumerate(values.items()):
        points = np.asarray(numbers)
        height = row + np.linspace(-0.28, 0.28, len(points))
        colour = look_of(label, row).colour
        ax.plot(points, height, ".", color=colour, ms=3)
        ax.plot([np.median(points)] * 2, [row - 0.42, row + 0.42], color=ink(), lw=2, ls="-")
    ax.set(xlabel=xlabel, ylim=(len(values) - 0.4, -0.6))
    ax.set_yticks(range(len(values)), list(values))
    ax.grid(axis="y", visible=False)
    return ax


def lineup(ax: Axes, groups: Mapping[str, Mapping[str, Tensor]], *, xlabel: str) -> Axes:
    """Draw groups of rows below one another, one dot a seed, a colour each group.

    Parameters
    ----------
    ax : Axes
        Where to draw; give it a logarithmic x-axis before if the numbers call for one.
    groups : mapping of str to mapping of str to Tensor, shape (seeds,)
        For every group, by its label, the numbers of its rows by theirs. On a logarithmic axis a
        number that is exactly 0 stands as a cross at the left edge.
    xlabel : str
        The quantity, with its unit.

    Returns
    -------
    Axes
        The same ``ax``, the first row on top.
    """
    names: list[str] = []
    for k, (group, rows) in enumerate(groups.items()):
        colour = look_of(group, k).colour
        for name, numbers in rows.items():
            points = np.asarray(numbers)
            height = len(names) + np.linspace(-0.25, 0.25, len(points))
            zero = (points == 0) & (ax.get_xscale() == "log")
            label = group if name == next(iter(rows)) else None
            ax.plot(points[~zero], height[~zero], ".", color=colour, ms=5, label=label)
            edge = np.full(zero.sum(), 0.02)
            ax.plot(edge, height[zero], "x", color=colour, transform=ax.get_yaxis_transform())
            names.append(name)
    ax.set(xlabel=xlabel, ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), names)
    return ax
