"""Starts can be told apart, on light and on dark pages, and by the colour-blind."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import Numbers
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgb

from zeroinit.figures.style import STARTS, ground, ink, looks


def test_the_key_shows_every_start_as_it_looks_and_the_cross_of_zero(ax: Axes) -> None:
    looks(ax)
    *starts, cross = ax.lines
    for line, mark, look in zip(starts[::2], starts[1::2], STARTS.values(), strict=True):
        assert same_color(line.get_color(), look.colour)
        assert same_color(mark.get_color(), look.colour)
        assert mark.get_marker() == look.marker
    assert (cross.get_marker(), cross.get_color()) == ("x", STARTS["zeros"].colour)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [*STARTS, "exactly 0"]


def test_starts_differ_in_dash_and_in_mark() -> None:
    looks = STARTS.values()
    assert len({look.dash for look in looks}) == len({look.marker for look in looks}) == len(looks)


# What a colour becomes for eyes without one kind of cone, on linear RGB: Machado, Oliveira and
# Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency".
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
}  # fmt: skip
STYLES = {"light": ["zeroinit.book"], "dark": ["zeroinit.book", "zeroinit.book_dark"]}


def light(colour: str) -> Numbers:
    """Return a colour as light, linear red, green and blue."""
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    low, high = sorted(float(light(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Numbers) -> Numbers:
    """Return light as CIE L*a*b*, where a distance of 2 is just seen."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = xyz @ rgb.clip(0, 1) / xyz.sum(1)
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("style", STYLES)
def test_every_colour_can_be_seen_on_its_ground(style: str) -> None:
    with plt.style.context(STYLES[style]):
        colours = rcParams["axes.prop_cycle"].by_key()["color"]
        assert min(contrast(colour, ground()) for colour in colours) >= 3
        assert contrast(ink(), ground()) >= 7


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("style", STYLES)
def test_the_colour_blind_tell_colours_apart(style: str, eyes: str) -> None:
    with plt.style.context(STYLES[style]):
        seen = {
            c: lab(EYES[eyes] @ light(c)) for c in rcParams["axes.prop_cycle"].by_key()["color"]
        }
    for (one, here), (other, there) in combinations(seen.items(), 2):
        assert np.linalg.norm(here - there) > 12, (one, other)
    starts = list(seen.values())[:3]
    assert min(np.linalg.norm(here - there) for here, there in combinations(starts, 2)) > 20


def test_the_dark_style_changes_colours_and_nothing_else() -> None:
    with plt.style.context(STYLES["light"]):
        before = dict(rcParams)
    with plt.style.context(STYLES["dark"]):
        changed = {key for key in rcParams if rcParams[key] != before[key]}
    assert all(key.endswith(("color", "prop_cycle")) for key in changed)
