"""Every figure is drawn on the axes it is given, and shows the numbers it is given."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.colors import same_color, to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from torch import Generator, Tensor

from zeroinit import MLP, half_plane, plots, train, zeros_

Numbers = NDArray[np.float64]

DATA = half_plane(32)
PATH = torch.tensor([[0.0, 0.0], [0.5, 0.25], [1.0, 0.5]])


def numbers(*shape: int) -> Tensor:
    """Return random numbers above 0."""
    return torch.rand(*shape, generator=Generator().manual_seed(0))


def points(line: Line2D) -> Numbers:
    """Return the points of a line, one a row."""
    return np.asarray(line.get_xydata(), dtype=float)


def corners(area: Collection, index: int = 0) -> Numbers:
    """Return the corners of an area or of a level line, one a row."""
    return np.asarray(area.get_paths()[index].vertices, dtype=float)


def legend(ax: Axes) -> list[str]:
    """Return the labels of the legend."""
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def bowl(weight: Tensor) -> Tensor:
    """Return a loss of two weights."""
    return weight.square().sum(1) + 0.1


DRAWINGS: dict[str, Callable[[Axes], Axes]] = {
    "losses": lambda ax: plots.losses(
        ax, {"zeros": numbers(5), "random": numbers(5, 7)}, limit=0.6
    ),
    "parameters_by_step": lambda ax: plots.parameters_by_step(
        ax, {"layers.0.weight": numbers(3, 4, 2), "layers.0.bias": numbers(3, 4)}
    ),
    "decision": lambda ax: plots.decision(ax, MLP([2, 4, 2]), DATA),
    "unit_paths": lambda ax: plots.unit_paths(ax, numbers(6, 4, 2), label="units"),
    "spread": lambda ax: plots.spread(ax, {"zeros": numbers(9)}, xlabel="loss (nats)"),
    "looks": lambda ax: plots.looks(ax),
    "lineup": lambda ax: plots.lineup(ax, {"tied": {"a": numbers(3)}}, xlabel="gap"),
    "by_layer": lambda ax: plots.by_layer(ax, {"random": numbers(4, 9)}, ylabel="size"),
    "wakes": lambda ax: plots.wakes(ax, {"relu": {"b": 1, "W": None}, "tanh": {"b": 1, "W": 2}}),
    "by_width": lambda ax: plots.by_width(ax, {"parted": {2: 3, 3: None}}, last=9, predicted=5.0),
    "wake_order": lambda ax: plots.wake_order(ax, {"LoRA": {"B": 1, "A": 2}, "dead": {"A": None}}),
    "surface": lambda ax: plots.surface(ax, bowl, {"from 0": PATH}, reach=2.0),
    "waits": lambda ax: plots.waits(ax, numbers(3), {"tanh": numbers(3)}, {"tanh": numbers(3)}),
}


@pytest.fixture
def ax() -> Iterator[Axes]:
    """Return fresh axes in the book's style, of a figure that pyplot does not know."""
    with plt.style.context("zeroinit.book"):
        yield Figure().subplots()


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_on_the_axes_given_and_nowhere_else(name: str, ax: Axes) -> None:
    figure, settings = ax.figure, dict(rcParams)
    neighbour = Figure().subplots()
    untouched = len(neighbour.get_children())
    assert DRAWINGS[name](ax) is ax
    assert ax.figure is figure
    assert ax.has_data()
    assert not plt.get_fignums()
    assert len(neighbour.get_children()) == untouched
    assert dict(rcParams) == settings


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_names_its_axes(name: str, ax: Axes) -> None:
    DRAWINGS[name](ax)
    assert ax.get_xlabel() or [text.get_text() for text in ax.get_xticklabels()]
    assert ax.get_ylabel() or [text.get_text() for text in ax.get_yticklabels()]


def test_by_layer_marks_a_layer_of_zeros_with_a_cross_and_leaves_it_out_of_the_line(
    ax: Axes,
) -> None:
    values = numbers(4, 9)
    values[1:3] = 0
    plots.by_layer(ax, {"random": values}, ylabel="size", first=1)
    line, crosses = ax.lines
    shown = points(line)
    assert_allclose(shown[[0, 3], 1], np.median(values[[0, 3]], axis=1), rtol=1e-6)
    assert np.isnan(shown[:, 1]).tolist() == [False, True, True, False]
    assert crosses.get_marker() == "x"
    assert points(crosses)[:, 0].tolist() == [2, 3]


def test_lineup_has_a_colour_for_each_group_and_a_cross_for_each_zero(ax: Axes) -> None:
    ax.set_xscale("log")
    some = torch.tensor([0.0, 0.5, 2.0])
    plots.lineup(ax, {"tied": {"a": some, "b": numbers(3)}, "free": {"c": some}}, xlabel="gap")
    dots, crosses = ax.lines[::2], ax.lines[1::2]
    assert [points(line)[:, 0].tolist() for line in dots[::2]] == [[0.5, 2.0]] * 2
    assert [len(points(line)) for line in crosses] == [1, 0, 1]
    assert same_color(dots[0].get_color(), dots[1].get_color())
    assert not same_color(dots[0].get_color(), dots[2].get_color())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    ax.legend()
    assert legend(ax) == ["tied", "free"]


