"""A plane shows the values of a network or of a loss, and where paths lead."""

import numpy as np
import pytest
import torch
from drawn import DATA, PATH, bowl, corners, legend, numbers, points
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color
from matplotlib.contour import QuadContourSet
from numpy.testing import assert_allclose
from torch import Tensor

from zeroinit import MLP, half_plane
from zeroinit.figures.planes import decision, surface, unit_paths
from zeroinit.figures.style import STARTS, look_of


def test_a_network_is_asked_in_the_dtype_of_the_data(ax: Axes) -> None:
    model = MLP([2, 4, 2], dtype=torch.float64)
    assert decision(ax, model, half_plane(8, dtype=torch.float64)).has_data()


def test_the_decision_is_shaded_by_probability_and_drawn_where_the_classes_are_even(
    ax: Axes,
) -> None:
    def logits(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), 4 * x[:, 0] + 2], dim=1)

    decision(ax, logits, DATA, reach=2.0)
    shades, boundary = (c for c in ax.collections if isinstance(c, QuadContourSet))
    assert_allclose(corners(boundary)[:, 0], -0.5, atol=1e-4)
    for k, low in enumerate(np.arange(5) / 5):
        inside = 1 / (1 + np.exp(-4 * corners(shades, k)[:, 0] - 2))
        # The levels are interpolated on a grid of width 0.05, where p changes by 0.05 at most.
        assert (inside > low - 0.01).all()
        assert (inside < low + 0.21).all()
    assert ax.get_xlim() == ax.get_ylim() == (-2.0, 2.0)


@pytest.mark.parametrize("sign", [0, 1, -1])
def test_a_network_that_is_even_where_its_unit_is_off_has_no_boundary(ax: Axes, sign: int) -> None:
    def logits(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), sign * x[:, 0].relu()], dim=1)

    decision(ax, logits, DATA)
    assert len([c for c in ax.collections if isinstance(c, QuadContourSet)]) == 1


def test_the_points_of_each_class_have_a_mark_of_their_own(ax: Axes) -> None:
    decision(ax, MLP([2, 4, 2]), DATA)
    circles, triangles = (c for c in ax.collections if isinstance(c, PathCollection))
    assert_allclose(np.asarray(circles.get_offsets()), DATA.x[DATA.y == 0])
    assert_allclose(np.asarray(triangles.get_offsets()), DATA.x[DATA.y == 1])
    assert len(corners(circles)) != len(corners(triangles))


def test_every_unit_has_a_path_that_ends_in_a_mark(ax: Axes) -> None:
    weight = numbers(6, 4, 2)
    unit_paths(ax, weight, label="tied units")
    *paths, starts, ends = ax.lines
    for i, path in enumerate(paths):
        assert_allclose(points(path), weight[:, i])
    assert len(paths) == 4
    assert_allclose(points(starts), weight[0])
    assert_allclose(points(ends), weight[-1])
    colour, _, marker = STARTS["tied"]
    assert starts.get_marker() == ends.get_marker() == marker
    assert all(same_color(line.get_color(), colour) for line in ax.lines)
    assert legend(ax) == ["tied units"]


def test_units_of_an_unnamed_start_have_the_first_look(ax: Axes) -> None:
    unit_paths(ax, numbers(6, 4, 2), label="units")
    colour, _, marker = look_of("units", 0)
    assert {line.get_marker() for line in ax.lines[4:]} == {marker}
    assert all(same_color(line.get_color(), colour) for line in ax.lines)


def test_a_path_on_the_surface_has_a_circle_at_its_start_and_a_square_at_its_end(ax: Axes) -> None:
    surface(ax, bowl, {"from 0": PATH}, reach=2.0)
    path, start, end = ax.lines
    assert_allclose(points(path), PATH)
    assert_allclose(points(start), PATH[:1])
    assert_allclose(points(end), PATH[-1:])
    assert (start.get_marker(), end.get_marker()) == ("o", "s")
    assert same_color(start.get_color(), path.get_color())


def test_the_surface_is_the_loss_of_the_first_weight_along_x_and_the_second_along_y(
    ax: Axes,
) -> None:
    surface(ax, lambda w: (w[:, 0] + 3).exp(), {"from 0": PATH}, reach=2.0)
    (lines,) = (c for c in ax.collections if isinstance(c, QuadContourSet))
    assert_allclose(np.asarray(lines.levels), 0.3 * np.arange(3, 18))
    for k, level in enumerate(lines.levels):
        assert_allclose(corners(lines, k)[:, 0], level - 3, atol=1e-6)


def test_the_surface_shows_a_valley_that_single_precision_does_not(ax: Axes) -> None:
    surface(ax, lambda w: 1 + 1e-9 * w[:, 0].square(), {"from 0": PATH}, reach=2.0)
    (lines,) = (c for c in ax.collections if isinstance(c, QuadContourSet))
    for k, square in enumerate(0.3 * np.arange(14)):
        assert_allclose(corners(lines, k)[:, 0] ** 2, square, atol=0.01)


def test_the_surface_ends_where_it_was_asked_to_though_a_path_leads_on(ax: Axes) -> None:
    surface(ax, bowl, {"away": 4 * PATH}, reach=1.5)
    assert ax.get_xlim() == ax.get_ylim() == (-1.5, 1.5)
