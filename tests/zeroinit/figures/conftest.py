"""What the tests of drawings share."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@pytest.fixture
def ax() -> Iterator[Axes]:
    """Return fresh axes in the book's style, of a figure that pyplot does not know."""
    with plt.style.context("zeroinit.book"):
        yield Figure().subplots()
