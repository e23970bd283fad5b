"""A diagram shows the numbers it is given, and what is exactly 0 as a zero."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from zeroinit import MLP, half_plane, linear_layers, permute, zeros_
from zeroinit.backprop import forward, gradients
from zeroinit.figures.networks import network, pieces
from zeroinit.figures.style import STARTS

WIRES = [torch.tensor([[0.5, 0.0], [-0.25, 1.5], [0.0, -2.0]]), torch.tensor([[0.1, 0.0, 0.004]])]
UNITS: list[list[float | str]] = [[1.0, -2.0], [0.0, 0.75, "B"], [0.0]]


@pytest.fixture
def ax() -> Axes:
    """Return fresh axes of a figure that pyplot does not know."""
    return Figure().subplots()


def points(line: Line2D) -> NDArray[np.float64]:
    """Return the points of a line, one a row."""
    return np.asarray(line.get_xydata(), dtype=float)


def texts(ax: Axes) -> list[str]:
    """Return what is written, in order."""
    return [text.get_text() for text in ax.texts]


def test_a_wire_is_crossed_out_exactly_where_its_number_is_zero(ax: Axes) -> None:
    assert network(ax, UNITS, WIRES) is ax
    wires = [line for line in ax.lines if line.get_marker() == "None"]
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    numbers = torch.cat([wire.flatten() for wire in WIRES])
    assert [line.get_linestyle() == ":" for line in wires] == (numbers == 0).tolist()
    assert len(crosses) == 3
    dotted = [line for line in wires if line.get_linestyle() == ":"]
    for cross, wire in zip(crosses, dotted, strict=True):
        assert cross.get_color() == wire.get_color() == STARTS["zeros"].colour
        ((x, y),) = points(cross)
        (left, foot), (right, top) = points(wire)
        assert_allclose(x, left + (y - foot) / (top - foot) * (right - left))


def test_every_wire_joins_its_two_units(ax: Axes) -> None:
    network(ax, UNITS, WIRES)
    rings = [patch.center for patch in ax.patches if isinstance(patch, Circle)]
    layers = [rings[:2], rings[2:5], rings[5:]]
    due = [[low, high] for below, above in pairwise(layers) for high in above for low in below]
    wires = [points(line) for line in ax.lines if line.get_marker() == "None"]
    assert_allclose(wires, due)
    heights = [layer[0][1] for layer in layers]
    assert heights == sorted(heights)


def test_a_unit_that_holds_zero_is_an_empty_ring(ax: Axes) -> None:
    network(ax, UNITS, WIRES)
    rings = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert texts(ax) == ["1.00", "−2.00", "0", "0.75", "B", "0"]
    assert [ring.get_linestyle() for ring in rings] == ["-", "-", ":", "-", "-", ":"]
    zero = STARTS["zeros"].colour
    assert [same_color(ring.get_edgecolor(), zero) for ring in rings] == [
        text == "0" for text in texts(ax)
    ]


def test_numbers_stand_on_the_wires_that_are_not_zero_and_never_look_like_zero(ax: Axes) -> None:
    network(ax, UNITS, WIRES, numbers=True)
    assert texts(ax)[:6] == ["0.50", "−0.25", "1.50", "−2.00", "0.10", "0.004"]


def test_a_negative_zero_is_written_as_zero(ax: Axes) -> None:
    network(ax, [[-0.0], [1.0]], [torch.ones(1, 1)])
    assert texts(ax) == ["0", "1.00"]


def test_marks_of_wires_keep_clear_of_one_another(ax: Axes) -> None:
    network(ax, [["a"] * 2, ["b"] * 3, ["c"] * 2], [torch.zeros(3, 2), torch.zeros(2, 3)])
    marks = torch.tensor(np.concatenate([points(line) for line in ax.lines[1::2]]))
    near = torch.cdist(marks, marks) + torch.eye(12)
    assert near.min() > 0.2


def test_a_wire_has_the_colour_of_its_hidden_unit(ax: Axes) -> None:
    wires = [torch.ones(2, 1), torch.ones(2, 2), torch.ones(1, 2)]
    network(ax, [["x"], ["a", "b"], ["c", "d"], ["f"]], wires, colours=["C3", "C4"])
    colours = [line.get_color() for line in ax.lines]
    assert colours == ["C3", "C4", "C3", "C3", "C4", "C4", "C3", "C4"]


def test_units_and_wires_must_fit(ax: Axes) -> None:
    with pytest.raises(ValueError, match=r"wires need the shapes \[\(3, 2\), \(1, 3\)\]"):
        network(ax, UNITS, WIRES[::-1])
    assert not ax.has_data()


def test_the_dead_network_is_drawn_dead(ax: Axes) -> None:
    model, data = zeros_(MLP([2, 3, 2])), half_plane()
    slopes = list(gradients(model, data).values())
    z, h = forward(model, data.x[:1])
    network(ax, [row[0].tolist() for row in (*h, z[-1])], slopes[::2])
    assert all(line.get_linestyle() == ":" for line in ax.lines if line.get_marker() == "None")
    assert texts(ax)[2:] == ["0"] * 5


def test_the_pieces_of_a_unit_move_with_its_colour(ax: Axes) -> None:
    model = MLP([2, 3, 2], seed=1)
    found = []
    for net, order in ((model, [0, 1, 2]), (permute(model, 1, [2, 0, 1]), [2, 0, 1])):
        ax.clear()
        first, last = linear_layers(net)
        colours = [("C3", "C4", "C5")[unit] for unit in order]
        names = ["ABC"[unit] for unit in order]
        pieces(ax, first.weight, first.bias, last.weight, names=names, colours=colours)
        tiles = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        numbers = [text for text in ax.texts if text.get_text()[-1].isdigit()]
        assert len(tiles) == len(numbers) == 15
        for tile, text in zip(tiles, numbers, strict=True):
            assert_allclose(tile.get_center(), text.get_position())
        found.append(
            {
                name: sorted(
                    text.get_text()
                    for tile, text in zip(tiles, numbers, strict=True)
                    if same_color(tile.get_facecolor(), to_rgba(c, 0.25))
                )
                for name, c in zip(names, colours, strict=True)
            }
        )
    before, after = found
    assert before == after
    first, last = linear_layers(model)
    mine = torch.cat([first.weight[0], first.bias[:1], last.weight[:, 0]]).tolist()
    assert before["A"] == sorted(f"{number:.2f}".replace("-", "−") for number in mine)


def test_the_pieces_stand_where_the_matrices_have_them(ax: Axes) -> None:
    weight = torch.tensor([[0.11, 0.12], [0.21, 0.22], [0.31, 0.32]])
    bias = torch.tensor([0.1, 0.2, 0.3])
    after = torch.tensor([[0.81, 0.82, 0.83], [0.91, 0.92, 0.93]])
    pieces(ax, weight, bias, after, names="ABC", colours=["C3", "C4", "C5"])
    at = {text.get_text(): text.get_position() for text in ax.texts}
    for row in ("0.11 0.12", "0.21 0.22", "0.31 0.32", "0.81 0.82 0.83", "0.91 0.92 0.93"):
        places = [at[number] for number in row.split()]
        assert len({y for _, y in places}) == 1
        assert [x for x, _ in places] == sorted({x for x, _ in places})
    for column in ("0.11 0.21 0.31", "0.12 0.22 0.32", "0.10 0.20 0.30", "0.81 0.91"):
        places = [at[number] for number in column.split()]
        assert len({x for x, _ in places}) == 1
        assert [-y for _, y in places] == sorted({-y for _, y in places})
    assert [at[n][1] for n in ("0.10", "0.20", "0.30")] == [
        at[n][1] for n in ("0.11", "0.21", "0.31")
    ]
