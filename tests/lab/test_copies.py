"""The choices in the lab's markup and the colours in its style sheet are those of the package."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_hex

from bookbuild.lab.build import ACTIVATIONS
from bookbuild.lab.links import WIDGET, controls
from zeroinit import functional, lab, networks

CSS = Path(__file__).parents[2] / "src/bookbuild/lab/static/lab.css"
STYLES = {
    ".lab,\n.live": ["zeroinit.book"],
    'html[data-theme="dark"] :is(.lab, .live)': ["zeroinit.book", "zeroinit.book_dark"],
}


def test_the_menus_offer_what_the_package_has() -> None:
    assert controls(WIDGET.read_text("utf-8")).menus == {
        "activation": [*ACTIVATIONS],
        "depth": [str(depth) for depth in lab.DEPTHS],
        "width": [str(width) for width in lab.WIDTHS],
        "start": [*lab.STARTS],
        "seed": [str(seed) for seed in lab.SEEDS],
        "optimizer": [*functional.OPTIMIZERS],
        "data": [*lab.DATA, "own"],
    }
    assert set(ACTIVATIONS) <= set(networks.ACTIVATIONS)


@pytest.mark.parametrize("selector", STYLES)
def test_the_colours_are_those_of_the_figures(selector: str) -> None:
    (rule,) = re.findall(
        rf"^{re.escape(selector)} {{$(.*?)^}}$", CSS.read_text("utf-8"), re.M | re.S
    )
    found = dict(re.findall(r"(--lab-[\w-]+): *(#\w+);", rule))
    with plt.style.context(STYLES[selector]):
        cycle = [
            to_hex("#" + colour.lstrip("#"))
            for colour in rcParams["axes.prop_cycle"].by_key()["color"]
        ]
        due = {
            "--lab-ground": to_hex(rcParams["axes.facecolor"]),
            "--lab-grid": to_hex(rcParams["grid.color"]),
            "--lab-a": cycle[2],
            "--lab-b": cycle[1],
            **{f"--lab-{n}": colour for n, colour in enumerate(cycle[:5], 1)},
        }
    assert found == due
