"""A tile shows a gradient or a step, and a cross shows that there is none."""

from typing import Any

import numpy as np
import torch
from drawn import DATA, points
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.testing import assert_allclose, assert_array_equal

from zeroinit import MLP, train, zeros_
from zeroinit.figures.style import STARTS
from zeroinit.figures.tiles import parameters_by_step, wake_order, wakes


def test_crosses_stand_exactly_where_a_gradient_is_zero(ax: Axes) -> None:
    run = train(zeros_(MLP([2, 3, 4, 2], "sigmoid")), DATA, lr=0.1, steps=4)
    parameters_by_step(ax, run.gradients)
    (crosses,) = ax.lines
    assert crosses.get_marker() == "x"
    found = {(x, y) for x, y in points(crosses).tolist()}
    assert found == {
        (step + 0.5, row + 0.5)
        for row, gradient in enumerate(run.gradients.values())
        for step in range(5)
        if not gradient[step].any()
    }
    # The thaw: two layers sleep at step 1, one at step 2, each with its weight and its bias.
    assert len(found) == 6

    (tiles,) = (c for c in ax.collections if isinstance(c, QuadMesh))
    shown: Any = tiles.get_array()
    norms = np.stack([g.flatten(1).norm(dim=1).numpy() for g in run.gradients.values()])
    assert_array_equal(np.ma.getmaskarray(shown), norms == 0)
    assert_allclose(shown.compressed(), np.log10(norms[norms > 0]), rtol=1e-5)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["$W^{1}$", "$b^{1}$", "$W^{2}$", "$b^{2}$", "$W^{3}$", "$b^{3}$"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "3", "4", "5"]


def test_where_all_gradients_are_zero_all_is_crosses(ax: Axes) -> None:
    parameters_by_step(ax, {"layers.0.weight": torch.zeros(3, 2, 2)})
    assert len(points(ax.lines[0])) == 3
    assert ax.figure.axes == [ax]


def test_wakes_writes_the_step_or_a_cross(ax: Axes) -> None:
    wakes(ax, {"relu": {"b": 1, "W": None}, "tanh": {"b": 1, "W": 2}})
    written = {(t.get_position(), t.get_text()) for t in ax.texts if t.get_text()}
    assert written == {((0.5, 0.5), "1"), ((1.5, 0.5), "1"), ((1.5, 1.5), "2")}
    assert points(ax.lines[0]).tolist() == [[0.5, 1.5]]


def test_wakes_frames_the_zeros_it_is_told_of(ax: Axes) -> None:
    steps: dict[str, int | None] = {"b": 1, "W": None}
    wakes(ax, {"one": steps, "two": steps}, zeros={"two": ["W"]})
    frames = [line for line in ax.lines if line.get_marker() == "s"]
    assert {tuple(*points(line).tolist()) for line in frames} == {(1.5, 1.5)}
    assert frames[-1].get_markeredgecolor() == STARTS["zeros"].colour


def test_words_on_tiles_of_one_step_have_one_colour(ax: Axes) -> None:
    wake_order(ax, {"first": {"A": 1, "B": 2}, "second": {"C": 2, "D": 3}})
    colour = {text.get_text(): text.get_color() for text in ax.texts}
    assert colour["B"] == colour["C"] == colour["2"]
    assert colour["A"] == colour["1"]


def test_a_shade_begins_at_step_1_where_nothing_wakes_so_early(ax: Axes) -> None:
    wakes(ax, {"relu": {"b": 2, "W": 3}})
    (tiles,) = (c for c in ax.collections if isinstance(c, QuadMesh))
    assert tiles.get_clim() == (1, 3)


def test_wake_order_gives_each_network_parts_of_its_own(ax: Axes) -> None:
    wake_order(ax, {"LoRA": {"B": 1, "A": 2}, "dead": {"A": None}})
    written = {(*t.get_position(), t.get_text()) for t in ax.texts}
    names = {(0.5, 0.78, "B"), (1.5, 0.78, "A"), (0.5, 1.78, "A")}
    assert written == names | {(0.5, 0.38, "1"), (1.5, 0.38, "2")}
    assert points(ax.lines[0]).tolist() == [[0.5, 1.38]]
    assert ax.yaxis_inverted()
    assert not any(tick.tick1line.get_visible() for tick in ax.yaxis.get_major_ticks())
