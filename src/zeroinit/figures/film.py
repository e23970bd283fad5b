"""A film: one SVG drawing with many frames, of which one is shown.

Each frame is a group of the drawing, with a title that describes it. By default the still is shown.
An address that ends in ``#frame-7`` shows frame 7.
"""

from collections.abc import Callable, Sequence
from html import escape
from io import StringIO

from matplotlib.figure import Figure


class Film:
    """A drawing of many frames, which a notebook shows as its still.

    Parameters
    ----------
    fig : Figure
        Holds the axes, with all that does not change.
    draw : callable
        Takes the number of a frame, from 0, and adds to the axes the artists of this frame alone.
    words : sequence of str
        A sentence for each frame that describes it; there are as many frames as sentences.
    still : int
        The frame shown on paper, and by viewers that do not support frames.

    Raises
    ------
    ValueError
        If ``still`` is not the number of a frame.

    Examples
    --------
    >>> fig = Figure()
    >>> ax = fig.subplots()
    >>> film = Film(fig, lambda k: ax.plot(k, 0, "o"), ["left", "right"], still=1)
    >>> film
    a film of 2 frames
    >>> '<g id="frame-0"><title>left</title></g>' in film.svg
    True
    """

    svg: str

    def __init__(
        self, fig: Figure, draw: Callable[[int], object], words: Sequence[str], *, still: int
    ) -> None:
        if not 0 <= still < len(words):
            raise ValueError(f"still must be a frame from 0 to {len(words) - 1}, got {still}")
        self.words = tuple(words)
        known = set(fig.findobj())
        for k in range(len(words)):
            draw(k)
            new = [child for ax in fig.axes for child in ax.get_children() if child not in known]
            for number, artist in enumerate(new):
                artist.set_gid(f"drawn-{k}-{number}")
            known.update(new)
        file = StringIO()
        fig.savefig(file, format="svg", metadata={"Date": None})
        head, root, body = file.getvalue().partition("<svg")
        attributes, close, drawing = body.partition(">")
        self.svg = head + root + attributes + close + _frames(self.words, still) + drawing

    def __repr__(self) -> str:
        return f"a film of {len(self.words)} frames"

    def _repr_svg_(self) -> str:
        return self.svg


def _frames(words: Sequence[str], still: int) -> str:
    """Return the frames' names and words, and the rules that show one and hide the others."""
    rules = ['[id^="drawn-"]', *(f'[id^="drawn-{k}-"]' for k in range(len(words)))]
    hide, *shows = rules
    style = f"{hide}{{display:none}}{shows[still]}{{display:inline}}"
    style += f":target~{hide},:target~* {hide}{{display:none}}"
    for k, show in enumerate(shows):
        style += f"#frame-{k}:target~{show},#frame-{k}:target~* {show}{{display:inline}}"
    names = (f'<g id="frame-{k}"><title>{escape(w)}</title></g>' for k, w in enumerate(words))
    return f"<style>{style}</style>{''.join(names)}"
