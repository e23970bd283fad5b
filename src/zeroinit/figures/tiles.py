"""Tables of tiles: how large a gradient is, or which step first moves a parameter."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from torch import Tensor

from zeroinit.figures.style import STARTS, ground, ink


def parameters_by_step(ax: Axes, gradients: Mapping[str, Tensor]) -> Axes:
    r"""Draw the size of every parameter's gradient by step as tiles; a cross where it is 0.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    gradients : mapping of str to Tensor, shape (records, \*shape)
        The ``gradients`` of a :class:`~zeroinit.training.Run` of one network. Colours tell norms
        from 1e-8 to 1 apart, on a logarithmic scale.

    Returns
    -------
    Axes
        The same ``ax``, the last layer on top.
    """
    names = list(gradients)
    sizes = np.stack([np.asarray(g.flatten(1).norm(dim=1)) for g in gradients.values()])
    shown = np.ma.masked_equal(sizes, 0.0)
    ax.pcolormesh(np.ma.log10(shown), cmap="cividis", vmin=-8, vmax=0, edgecolors=ground())
    row, column = np.nonzero(sizes == 0)
    ax.plot(column + 0.5, row + 0.5, "x", color=STARTS["zeros"].colour, ms=5)
    ax.set(
        xlabel="step", yticks=np.arange(len(names)) + 0.5, yticklabels=[_letters(n) for n in names]
    )
    ax.set_xticks(np.arange(sizes.shape[1]) + 0.5, [str(k + 1) for k in range(sizes.shape[1])])
    ax.grid(False)
    return ax


def wakes(
    ax: Axes,
    steps: Mapping[str, Mapping[str, int | None]],
    *,
    zeros: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Axes:
    """Draw the step that first moves each parameter of several networks; a cross where none does.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    steps : mapping of str to mapping of str to int or None
        For every network, by its label, the result of :meth:`Run.wakes
        <zeroinit.training.Run.wakes>`; the same names, in the order of the layers, for each.
    zeros : mapping of str to collection of str, optional
        For networks, by their labels, the names of parameters to frame, in the colour of zeros.

    Returns
    -------
    Axes
        The same ``ax``, a column for each network, the last parameter on top.
    """
    names = list(next(iter(steps.values())))
    table = np.array([[column[name] or 0 for column in steps.values()] for name in names])
    _tiles(ax, table)
    for column, network in enumerate(steps):
        for name in zeros.get(network, ()):
            place = column + 0.5, names.index(name) + 0.5
            ax.plot(*place, "s", mfc="none", mec=ground(), mew=3.5, ms=15)
            ax.plot(*place, "s", mfc="none", mec=STARTS["zeros"].colour, mew=1.5, ms=15)
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
    for row, parts in enumerate(steps.values()):
        for column, (name, step) in enumerate(parts.items()):
            place = (column + 0.5, row + 0.78)
            ax.text(*place, name, color=_on_tile(step, table), ha="center", va="center", size=7.5)
    _tiles(ax, table, height=0.38)
    ax.set(xlabel="parts, with the step that first moves each", xticks=[], ylim=(len(steps), 0))
    ax.set_yticks(np.arange(len(steps)) + 0.5, list(steps))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(left=False)
    return ax


def _tiles(ax: Axes, table: NDArray[np.int_], *, height: float = 0.5) -> None:
    """Draw a table of steps as tiles, a cross where it is 0, and nothing where it is below."""
    shown = np.ma.masked_less(table, 1)
    ax.pcolormesh(shown, cmap="cividis_r", vmin=1, edgecolors=ground())
    for (row, column), step in np.ndenumerate(table):
        if step > 0:
            place = (column + 0.5, row + height)
            ax.text(*place, str(step), color=_on_tile(int(step), table), ha="center", va="center")
    row, column = np.nonzero(table == 0)
    ax.plot(column + 0.5, row + height, "x", color=STARTS["zeros"].colour, ms=7)
    ax.grid(False)


def _on_tile(step: int | None, table: NDArray[np.int_]) -> str:
    """Return a colour that can be read on the tile of a step, or on the ground if there is none."""
    if step is None:
        return ink()
    tile = colormaps["cividis_r"]((step - 1) / max(table.max() - 1, 1))
    return "black" if sum(tile[:3]) > 1.2 else to_hex(colormaps["cividis"](1.0))


def _letters(name: str) -> str:
    """Return the book's letter of a parameter, W¹ for ``layers.0.weight``."""
    *_, index, kind = name.split(".")
    return f"${'W' if kind == 'weight' else 'b'}^{{{int(index) + 1}}}$"
