"""Figures of runs: every function draws numbers on one ``Axes`` and returns it.

Colours, dashes and sizes are those of the style sheet ``zeroinit.book``; which of them means which
start is said in :data:`STARTS` and nowhere else. A cross is a number that is exactly 0.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from zeroinit.data import Data

Dash = str | tuple[int, tuple[int, ...]]


class Look(NamedTuple):
    """How the curves and dots of a start look.

    Examples
    --------
    Tied units share their colour with constant ones, as both are collapsed, and differ by the rest:

    >>> STARTS["tied"]
    Look(colour='C1', dash='-.', marker='D')
    >>> STARTS["constant"].colour
    'C1'
    """

    colour: str
    dash: Dash
    marker: str


#: The look of each kind of start, on every page.
STARTS: Mapping[str, Look] = MappingProxyType(
    {
        "zeros": Look("C0", (0, (7, 2)), "o"),
        "constant": Look("C1", (0, (3, 1)), "s"),
        "tied": Look("C1", "-.", "D"),
        "random": Look("C2", "-", "^"),
    }
)


def losses(ax: Axes, curves: Mapping[str, Tensor], *, limit: float | None = None) -> Axes:
    """Draw losses by step; of many seeds the median, in the band that holds eight runs in ten.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    curves : mapping of str to Tensor, shape (steps + 1,) or (steps + 1, seeds)
        Losses by label; a label that begins with a name in :data:`STARTS` takes its colour.
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
        look = _look(label, k)
        ax.plot(middle, label=label, color=look.colour, linestyle=look.dash)
        if values.shape[1] > 1:
            ax.fill_between(range(len(middle)), low, high, color=look.colour, alpha=0.2, lw=0)
    if limit is not None:
        ax.axhline(
            limit, color=ink(), lw=1, ls=(0, (1, 2)), label="H(p), the entropy of the labels"
        )
    ax.set(xlabel="step", ylabel="loss (nats)")
    ax.legend()
    return ax


def parameters_by_step(ax: Axes, gradients: Mapping[str, Tensor]) -> Axes:
    r"""Draw the size of every parameter's gradient by step as tiles; a cross where it is 0.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    gradients : mapping of str to Tensor, shape (records, \*shape)
        The ``gradients`` of a :class:`~zeroinit.training.Run` of one network. Colours tell norms
        from 1e-8 to 1 apart.

    Returns
    -------
    Axes
        The same ``ax``, the last layer on top.
    """
    names = list(gradients)
    sizes = np.stack([np.asarray(g.flatten(1).norm(dim=1)) for g in gradients.values()])
    shown = np.ma.masked_equal(sizes, 0.0)
    tiles = ax.pcolormesh(
        np.ma.log10(shown), cmap="cividis", vmin=-8, vmax=0, edgecolors=ground(), linewidth=1
    )
    row, column = np.nonzero(sizes == 0)
    ax.plot(column + 0.5, row + 0.5, "x", color=STARTS["zeros"].colour, ls="none", ms=5)
    ax.set(
        xlabel="step", yticks=np.arange(len(names)) + 0.5, yticklabels=[_letters(n) for n in names]
    )
    ax.set_xticks(np.arange(sizes.shape[1]) + 0.5, [str(k + 1) for k in range(sizes.shape[1])])
    ax.grid(False)
    if shown.count():
        ax.figure.colorbar(tiles, ax=ax, label="log₁₀ of the gradient's norm", extend="both")
    return ax


def wakes(ax: Axes, steps: Mapping[str, Mapping[str, int | None]]) -> Axes:
    """Draw the step that first moves each parameter of several networks; a cross where none does.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    steps : mapping of str to mapping of str to int or None
        For every network, by its label, what :meth:`Run.wakes <zeroinit.training.Run.wakes>` gives;
        the same names, in the order of the layers, for each.

    Returns
    -------
    Axes
        The same ``ax``, a column for each network, the last parameter on top.
    """
    names = list(next(iter(steps.values())))
    table = np.array([[column[name] or 0 for column in steps.values()] for name in names])
    _tiles(ax, table)
    ax.set(yticks=np.arange(len(names)) + 0.5, yticklabels=names)
    ax.set_xticks(np.arange(len(steps)) + 0.5, list(steps))
    return ax


