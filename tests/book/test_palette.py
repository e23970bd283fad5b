"""The colours that mean something stay apart for the colour-blind, on a light ground and a dark."""

from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from coloraide import Color
from matplotlib import rcParams
from matplotlib.colors import to_hex

from zeroinit.figures.style import STARTS

GROUNDS = {"light": ["zeroinit.book"], "dark": ["zeroinit.book", "zeroinit.book_dark"]}
# Machado, Oliveira and Fernandes (2009): what one sees who lacks the red, green or blue cones.
SIGHTS = ["normal", "protan", "deutan", "tritan"]
# By CIEDE2000 1 is what one just sees side by side; thin lines need many times that.
APART = 20


def seen(colour: Color, sight: str) -> Color:
    """Return a colour as one sees it whose cones are as named."""
    return colour if sight == "normal" else colour.filter(sight, method="machado", severity=1)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("sight", SIGHTS)
def test_starts_stay_apart(sight: str, ground: str) -> None:
    with plt.style.context(GROUNDS[ground]):
        names = {look.colour: name for name, look in STARTS.items()}
        colours = {name: seen(Color(to_hex(c)), sight) for c, name in names.items()}
    near = {
        (one, two): colours[one].delta_e(colours[two], method="2000")
        for one, two in combinations(colours, 2)
    }
    assert len(colours) == 3
    assert not {pair: apart for pair, apart in near.items() if apart < APART}


@pytest.mark.parametrize("ground", GROUNDS)
def test_lines_stand_out_from_the_ground(ground: str) -> None:
    with plt.style.context(GROUNDS[ground]):
        paper = Color(to_hex(rcParams["axes.facecolor"]))
        cycle = [
            Color(f"#{c}" if c[0] != "#" else c)
            for c in rcParams["axes.prop_cycle"].by_key()["color"]
        ]
        ink = Color(to_hex(rcParams["text.color"]))
    assert not {c.to_string(hex=True): c.contrast(paper) for c in cycle if c.contrast(paper) < 3}
    assert ink.contrast(paper) >= 7


def test_starts_differ_by_more_than_colour() -> None:
    dashes = [look.dash for look in STARTS.values()]
    markers = [look.marker for look in STARTS.values()]
    assert len(set(dashes)) == len(set(markers)) == len(STARTS)
