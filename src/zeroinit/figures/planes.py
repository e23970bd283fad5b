"""Drawings in a plane: decisions over two inputs, and paths of two weights."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from torch import Tensor

from zeroinit.data import Data
from zeroinit.figures.style import ground, ink, look_of


def decision(
    ax: Axes, logits: Callable[[Tensor], Tensor], data: Data, *, reach: float = 3.2
) -> Axes:
    """Draw the class probabilities of a two-class network over the plane, and its points.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    logits : callable
        A network: takes points, shape (n, 2), and gives logits, shape (n, 2).
    data : Data
        Points of the plane with two classes.
    reach : float, default 3.2
        The plane is shown from −reach to reach.

    Returns
    -------
    Axes
        The same ``ax``, shaded by the probability of class 1, from 0 to 1.
    """
    side = torch.linspace(-reach, reach, 81, dtype=data.x.dtype)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        probability = logits(grid).softmax(1)[:, 1].reshape(81, 81).T
    shades = np.linspace(0, 1, 6)
    ax.contourf(side, side, probability, shades, cmap="cividis", alpha=0.55)
    if probability.min() < 0.5 < probability.max():
        ax.contour(side, side, probability, [0.5], colors=ink(), linewidths=1.5)
    for label, marker in ((0, "o"), (1, "^")):
        x, colour = data.x[data.y == label], colormaps["cividis"](float(label))
        ax.scatter(x[:, 0], x[:, 1], marker=marker, color=colour, edgecolor=ink(), lw=0.6)
    ax.set(
        xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$x_1$", ylabel="$x_2$"
    )
    ax.grid(False)
    return ax


def unit_paths(ax: Axes, weight: Tensor, *, label: str) -> Axes:
    """Draw the path of every unit's two incoming weights, from an open mark to a full one.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    weight : Tensor, shape (records, width, 2)
        A recorded first-layer weight of one network.
    label : str
        For the legend, where it stands once; a label that begins with a name in
        :data:`~zeroinit.figures.style.STARTS` takes its colour.

    Returns
    -------
    Axes
        The same ``ax``.
    """
    paths = np.asarray(weight)
    colour, _, marker = look_of(label, 0)
    for i in range(paths.shape[1]):
        ax.plot(*paths[:, i].T, color=colour, lw=1, alpha=0.7, ls="-")
    ax.plot(*paths[0].T, marker, color=colour, mfc=ground())
    ax.plot(*paths[-1].T, marker, color=colour, label=label)
    ax.set(xlabel="weight from $x_1$", ylabel="weight from $x_2$")
    ax.legend()
    return ax


def surface(
    ax: Axes,
    loss: Callable[[Tensor], Tensor],
    paths: Mapping[str, Tensor],
    *,
    reach: float,
    labels: Sequence[str] = ("$w_1$", "$w_2$"),
) -> Axes:
    """Draw a loss of two weights as level lines, and paths of descent on it.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    loss : callable
        Takes weights, shape (points, 2), and gives their losses, shape (points,), above 0.
    paths : mapping of str to Tensor, shape (steps + 1, 2) or (steps + 1, seeds, 2)
        Weights by step; a circle marks the start of each, a square its end.
    reach : float, above 0
        Both weights are shown from −reach to reach.
    labels : pair of str
        The names of the two weights.

    Returns
    -------
    Axes
        The same ``ax``.
    """
    side = torch.linspace(-reach, reach, 121, dtype=torch.float64)
    level = loss(torch.cartesian_prod(side, side)).reshape(121, 121).T
    ax.contour(side, side, level.log(), 14, colors=ink(), alpha=0.4, linestyles="-", linewidths=0.6)
    for k, (label, path) in enumerate(paths.items()):
        colour, dash, _ = look_of(label, k)
        points = np.asarray(path.reshape(len(path), -1, 2))
        lines = ax.plot(points[:, :, 0], points[:, :, 1], color=colour, linestyle=dash)
        lines[0].set_label(label)
        ax.plot(*points[0].T, "o", color=colour, ms=6)
        ax.plot(*points[-1].T, "s", color=colour, ms=6)
    ax.set(
        xlabel=labels[0],
        ylabel=labels[1],
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
    )
    ax.legend(frameon=True, framealpha=1, edgecolor=ground())
    return ax
