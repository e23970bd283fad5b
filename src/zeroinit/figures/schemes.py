"""Diagrams of boxes: what a network adds to what, and what to ask in which order."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from zeroinit.figures.style import STARTS, ground, ink


def branches(
    ax: Axes,
    main: str,
    branch: str,
    *above: str,
    steps: Mapping[str, int],
    zeros: Collection[str],
) -> Axes:
    """Draw a network with a branch as boxes, the signal from left to right.

    A path is a string of names. The name of a sign begins with ``+`` or ``×`` and is drawn as a
    circle, ``u`` is the point where paths part, and ``x`` the input; all other names are boxes.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    main : str
        The path through the network, from ``x`` to its last box, with ``u`` third and the sign at
        which the branch is added last but one.
    branch : str
        The path of the branch, from ``u`` to that sign.
    *above : str
        Paths that end at a box or sign of the branch, from above.
    steps : mapping of str to int
        The step that first moves a box, from 1 to 4, which is written behind its name; a box
        without a step is frozen, and has a thin edge.
    zeros : collection of str
        The boxes that start at zero: dotted, in the colour of zeros.

    Returns
    -------
    Axes
        The same ``ax``, without axis lines.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = branches(
    ...     Figure().subplots(),
    ...     "x stem u layer + head",
    ...     "u A B +",
    ...     steps={"A": 2, "B": 1},
    ...     zeros={"B"},
    ... )
    >>> [text.get_text() for text in ax.texts]
    ['x', 'stem', '+', 'head', 'layer', 'A ②', 'B ①']
    """
    first, stem, fork, *inner, join, head = main.split()
    places = {first: (0.0, 0.0), stem: (0.9, 0.0), fork: (1.6, 0.0), join: (6.2, 0.0)}
    places[head] = 7.0, 0.0
    for height, names in enumerate((inner, branch.split()[1:-1])):
        for k, name in enumerate(names, 1):
            places[name] = 1.6 + 4.6 * k / (len(names) + 1), float(height)
    for height, path in enumerate(above, 2):
        *names, end = path.split()
        for k, name in enumerate(reversed(names)):
            places.setdefault(name, (places[end][0] - 1.6 * k, float(height)))
    for path in (main, branch, *above):
        wire = [places[path.split()[0]]]
        for right, top in (places[name] for name in path.split()[1:]):
            x, y = wire[-1]
            wire += [(x, top) if top > y else (right, y), (right, top)]
        ax.plot(*zip(*wire, strict=True), color=ink(), lw=1, ls="-")
    for name, place in places.items():
        if name == fork:
            ax.plot(*place, "o", color=ink(), ms=3)
            continue
        colour, dash = (STARTS["zeros"].colour, ":") if name in zeros else (ink(), "-")
        words, shape, edge = name, "square,pad=0.25", colour
        if name[0] in "+×":
            words, shape = name[0], "circle,pad=0.15"
        elif name in steps:
            words += " " + "①②③④"[steps[name] - 1]
        elif name == first:
            edge = ground()
        box = {"boxstyle": shape, "fc": ground(), "ec": edge, "ls": dash}
        width = 1.4 if name in steps else 0.6
        ax.text(
            *place, words, size=8, color=colour, ha="center", va="center", bbox=box | {"lw": width}
        )
    top = max(height for _, height in places.values())
    ax.set(xlim=(-0.2, 7.6), ylim=(-0.5, top + 0.5))
    ax.axis("off")
    return ax


def questions(ax: Axes, asked: Sequence[tuple[str, str, str]], end: str) -> Axes:
    """Draw questions below one another, each with the answer that leaves the row, and its verdict.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    asked : sequence of tuple of three str
        A question, the answer that ends the questions, ``yes`` or ``no``, and what then holds.
    end : str
        What holds when no answer has ended the questions.

    Returns
    -------
    Axes
        The same ``ax``, the first question on top, without axis lines.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = questions(Figure().subplots(), [("Is it zero?", "yes", "Stop.")], "Go on.")
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['Is it zero?', 'Stop.', 'yes', 'no', 'Go on.']
    """
    box = {"boxstyle": "round,pad=0.4", "facecolor": ground(), "edgecolor": ink()}
    plain = box | {"edgecolor": ground()}
    arrow = {"arrowstyle": "->", "color": ink()}
    where: dict[str, Any] = {"ha": "center", "va": "center", "size": 9}
    for k, (question, leaves, verdict) in enumerate(asked):
        ax.annotate("", (0.62, -k), (0.3, -k), arrowprops=arrow)
        ax.annotate("", (0.25, -k - 0.75), (0.25, -k), arrowprops=arrow)
        ax.text(0.25, -k, question, bbox=box, **where)
        ax.text(0.64, -k, verdict, ha="left", va="center", size=9)
        ax.text(0.55, -k + 0.12, leaves, **where)
        ax.text(0.28, -k - 0.5, "no" if leaves == "yes" else "yes", **where)
    ax.text(0.25, -len(asked), end, bbox=plain, **where)
    ax.set(xlim=(0, 1), ylim=(-len(asked) - 0.4, 0.4))
    ax.axis("off")
    return ax
