"""The figures of the built book: light to load, and in one visual language.

The tests look at ``_build/html``, which ``make html`` builds; ``make test`` does that first.
"""

import gzip
import re
from pathlib import Path

import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from bookbuild.site.dark_figures import colours

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
STYLE = ROOT / "src/zeroinit/book.mplstyle"

# The colours of numbers: tiles, planes and points that are shaded by a value.
SHADES = {to_hex(colormaps["cividis"](k)) for k in range(256)} | {"#000000"}


@pytest.fixture(scope="module")
def figures() -> dict[str, str]:
    """The drawings that the pages show, by page and file."""
    return {
        f"{page.name} {name[:8]}": (SITE / "_images" / name).read_text("utf-8")
        for page in sorted(SITE.glob("*.html"))
        for name in re.findall(r'src="_images/([^"]+\.svg)"', page.read_text("utf-8"))
    }


def test_a_figure_is_light_to_load(figures: dict[str, str]) -> None:
    assert figures, "run `make html` first"
    weights = {name: len(gzip.compress(svg.encode())) for name, svg in figures.items()}
    assert {name: weight for name, weight in weights.items() if weight > 25_000} == {}
    assert sorted(weights.values())[len(weights) // 2] < 11_000


def test_a_figure_has_the_colours_of_the_style_and_shades_of_numbers(
    figures: dict[str, str],
) -> None:
    known = SHADES | {f"#{colour.lower()}" for colour in colours(STYLE.read_text("utf-8"))}
    found = {
        name: set(re.findall(r"#[0-9a-f]{6}\b", re.sub("<style>.*?</style>", "", svg))) - known
        for name, svg in figures.items()
    }
    assert {name: strange for name, strange in found.items() if strange} == {}


def test_a_figure_follows_the_page_into_the_dark(figures: dict[str, str]) -> None:
    assert [name for name, svg in figures.items() if "(prefers-color-scheme:dark)" not in svg] == []