def test_lineup_shows_a_zero_as_it_is_on_a_linear_axis(ax: Axes) -> None:
    plots.lineup(ax, {"tied": {"a": torch.zeros(3)}}, xlabel="gap")
    assert points(ax.lines[0])[:, 0].tolist() == [0, 0, 0]


def test_by_width_marks_a_width_where_nothing_happens_with_a_cross(ax: Axes) -> None:
    plots.by_width(ax, {"parted": {2: 3, 3: None, 4: 1}}, last=9, predicted=5.0)
    seen, never, end, predicted = ax.lines
    assert points(seen).tolist() == [[2, 3], [4, 1]]
    assert never.get_marker() == "x"
    assert points(never)[:, 0].tolist() == [3]
    assert points(end)[:, 1].tolist() == [9, 9]
    assert points(predicted)[:, 1].tolist() == [5, 5]
    assert ax.get_legend_handles_labels()[1] == ["parted", "end of the runs", "predicted escape"]


def test_wakes_writes_the_step_or_a_cross(ax: Axes) -> None:
    plots.wakes(ax, {"relu": {"b": 1, "W": None}, "tanh": {"b": 1, "W": 2}})
    written = {(t.get_position(), t.get_text()) for t in ax.texts if t.get_text()}
    assert written == {((0.5, 0.5), "1"), ((1.5, 0.5), "1"), ((1.5, 1.5), "2")}
    assert points(ax.lines[0]).tolist() == [[0.5, 1.5]]


def test_wake_order_gives_each_network_parts_of_its_own(ax: Axes) -> None:
    plots.wake_order(ax, {"LoRA": {"B": 1, "A": 2}, "dead": {"A": None}})
    written = {(*t.get_position(), t.get_text()) for t in ax.texts}
    names = {(0.5, 0.78, "B"), (1.5, 0.78, "A"), (0.5, 1.78, "A")}
    assert written == names | {(0.5, 0.38, "1"), (1.5, 0.38, "2")}
    assert points(ax.lines[0]).tolist() == [[0.5, 1.38]]
    assert ax.yaxis_inverted()


def test_a_network_is_asked_in_the_dtype_of_the_data(ax: Axes) -> None:
    model = MLP([2, 4, 2], dtype=torch.float64)
    assert plots.decision(ax, model, half_plane(8, dtype=torch.float64)).has_data()


def test_every_public_function_is_drawn_here() -> None:
    public = {n for n, f in vars(plots).items() if getattr(f, "__module__", "") == plots.__name__}
    known = {*DRAWINGS, "Look", "ground", "ink"}
    assert {name for name in public if not name.startswith("_")} == known


def test_losses_shows_one_run_as_it_is_and_many_as_median_and_eight_in_ten(ax: Axes) -> None:
    one, many = numbers(5), numbers(5, 40)
    plots.losses(ax, {"zeros, lr 0.1": one, "random": many}, limit=0.69)
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
    assert legend(ax) == ["zeros, lr 0.1", "random", "H(p), the entropy of the labels"]


def test_a_start_has_a_colour_and_a_dash_of_its_own(ax: Axes) -> None:
    plots.losses(ax, {f"{start} units": numbers(5) for start in (*plots.STARTS, "other")})
    *lines, other = ax.lines
    for line, look in zip(lines, plots.STARTS.values(), strict=True):
        assert same_color(line.get_color(), look.colour)
        (drawn,) = ax.plot([0], [0], ls=look.dash)
        assert line._dash_pattern == drawn._dash_pattern  # type: ignore[attr-defined]
    assert not any(same_color(other.get_color(), line.get_color()) for line in lines)


def test_crosses_stand_exactly_where_a_gradient_is_zero(ax: Axes) -> None:
    run = train(zeros_(MLP([2, 3, 4, 2], "sigmoid")), DATA, lr=0.1, steps=4)
    plots.parameters_by_step(ax, run.gradients)
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
    plots.parameters_by_step(ax, {"layers.0.weight": torch.zeros(3, 2, 2)})
    assert len(points(ax.lines[0])) == 3
    assert ax.figure.axes == [ax]


def test_the_decision_is_shaded_by_probability_and_drawn_where_the_classes_are_even(
    ax: Axes,
) -> None:
    def logits(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), 4 * x[:, 0] + 2], dim=1)

    plots.decision(ax, logits, DATA, reach=2.0)
    shades, boundary = (c for c in ax.collections if isinstance(c, QuadContourSet))
    assert_allclose(corners(boundary)[:, 0], -0.5, atol=1e-4)
    for k, low in enumerate(np.arange(5) / 5):
        inside = 1 / (1 + np.exp(-4 * corners(shades, k)[:, 0] - 2))
        # The levels are interpolated on a grid of width 0.05, where p changes by 0.05 at most.
        assert (inside > low - 0.01).all()
        assert (inside < low + 0.21).all()
    assert ax.get_xlim() == ax.get_ylim() == (-2.0, 2.0)