def wake_order(ax: Axes, steps: Mapping[str, Mapping[str, int | None]]) -> Axes:
    """Draw the step that first moves each part of networks whose parts differ; a cross for none.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    steps : mapping of str to mapping of str to int or None
        For every network, by its label, the step at which each of its parts first moves, by name.
        The parts are drawn in the order given, each as a tile with its step above its name.

    Returns
    -------
    Axes
        The same ``ax``, a row for each network, the first on top.
    """
    table = np.full((len(steps), max(map(len, steps.values()))), -1)
    for row, parts in enumerate(steps.values()):
        table[row, : len(parts)] = [step or 0 for step in parts.values()]
        for column, (name, step) in enumerate(parts.items()):
            place = (column + 0.5, row + 0.78)
            ax.text(*place, name, color=_on_tile(step, table), ha="center", va="center", size=7.5)
    _tiles(ax, table, height=0.38)
    ax.set(xlabel="parts, with the step that first moves each", xticks=[], ylim=(len(steps), 0))
    ax.set_yticks(np.arange(len(steps)) + 0.5, list(steps))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(left=False)
    return ax


def decision(
    ax: Axes, logits: Callable[[Tensor], Tensor], data: Data, *, reach: float = 3.2
) -> Axes:
    """Draw what a two-class network says over the plane, and the points it was shown.

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
        ax.scatter(x[:, 0], x[:, 1], s=16, marker=marker, color=colour, edgecolor=ink(), lw=0.6)
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
        For the legend, where it stands once; a label that begins with a name in :data:`STARTS`
        takes its colour.

    Returns
    -------
    Axes
        The same ``ax``.
    """
    paths = np.asarray(weight)
    colour, _, marker = _look(label, 0)
    for i in range(paths.shape[1]):
        ax.plot(*paths[:, i].T, color=colour, lw=1, alpha=0.7, ls="-")
    ax.plot(*paths[0].T, marker, color=colour, ls="none", mfc=ground())
    ax.plot(*paths[-1].T, marker, color=colour, ls="none", label=label)
    ax.set(xlabel="weight from $x_1$", ylabel="weight from $x_2$")
    ax.legend()
    return ax


