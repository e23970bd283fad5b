"""A film shows its still to whoever knows no frames, and every frame under its name."""

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from zeroinit.figures.film import Film

SVG = "{http://www.w3.org/2000/svg}"


def film(still: int = 1) -> Film:
    """Return a film of three frames: a mark that moves, and in the last frame a word beside it."""
    fig = Figure()
    ax = fig.subplots()
    ax.plot([0, 2], [0, 0])

    def draw(k: int) -> None:
        ax.plot(k, 0, "o")
        if k == 2:
            ax.text(k, 0, "there")

    return Film(fig, draw, ["at the start", "a < b", "at the end"], still=still)


def groups(film: Film) -> list[str]:
    """Return the names of the drawing's groups, in order."""
    return [group.get("id", "") for group in ElementTree.fromstring(film.svg).iter(f"{SVG}g")]


def test_a_frame_has_what_it_alone_draws_and_nothing_else_has_a_frame() -> None:
    drawn = [name for name in groups(film()) if name.startswith("drawn")]
    assert drawn == ["drawn-0-0", "drawn-1-0", "drawn-2-0", "drawn-2-1"]
    root = ElementTree.fromstring(film().svg)
    lines = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("line2d_")]
    assert lines  # the line that does not change, and the ticks


def test_every_frame_is_named_and_told_before_the_drawing() -> None:
    assert groups(film())[:4] == ["frame-0", "frame-1", "frame-2", "figure_1"]
    root = ElementTree.fromstring(film().svg)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == ["at the start", "a < b", "at the end"]
    assert not "".join(group.tail or "" for group in root).strip()  # no words between groups


@pytest.mark.parametrize("still", [0, 2])
def test_the_still_alone_is_shown_without_a_name(still: int) -> None:
    style = re.search("<style>(.*?)</style>", film(still).svg)
    assert style
    untold = [rule for rule in style[1].split("}") if rule and ":target" not in rule]
    assert untold == ['[id^="drawn-"]{display:none', f'[id^="drawn-{still}-"]{{display:inline']


def test_under_its_name_a_frame_alone_is_shown() -> None:
    style = re.search("<style>(.*?)</style>", film().svg)
    assert style
    told = [rule for rule in style[1].split("}") if ":target" in rule]
    assert told == [
        ':target~[id^="drawn-"],:target~* [id^="drawn-"]{display:none',
        *(
            f"#frame-{k}:target~{mine},#frame-{k}:target~* {mine}{{display:inline"
            for k, mine in enumerate(f'[id^="drawn-{k}-"]' for k in range(3))
        ),
    ]


def test_a_film_is_the_same_each_time() -> None:
    with plt.style.context("zeroinit.book"):
        assert film().svg == film().svg


def test_the_still_must_be_a_frame() -> None:
    with pytest.raises(ValueError, match="still must be a frame from 0 to 2, got 3"):
        film(still=3)