def test_a_network_that_sees_nothing_has_no_boundary(ax: Axes) -> None:
    plots.decision(ax, zeros_(MLP([2, 4, 2])), DATA)
    assert len([c for c in ax.collections if isinstance(c, QuadContourSet)]) == 1


def test_the_points_of_each_class_have_a_mark_of_their_own(ax: Axes) -> None:
    plots.decision(ax, MLP([2, 4, 2]), DATA)
    circles, triangles = (c for c in ax.collections if isinstance(c, PathCollection))
    assert_allclose(np.asarray(circles.get_offsets()), DATA.x[DATA.y == 0])
    assert_allclose(np.asarray(triangles.get_offsets()), DATA.x[DATA.y == 1])
    assert len(corners(circles)) != len(corners(triangles))


def test_every_unit_has_a_path_that_ends_in_a_mark(ax: Axes) -> None:
    weight = numbers(6, 4, 2)
    plots.unit_paths(ax, weight, label="tied units")
    *paths, starts, ends = ax.lines
    for i, path in enumerate(paths):
        assert_allclose(points(path), weight[:, i])
    assert len(paths) == 4
    assert_allclose(points(starts), weight[0])
    assert_allclose(points(ends), weight[-1])
    colour, _, marker = plots.STARTS["tied"]
    assert starts.get_marker() == ends.get_marker() == marker
    assert all(same_color(line.get_color(), colour) for line in ax.lines)
    assert legend(ax) == ["tied units"]


def test_every_seed_has_a_dot_and_every_row_a_bar_at_its_median(ax: Axes) -> None:
    values = {"zeros": numbers(9), "random": numbers(30)}
    plots.spread(ax, values, xlabel="loss (nats)")
    for row, found in enumerate(values.values()):
        dots, bar = ax.lines[2 * row : 2 * row + 2]
        assert_allclose(points(dots)[:, 0], found)
        assert (abs(points(dots)[:, 1] - row) < 0.5).all()
        assert_allclose(points(bar)[:, 0], np.median(found))
    assert len(ax.lines) == 4
    assert [text.get_text() for text in ax.get_yticklabels()] == ["zeros", "random"]
    bottom, top = ax.get_ylim()
    assert bottom > top


def test_a_path_on_the_surface_has_a_circle_at_its_start_and_a_square_at_its_end(ax: Axes) -> None:
    plots.surface(ax, bowl, {"from 0": PATH}, reach=2.0)
    path, start, end = ax.lines
    assert_allclose(points(path), PATH)
    assert_allclose(points(start), PATH[:1])
    assert_allclose(points(end), PATH[-1:])
    assert (start.get_marker(), end.get_marker()) == ("o", "s")
    assert same_color(start.get_color(), path.get_color())


def test_the_surface_is_the_loss_of_the_first_weight_along_x_and_the_second_along_y(
    ax: Axes,
) -> None:
    plots.surface(ax, lambda w: (w[:, 0] + 3).exp(), {"from 0": PATH}, reach=2.0)
    (lines,) = (c for c in ax.collections if isinstance(c, QuadContourSet))
    for k, level in enumerate(lines.levels):
        assert_allclose(corners(lines, k)[:, 0], level - 3, atol=1e-6)


def test_waits_grow_to_the_right_with_dots_on_lines_of_their_colour(ax: Axes) -> None:
    sizes = torch.tensor([0.1, 0.01, 0.001])
    steps, law = torch.tensor([5, 9, 14]), torch.tensor([4.5, 9.0, 13.5])
    plots.waits(ax, sizes, {"tied": steps, "tanh": 2 * steps}, {"tied": law, "tanh": 2 * law})
    for (line, dots), factor in zip((ax.lines[:2], ax.lines[2:]), (1, 2), strict=True):
        assert_allclose(points(dots), np.stack([sizes, factor * steps], axis=1))
        assert_allclose(points(line), np.stack([sizes, factor * law], axis=1))
        assert same_color(line.get_color(), dots.get_color())
    left, right = ax.get_xlim()
    assert left > right
    assert ax.get_xscale() == "log"
    assert legend(ax) == ["tied", "tanh"]


def test_the_key_shows_every_start_as_it_looks_and_the_cross_of_zero(ax: Axes) -> None:
    plots.looks(ax)
    *starts, cross = ax.lines
    for line, mark, look in zip(starts[::2], starts[1::2], plots.STARTS.values(), strict=True):
        assert same_color(line.get_color(), look.colour)
        assert same_color(mark.get_color(), look.colour)
        assert mark.get_marker() == look.marker
    assert (cross.get_marker(), cross.get_color()) == ("x", plots.STARTS["zeros"].colour)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [*plots.STARTS, "exactly 0"]


def test_starts_differ_in_dash_and_in_mark() -> None:
    looks = plots.STARTS.values()
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
        assert min(contrast(colour, plots.ground()) for colour in colours) >= 3
        assert contrast(plots.ink(), plots.ground()) >= 7


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