def spread(ax: Axes, values: Mapping[str, Tensor], *, xlabel: str) -> Axes:
    """Draw one dot a seed for every label, a row each, and a bar at the median.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    values : mapping of str to Tensor, shape (seeds,)
        Numbers by label.
    xlabel : str
        What the numbers are, with their unit.

    Returns
    -------
    Axes
        The same ``ax``, the first label on top.
    """
    for row, (label, numbers) in enumerate(values.items()):
        points = np.asarray(numbers)
        height = row + np.linspace(-0.28, 0.28, len(points))
        colour = _look(label, row).colour
        ax.plot(points, height, ".", color=colour, ms=3, ls="none")
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
        What the numbers are, with their unit.

    Returns
    -------
    Axes
        The same ``ax``, the first row on top.
    """
    names: list[str] = []
    for k, (group, rows) in enumerate(groups.items()):
        colour = _look(group, k).colour
        for name, numbers in rows.items():
            points = np.asarray(numbers)
            height = len(names) + np.linspace(-0.25, 0.25, len(points))
            zero = (points == 0) & (ax.get_xscale() == "log")
            label = group if name == next(iter(rows)) else None
            ax.plot(points[~zero], height[~zero], ".", color=colour, ms=5, ls="none", label=label)
            edge = np.full(zero.sum(), 0.02)
            ax.plot(
                edge, height[zero], "x", color=colour, ls="none", transform=ax.get_yaxis_transform()
            )
            names.append(name)
    ax.set(xlabel=xlabel, ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), names)
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
        What the numbers are, with their unit.
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
        colour, dash, marker = _look(label, k)
        ax.plot(layer, middle, marker, ls=dash, color=colour, label=label)
        ax.fill_between(layer, low, high, color=colour, alpha=0.2, lw=0)
        foot = np.full(zero.sum(), 0.02)
        ax.plot(layer[zero], foot, "x", color=colour, ls="none", transform=ax.get_xaxis_transform())
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
        colour, _, marker = _look(label, k)
        seen = {width: step for width, step in found.items() if step is not None}
        never = [width for width in found if width not in seen]
        ax.plot(list(seen), list(seen.values()), marker, color=colour, ls="none", label=label)
        heights = [0.98 - 0.05 * k] * len(never)
        ax.plot(never, heights, "x", color=colour, ls="none", transform=ax.get_xaxis_transform())
    ax.axhline(last, color=ink(), lw=1, ls="-", label="end of the runs")
    if predicted is not None:
        ax.axhline(predicted, color=ink(), lw=1, ls=(0, (4, 2)), label="predicted escape")
    ax.set(xlabel="width $n$", ylabel="step", yscale="log", ylim=(0.8, 5 * last))
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
        colour, dash, _ = _look(label, k)
        points = np.asarray(path.reshape(len(path), -1, 2))
        lines = ax.plot(points[:, :, 0], points[:, :, 1], color=colour, linestyle=dash)
        lines[0].set_label(label)
        ax.plot(*points[0].T, "o", color=colour, ms=6, ls="none")
        ax.plot(*points[-1].T, "s", color=colour, ms=6, ls="none")
    ax.set(
        xlabel=labels[0],
        ylabel=labels[1],
        aspect="equal",
        xlim=(-reach, reach),
        ylim=(-reach, reach),
    )
    ax.legend(frameon=True, framealpha=1, edgecolor=ground())
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
        colour, dash, marker = _look(label, k)
        ax.plot(sizes, predicted[label], color=colour, linestyle=dash, lw=1.2)
        ax.plot(sizes, steps, marker, color=colour, ls="none", label=label)
    ax.set(xscale="log", xlabel="size ε of the difference at the start", ylabel="steps to escape")
    ax.xaxis.set_inverted(True)
    ax.legend()
    return ax


def looks(ax: Axes) -> Axes:
    """Draw the look of every start in :data:`STARTS`, and the cross that is an exact zero.

    Parameters
    ----------
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        The same ``ax``, a row for each start, its line beside its mark.
    """
    for row, (colour, dash, marker) in enumerate(STARTS.values()):
        ax.plot([0, 1], [row, row], color=colour, ls=dash)
        ax.plot(1.5, row, marker, color=colour, ls="none", ms=7)
    ax.plot(1.5, len(STARTS), "x", color=STARTS["zeros"].colour, ls="none", ms=7)
    ax.set_xticks([0.5, 1.5], ["line", "mark"])
    ax.set_yticks(range(len(STARTS) + 1), [*STARTS, "exactly 0"])
    ax.set(xlim=(-0.2, 2), ylim=(len(STARTS) + 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax


def ink() -> str:
    """Return the colour of text and axes, which follows the ground of the page.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with plt.style.context("zeroinit.book"):
    ...     ink(), ground()
    ('#1F2328', '#FFFFFF')
    """
    return str(rcParams["text.color"])


def ground() -> str:
    """Return the colour that figures stand on, for rings and gaps."""
    return str(rcParams["axes.facecolor"])


def _tiles(ax: Axes, table: NDArray[np.int_], *, height: float = 0.5) -> None:
    """Draw a table of steps as tiles, a cross where it is 0, and nothing where it is below."""
    shown = np.ma.masked_less(table, 1)
    ax.pcolormesh(shown, cmap="cividis_r", vmin=1, edgecolors=ground(), linewidth=1)
    for (row, column), step in np.ndenumerate(table):
        if step > 0:
            place = (column + 0.5, row + height)
            ax.text(*place, str(step), color=_on_tile(int(step), table), ha="center", va="center")
    row, column = np.nonzero(table == 0)
    ax.plot(column + 0.5, row + height, "x", color=STARTS["zeros"].colour, ls="none", ms=7)
    ax.grid(False)


def _on_tile(step: int | None, table: NDArray[np.int_]) -> str:
    """Return a colour that can be read on the tile of a step, or on the ground if there is none."""
    if step is None:
        return ink()
    tile = colormaps["cividis_r"]((step - 1) / max(table.max() - 1, 1))
    return "black" if sum(tile[:3]) > 1.2 else to_hex(colormaps["cividis"](1.0))


def _look(label: str, index: int) -> Look:
    """Return the look of a curve: that of its start, else the next of the cycle."""
    for start, look in STARTS.items():
        if label.startswith(start):
            return look
    dashes: list[Dash] = ["-.", ":", (0, (6, 1, 1, 1, 1, 1)), "-"]
    return Look(f"C{3 + index % 4}", dashes[index % 4], "o^sD"[index % 4])


def _letters(name: str) -> str:
    """Return the book's letter of a parameter, W¹ for ``layers.0.weight``."""
    *_, index, kind = name.split(".")
    return f"${'W' if kind == 'weight' else 'b'}^{{{int(index) + 1}}}$"
