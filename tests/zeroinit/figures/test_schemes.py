"""A scheme names each part once, marks what starts at zero, and joins what is added."""

from itertools import pairwise

import pytest
from drawn import points
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.text import Text

from zeroinit.designs import design
from zeroinit.figures.schemes import branches, questions
from zeroinit.figures.style import STARTS

PATHS = "x stem u layer + head", "u A B +"


def edge(text: Text) -> tuple[str, str]:
    """Return the colour and the dash of the edge of a box."""
    box = text.get_bbox_patch()
    assert box
    return to_hex(box.get_edgecolor()), str(box.get_linestyle())


@pytest.fixture
def boxes(ax: Axes) -> dict[str, Text]:
    """Return the boxes of LoRA, by what is written in them."""
    zeros = {n.partition(".")[0] for n, p in design("LoRA").named_parameters() if not p.any()}
    assert branches(ax, *PATHS, steps={"A": 2, "B": 1}, zeros=zeros) is ax
    return {text.get_text(): text for text in ax.texts}


def test_every_part_has_a_box_with_its_step(boxes: dict[str, Text]) -> None:
    assert sorted(boxes) == ["+", "A ②", "B ①", "head", "layer", "stem", "x"]


def test_what_starts_at_zero_is_dotted_and_nothing_else(boxes: dict[str, Text]) -> None:
    dotted = {words for words, text in boxes.items() if edge(text)[1] in {":", "dotted"}}
    zero = to_hex(boxes["B ①"].get_color())
    assert dotted == {"B ①"}
    assert edge(boxes["B ①"])[0] == zero
    assert {words for words, text in boxes.items() if to_hex(text.get_color()) == zero} == dotted


def test_a_frozen_box_has_a_thin_edge(boxes: dict[str, Text]) -> None:
    widths = {
        words: box.get_linewidth() for words, t in boxes.items() if (box := t.get_bbox_patch())
    }
    assert widths["A ②"] == widths["B ①"] > widths["layer"] == widths["stem"]


def test_a_wire_meets_the_parts_of_its_path_in_order(ax: Axes, boxes: dict[str, Text]) -> None:
    name = {text.get_position(): words for words, text in boxes.items()}
    main, branch, fork = ([(x, y) for x, y in points(line).tolist()] for line in ax.lines)
    for wire, due in (
        (main, ["x", "stem", "layer", "+", "head"]),
        (branch, ["A ②", "B ①", "+"]),
    ):
        assert [*dict.fromkeys(name[point] for point in wire if point in name)] == due
        assert all(a == c or b == d for (a, b), (c, d) in pairwise(wire)), "level or upright"
    assert fork[0] == branch[0]
    assert fork[0] in main


def test_the_zeros_take_their_colour_from_the_style(boxes: dict[str, Text]) -> None:
    assert boxes["B ①"].get_color() == STARTS["zeros"].colour


def test_an_answer_that_goes_on_is_the_other_one(ax: Axes) -> None:
    assert questions(ax, [("one", "no", "first"), ("two", "yes", "second")], "last") is ax
    height = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert height["one"] == height["first"] > height["two"] == height["second"] > height["last"]
    found = [text.get_text() for text in ax.texts if text.get_text() in {"yes", "no"}]
    assert found == ["no", "yes", "yes", "no"]
