"""The style of figures: which colour, dash and mark stand for which start.

Colours, dashes and sizes are those of the style sheet ``zeroinit.book``; which of them means which
start is said in :data:`STARTS` and nowhere else. A cross is a number that is exactly 0.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from matplotlib import rcParams
from matplotlib.axes import Axes

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
#:
#: :meta hide-value:
STARTS: Mapping[str, Look] = MappingProxyType(
    {
        "zeros": Look("C0", (0, (7, 2)), "o"),
        "constant": Look("C1", (0, (3, 1)), "s"),
        "tied": Look("C1", "-.", "D"),
        "random": Look("C2", "-", "^"),
    }
)


def look_of(label: str, index: int) -> Look:
    """Return the look of a curve: that of its start, or else the next of a cycle.

    Parameters
    ----------
    label : str
        The curve's label; one that begins with a name in :data:`STARTS` takes the look of that
        start.
    index : int, at least 0
        The place of the curve in its drawing, for a label of no start.

    Examples
    --------
    >>> look_of("tied units", 0) == STARTS["tied"]
    True
    >>> [look_of(label, k).colour for k, label in enumerate(["ReLU", "tanh"])]
    ['C3', 'C4']
    """
    for start, look in STARTS.items():
        if label.startswith(start):
            return look
    dashes: list[Dash] = ["-.", ":", (0, (6, 1, 1, 1, 1, 1)), "-"]
    return Look(f"C{3 + index % 4}", dashes[index % 4], "o^sD"[index % 4])


def ink() -> str:
    """Return the colour of text and axes, which is dark on light pages, and light on dark ones.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with plt.style.context("zeroinit.book"):
    ...     ink(), ground()
    ('#1F2328', '#FFFFFF')
    """
    return str(rcParams["text.color"])


def ground() -> str:
    """Return the background colour of figures, for rings and gaps.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> with plt.style.context(["zeroinit.book", "zeroinit.book_dark"]):
    ...     ink(), ground()
    ('#D8DEE4', '#121212')
    """
    return str(rcParams["axes.facecolor"])


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

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> [text.get_text() for text in looks(Figure().subplots()).get_yticklabels()]
    ['zeros', 'constant', 'tied', 'random', 'exactly 0']
    """
    for row, (colour, dash, marker) in enumerate(STARTS.values()):
        ax.plot([0, 1], [row, row], color=colour, ls=dash)
        ax.plot(1.5, row, marker, color=colour, ms=7)
    ax.plot(1.5, len(STARTS), "x", color=STARTS["zeros"].colour, ms=7)
    ax.set_xticks([0.5, 1.5], ["line", "mark"])
    ax.set_yticks(range(len(STARTS) + 1), [*STARTS, "exactly 0"])
    ax.set(xlim=(-0.2, 2), ylim=(len(STARTS) + 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax
