"""Every figure is drawn on the axes it is given, and names them."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import pytest
from drawn import DATA, PATH, bowl, numbers
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeroinit import MLP
from zeroinit.figures import curves, dots, planes, style, tiles
from zeroinit.figures.curves import by_layer, by_width, losses, signals, waits
from zeroinit.figures.dots import lineup, spread
from zeroinit.figures.planes import decision, surface, unit_paths
from zeroinit.figures.style import looks
from zeroinit.figures.tiles import parameters_by_step, wake_order, wakes

DRAWINGS: dict[str, Callable[[Axes], Axes]] = {
    "losses": lambda ax: losses(ax, {"zeros": numbers(5), "random": numbers(5, 7)}, limit=0.6),
    "parameters_by_step": lambda ax: parameters_by_step(
        ax, {"layers.0.weight": numbers(3, 4, 2), "layers.0.bias": numbers(3, 4)}
    ),
    "decision": lambda ax: decision(ax, MLP([2, 4, 2]), DATA),
    "unit_paths": lambda ax: unit_paths(ax, numbers(6, 4, 2), label="units"),
    "spread": lambda ax: spread(ax, {"zeros": numbers(9)}, xlabel="loss (nats)"),
    "looks": lambda ax: looks(ax),
    "lineup": lambda ax: lineup(ax, {"tied": {"a": numbers(3)}}, xlabel="gap"),
    "by_layer": lambda ax: by_layer(ax, {"random": numbers(4, 9)}, ylabel="size"),
    "wakes": lambda ax: wakes(ax, {"relu": {"b": 1, "W": None}, "tanh": {"b": 1, "W": 2}}),
    "by_width": lambda ax: by_width(ax, {"parted": {2: 3, 3: None}}, last=9, predicted=5.0),
    "wake_order": lambda ax: wake_order(ax, {"LoRA": {"B": 1, "A": 2}, "dead": {"A": None}}),
    "surface": lambda ax: surface(ax, bowl, {"from 0": PATH}, reach=2.0),
    "signals": lambda ax: signals(ax, {"signal": ([1.0, 2.0], [1.5, None])}),
    "waits": lambda ax: waits(ax, numbers(3), {"tanh": numbers(3)}, {"tanh": numbers(3)}),
}


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


@pytest.mark.parametrize("style", ["default", "zeroinit.book"])
@pytest.mark.parametrize("name", ["parameters_by_step", "decision", "looks", "wakes", "wake_order"])
def test_a_drawing_without_a_grid_has_none_in_any_style(name: str, style: str) -> None:
    with plt.style.context(style):
        ax = DRAWINGS[name](Figure().subplots())
        lines = [*ax.get_xgridlines(), *ax.get_ygridlines()]
        assert lines
        assert not any(line.get_visible() for line in lines)


def test_every_public_function_is_drawn_here() -> None:
    public = {
        name
        for module in (curves, dots, planes, style, tiles)
        for name, found in vars(module).items()
        if getattr(found, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert public == {*DRAWINGS, "Look", "ground", "ink", "look_of"}
