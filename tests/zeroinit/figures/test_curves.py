"""Curves show the numbers they are given."""

import numpy as np
import pytest
import torch
from drawn import corners, legend, numbers, points
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from numpy.testing import assert_allclose

from zeroinit.figures.curves import by_layer, by_width, losses, waits
from zeroinit.figures.style import STARTS


def test_losses_shows_one_run_as_it_is_and_many_as_median_and_eight_in_ten(ax: Axes) -> None:
    one, many = numbers(5), numbers(5, 40)
    losses(ax, {"zeros, lr 0.1": one, "random": many}, limit=0.69)
    first, second, limit = ax.lines
    assert_allclose(points(first)[:, 1], one)
    assert_allclose(points(second)[:, 1], np.median(many, axis=1), rtol=1e-6)
    assert_allclose(points(limit)[:, 1], 0.69)
    (band,) = ax.collections
    x, y = corners(band).T
    for step in range(5):
        heights, edges = np.asarray(many[step]), y[x == step]
        inside = (heights >= edges.min()) & (heights <= edges.max())
        assert inside.mean() == pytest.approx(0.8, abs=0.05)
    assert legend(ax) == ["zeros, lr 0.1", "random", "H(p), entropy of labels"]


def test_two_runs_have_a_band_between_them(ax: Axes) -> None:
    two = numbers(5, 2)
    losses(ax, {"random": two})
    (band,) = ax.collections
    heights = corners(band)[:, 1]
    assert two.min() < heights.min() < heights.max() < two.max()


def test_a_start_has_a_colour_and_a_dash_of_its_own(ax: Axes) -> None:
    losses(ax, {f"{start} units": numbers(5) for start in (*STARTS, "other")})
    *lines, other = ax.lines
    for line, look in zip(lines, STARTS.values(), strict=True):
        assert same_color(line.get_color(), look.colour)
        (drawn,) = ax.plot([0], [0], ls=look.dash)
        assert line._dash_pattern == drawn._dash_pattern  # type: ignore[attr-defined]
    assert not any(same_color(other.get_color(), line.get_color()) for line in lines)


def test_by_layer_marks_a_layer_of_zeros_with_a_cross_and_leaves_it_out_of_the_line(
    ax: Axes,
) -> None:
    values = numbers(4, 9)
    values[1:3] = 0
    by_layer(ax, {"random": values}, ylabel="size", first=1)
    line, crosses = ax.lines
    shown = points(line)
    assert_allclose(shown[[0, 3], 1], np.median(values[[0, 3]], axis=1), rtol=1e-6)
    assert np.isnan(shown[:, 1]).tolist() == [False, True, True, False]
    assert crosses.get_marker() == "x"
    assert points(crosses)[:, 0].tolist() == [2, 3]


def test_by_width_marks_a_width_where_nothing_happens_with_a_cross(ax: Axes) -> None:
    by_width(ax, {"parted": {2: 3, 3: None, 4: 1}}, last=9, predicted=5.0)
    seen, never, end, predicted = ax.lines
    assert points(seen).tolist() == [[2, 3], [4, 1]]
    assert never.get_marker() == "x"
    assert points(never)[:, 0].tolist() == [3]
    assert points(end)[:, 1].tolist() == [9, 9]
    assert points(predicted)[:, 1].tolist() == [5, 5]
    assert ax.get_legend_handles_labels()[1] == ["parted", "end of the runs", "predicted escape"]


def test_waits_grow_to_the_right_with_dots_on_lines_of_their_colour(ax: Axes) -> None:
    sizes = torch.tensor([0.1, 0.01, 0.001])
    steps, law = torch.tensor([5, 9, 14]), torch.tensor([4.5, 9.0, 13.5])
    waits(ax, sizes, {"tied": steps, "tanh": 2 * steps}, {"tied": law, "tanh": 2 * law})
    for (line, dots), factor in zip((ax.lines[:2], ax.lines[2:]), (1, 2), strict=True):
        assert_allclose(points(dots), np.stack([sizes, factor * steps], axis=1))
        assert_allclose(points(line), np.stack([sizes, factor * law], axis=1))
        assert same_color(line.get_color(), dots.get_color())
    left, right = ax.get_xlim()
    assert left > right
    assert ax.get_xscale() == "log"
    assert legend(ax) == ["tied", "tanh"]
