"""Every seed has a dot, in the row of its label."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from drawn import legend, numbers, points
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from zeroinit.figures.dots import lineup, spread


def test_every_seed_has_a_dot_and_every_row_a_bar_at_its_median(ax: Axes) -> None:
    values = {"zeros": numbers(9), "random": numbers(30)}
    spread(ax, values, xlabel="loss (nats)")
    for row, found in enumerate(values.values()):
        dots, bar = ax.lines[2 * row : 2 * row + 2]
        assert_allclose(points(dots)[:, 0], found)
        assert (abs(points(dots)[:, 1] - row) < 0.5).all()
        assert_allclose(points(bar)[:, 0], np.median(found))
    assert len(ax.lines) == 4
    assert [text.get_text() for text in ax.get_yticklabels()] == ["zeros", "random"]
    bottom, top = ax.get_ylim()
    assert bottom > top


@pytest.mark.parametrize("style", ["default", "zeroinit.book"])
def test_rows_have_no_grid_lines(style: str) -> None:
    with plt.style.context(style):
        ax = Figure().subplots()
        spread(ax, {"zeros": numbers(9)}, xlabel="loss (nats)")
        assert not any(line.get_visible() for line in ax.get_ygridlines())


def test_lineup_has_a_colour_for_each_group_and_a_cross_for_each_zero(ax: Axes) -> None:
    ax.set_xscale("log")
    some = torch.tensor([0.0, 0.5, 2.0])
    lineup(ax, {"tied": {"a": some, "b": numbers(3)}, "free": {"c": some}}, xlabel="gap")
    dots, crosses = ax.lines[::2], ax.lines[1::2]
    assert [points(line)[:, 0].tolist() for line in dots[::2]] == [[0.5, 2.0]] * 2
    assert [len(points(line)) for line in crosses] == [1, 0, 1]
    assert same_color(dots[0].get_color(), dots[1].get_color())
    assert not same_color(dots[0].get_color(), dots[2].get_color())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    ax.legend()
    assert legend(ax) == ["tied", "free"]


def test_lineup_shows_a_zero_as_it_is_on_a_linear_axis(ax: Axes) -> None:
    lineup(ax, {"tied": {"a": torch.zeros(3)}}, xlabel="gap")
    assert points(ax.lines[0])[:, 0].tolist() == [0, 0, 0]
