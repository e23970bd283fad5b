"""Numbers for drawings, and what a drawing shows of them."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Generator, Tensor

from zeroinit import half_plane

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
