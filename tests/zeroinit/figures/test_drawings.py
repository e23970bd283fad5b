"""Every drawing has the shapes, colours and sizes that ``drawings.txt`` keeps.

Another version of matplotlib may choose other ticks, so the file begins with the one that it is of.
After a change that is meant, ``.venv/bin/python tests/zeroinit/figures/test_drawings.py`` writes
the file again; ``git diff`` then says what the change did to each drawing.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from torch import Tensor

from zeroinit import Data, half_plane
from zeroinit.figures.curves import by_layer, by_width, losses, signals, waits
from zeroinit.figures.dots import lineup, spread
from zeroinit.figures.networks import network, pieces
from zeroinit.figures.planes import decision, surface, unit_paths
from zeroinit.figures.schemes import branches, questions
from zeroinit.figures.style import looks
from zeroinit.figures.tiles import parameters_by_step, wake_order, wakes

KEPT = Path(__file__).with_name("drawings.txt")
VERSION = "matplotlib " + version("matplotlib").rpartition(".")[0]


def ramp(*shape: int, zero: int | None = None) -> Tensor:
    """Return numbers above 0 that grow unevenly, with zeros in one row if wanted."""
    count = torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape)
    numbers = (count * 2.3) % 7 + count / 10
    if zero is not None:
        numbers[zero] = 0
    return numbers


def slope(x: Tensor) -> Tensor:
    """Return logits whose boundary is a slanted line."""
    return torch.stack([x[:, 0], x[:, 1] / 2], dim=1)


def sure(x: Tensor) -> Tensor:
    """Return logits that know one class only."""
    return torch.stack([x[:, 0] * 0, x[:, 0] * 0 + 9], dim=1)


def log_lineup(ax: Axes) -> Axes:
    """Draw the rows of a lineup on a logarithmic axis."""
    ax.set_xscale("log")
    rows = {"tied": {"a": ramp(3, zero=1), "b": ramp(4)}, "free": {"c": ramp(2), "d": ramp(1)}}
    return lineup(ax, rows, xlabel="gap")


PATH = torch.tensor([[[0.0, 0.0], [0.1, 0.3]], [[0.5, 0.2], [0.4, 0.9]]])
WIRES = [torch.tensor([[0.5, 0.0], [-0.25, 1.5], [0.0, -2.0]]), torch.tensor([[0.1, 0.0, 0.004]])]
UNITS: list[list[float | str]] = [[1.0, -2.0], [0.0, 0.75, "B"], [0.0]]
UNKNOWN = ("one", "two", "three", "four", "five")

DRAWINGS: dict[str, Callable[[Axes], Axes]] = {
    "losses": lambda ax: losses(
        ax, {"zeros": ramp(5), "random": ramp(5, 7)} | {n: ramp(2) for n in UNKNOWN}, limit=0.6
    ),
    "parameters_by_step": lambda ax: parameters_by_step(
        ax, {"layers.0.weight": ramp(3, 4, 2, zero=1), "layers.1.bias": ramp(3, 4)}
    ),
    "nothing moves": lambda ax: parameters_by_step(ax, {"layers.0.bias": torch.zeros(2, 3)}),
    "decision": lambda ax: decision(ax, slope, half_plane(8)),
    "no boundary": lambda ax: decision(ax, sure, Data(ramp(2, 2), torch.tensor([0, 1]))),
    "unit_paths": lambda ax: unit_paths(ax, ramp(3, 2, 2), label="tied units"),
    "spread": lambda ax: spread(ax, {"zeros": ramp(9), "free": ramp(4)}, xlabel="loss"),
    "lineup": lambda ax: lineup(ax, {"tied": {"a": ramp(3, zero=1)}}, xlabel="gap"),
    "log_lineup": log_lineup,
    "by_layer": lambda ax: by_layer(
        ax, {"random": ramp(4, 9, zero=1), "free": ramp(4, 9, zero=2)}, ylabel="size", first=1
    ),
    "by_layer from 0": lambda ax: by_layer(ax, {"tied": ramp(3, 2)}, ylabel="size"),
    "wakes": lambda ax: wakes(ax, {"relu": {"b": 1, "W": None}, "tanh": {"b": 1, "W": 4}}),
    "framed": lambda ax: wakes(
        ax, {"a": {"b": 1, "W": None}, "b": {"b": 1, "W": 2}}, zeros={"a": ["W"], "b": ["b", "W"]}
    ),
    "wake_order": lambda ax: wake_order(ax, {"LoRA": {"B": 1, "A": 3}, "dead": {"A": None}}),
    "by_width": lambda ax: by_width(
        ax, {"tied": {2: 3, 3: None}, "free": {2: None, 5: 4}}, last=9, predicted=5.0
    ),
    "signals": lambda ax: signals(
        ax, {"signal": ([2.0, 0.0, 1.0], [1.0, 0.0, 2.0]), "error": ([None, 3.0], [None, 2.5])}
    ),
    "unpredicted": lambda ax: by_width(ax, {"tied": {2: 3}}, last=9),
    "surface": lambda ax: surface(
        ax, lambda w: w.square().sum(1) + w[:, 0] + 1, {"from 0": PATH}, reach=2.0
    ),
    "labelled": lambda ax: surface(
        ax, lambda w: w.square().sum(1) + 1, {"tied": PATH}, reach=1.0, labels=("a", "b")
    ),
    "waits": lambda ax: waits(
        ax, ramp(3), {n: ramp(3) for n in UNKNOWN}, {n: 2 * ramp(3) for n in UNKNOWN}
    ),
    "looks": looks,
    "network": lambda ax: network(ax, UNITS, WIRES, numbers=True),
    "coloured": lambda ax: network(
        ax, [["x"], ["a", "b"], ["c", 0.004], ["f"]],
        [torch.ones(2, 1), torch.ones(2, 2), torch.ones(1, 2)], colours=["C3", "C4"],
    ),
    "crossed": lambda ax: network(
        ax, [[1.0] * 2, [1.0] * 3, [1.0] * 2], [torch.zeros(3, 2), torch.zeros(2, 3)]
    ),
    "crowded": lambda ax: network(
        ax, [[1.0] * 3, [1.0] * 4, [1.0] * 3], [torch.zeros(4, 3), ramp(3, 4, zero=1)], numbers=True
    ),
    "pieces": lambda ax: pieces(
        ax, ramp(3, 2), ramp(3, zero=1), ramp(2, 3), names="ABC", colours=["C3", "C4", "C5"]
    ),
    "branches": lambda ax: branches(
        ax, "x stem u block + head", "u +2 copy zero2 +", "x zero1 +2",
        steps={"zero1": 2, "copy": 2, "zero2": 1}, zeros={"zero1", "zero2"},
    ),
    "branches above": lambda ax: branches(
        ax, "x embed u + readout", "u query × ×2 out +", "u key ×", "u value ×2",
        steps={"embed": 1, "query": 4}, zeros={"readout"},
    ),
    "questions": lambda ax: questions(
        ax, [("Hidden?", "no", "Zero."), ("Twins?", "yes", "Count.")], "Learns."
    ),
}  # fmt: skip


def short(value: Any) -> str:
    """Return a value as a few words: colours by their code, numbers to three digits."""
    if value is None or isinstance(value, str | bool | int):
        return str(value)
    if isinstance(value, float):
        return f"{round(value, 6):.4g}"
    numbers: Any = np.ma.filled(np.ma.asarray(value, dtype=float), np.nan)
    if numbers.size > 24:  # of many numbers, their shape and a few sums that a change would move
        known = numbers[np.isfinite(numbers)]
        weights = np.sin(np.arange(known.size))
        digest = (known.min(), known.max(), known.mean(), (known * weights).sum())
        return f"{numbers.shape} {short(digest)}"
    return "[" + " ".join(f"{number:.3g}" for number in numbers.flatten().round(6) + 0.0) + "]"


def colours(values: Any) -> str:
    """Return colours by their codes, each once and in order; of many only the first and last."""
    rows: list[Any] = [*np.asarray(values).reshape(-1, 4)]
    codes = [to_hex(row, keep_alpha=True) for row in rows]
    once = list(dict.fromkeys(codes))
    return " ".join(once if len(once) < 9 else [once[0], f"({len(once)})", once[-1]])


def dashes(pattern: Any) -> str:
    """Return a dash pattern: where it begins, and its strokes and gaps."""
    begin, strokes = pattern
    return f"{begin:.3g} {short(strokes)}"


def told(artist: Artist, ax: Axes) -> Iterator[tuple[str, object]]:
    """Yield what one part of a drawing looks like."""
    yield "z", float(artist.get_zorder())
    yield "alpha", artist.get_alpha()
    if isinstance(artist, Line2D):
        yield "label", artist.get_label()
        yield "colour", to_hex(artist.get_color())
        yield "line", artist.get_linestyle()
        yield "dashes", dashes(artist._dash_pattern)  # type: ignore[attr-defined]
        yield "width", float(artist.get_linewidth())
        yield "marker", artist.get_marker()
        yield "size", float(artist.get_markersize())
        yield "face", to_hex(artist.get_markerfacecolor())
        inside = artist.get_transform().contains_branch_seperately(ax.transData)
        yield "x and y in data", " ".join(map(str, inside))
        yield "points", artist.get_xydata()
    elif isinstance(artist, Collection):
        yield "face", colours(artist.get_facecolor())
        yield "edge", colours(artist.get_edgecolor())
        yield "width", np.asarray(artist.get_linewidth())
        yield "dashes", " ".join(map(dashes, artist.get_linestyle()))
        yield "map", artist.get_cmap().name
        yield "limits", str(artist.get_clim()) if isinstance(artist, QuadMesh) else None
        yield "values", artist.get_array()
        yield "levels", artist.levels if isinstance(artist, ContourSet) else None
        offsets = isinstance(artist, PathCollection)
        yield "places", artist.get_offsets() if offsets else None
        yield "sizes", artist.get_sizes() if isinstance(artist, PathCollection) else None
        paths = [path.vertices for path in artist.get_paths()]
        yield "corners", np.concatenate(paths) if paths else None
    elif isinstance(artist, Text):
        yield "text", artist.get_text()
        yield "colour", to_hex(artist.get_color())
        yield "size", float(artist.get_fontsize())
        yield "weight", artist.get_fontweight()
        yield "aligned", f"{artist.get_horizontalalignment()} {artist.get_verticalalignment()}"
        yield "place", artist.get_position()
        box = artist.get_bbox_patch()
        yield "box", box and f"{colours(box.get_facecolor())} {colours(box.get_edgecolor())}"
    elif isinstance(artist, Patch):
        yield "face", colours(artist.get_facecolor())
        yield "edge", colours(artist.get_edgecolor())
        yield "width", float(artist.get_linewidth())
        yield "line", artist.get_linestyle()
        yield "corners", artist.get_window_extent().transformed(ax.transData.inverted())


def axes_told(ax: Axes) -> Iterator[tuple[str, object]]:
    """Yield how the axes of a drawing look."""
    yield "x", f"{ax.get_xlabel()} {ax.get_xscale()} {short(ax.get_xlim())}"
    yield "y", f"{ax.get_ylabel()} {ax.get_yscale()} {short(ax.get_ylim())}"
    yield "x ticks", [text.get_text() for text in ax.get_xticklabels()]
    yield "y ticks", [text.get_text() for text in ax.get_yticklabels()]
    yield "at", [short(ax.get_xticks()), short(ax.get_yticks())]
    lines = [*ax.get_xgridlines()[:1], *ax.get_ygridlines()[:1]]
    yield "grid", [line.get_visible() for line in lines]
    ticks = [*ax.get_xticklines()[:1], *ax.get_yticklines()[:1]]
    yield "ticks", [short(float(tick.get_markersize())) for tick in ticks]
    yield "spines", [name for name, spine in ax.spines.items() if spine.get_visible()]
    yield "aspect", str(ax.get_aspect())
    yield "frame", ax.axison
    found = ax.get_legend()
    if found is not None:
        yield "legend", [text.get_text() for text in found.get_texts()]
        frame = found.get_frame()
        faces = [colours(frame.get_facecolor()), colours(frame.get_edgecolor())]
        yield "legend's frame", [*faces, found.get_frame_on()]


def described(name: str) -> str:
    """Draw, and return what is seen, a part on each line."""
    with plt.style.context("zeroinit.book"):
        figure = Figure()
        ax = figure.subplots()
        ax.plot([], [], label="the first colour is taken")
        DRAWINGS[name](ax)
        figure.draw_without_rendering()
        lines = [f"# {name}"]
        for ax in figure.axes:
            lines += [f"  {key}: {value}" for key, value in axes_told(ax)]
            for artist in (*ax.lines[1:], *ax.collections, *ax.texts, *ax.patches):
                seen = [(k, v) for k, v in told(artist, ax) if v is not None]
                words = "; ".join(f"{key} {short(value)}" for key, value in seen)
                lines.append(f"  {type(artist).__name__}: {words}")
    return "\n".join(lines)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_as_it_is_kept(name: str) -> None:
    drawn_with, *drawings = KEPT.read_text().split("\n\n")
    if drawn_with != VERSION:
        pytest.skip(f"the drawings are kept as {drawn_with} draws them, and this is {VERSION}")
    kept = drawings[[*DRAWINGS].index(name)]
    assert described(name).split("\n") == kept.split("\n")


if __name__ == "__main__":
    KEPT.write_text("\n\n".join([VERSION, *map(described, DRAWINGS)]))
