"""A Sphinx extension: a build says which page it is at, and of a page that takes long the cell.

Sphinx itself would print much more, even if nothing is to be done; where several processes read, it
names pages when some of them are done; and it tells no time. So it is kept quiet with ``-q``.
"""

import atexit
from logging import LogRecord
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

from bookbuild.checks.warnings import printer
from bookbuild.tools.progress import ERASE, Progress, on_terminal

WRITTEN = "Pages written"


class Shown:
    """What is shown of a build: one line for the pages read, and one for those written."""

    def __init__(self) -> None:
        self.line: Progress | None = None
        atexit.register(self.close)  # after Ctrl-C Sphinx emits no event

    def begin(self, title: str, total: int | None = None) -> None:
        """Begin a line."""
        self.close()
        self.line = Progress(title, total)

    def tell(self, page: str, at: str | None = "") -> None:
        """Say what a page is at; None says that it is done."""
        if self.line:
            self.line.tell(page, at)

    def close(self) -> None:
        """End the line."""
        if self.line:
            self.line.close()
            self.line = None


SHOWN = Shown()


def read(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Begin the line of the pages that are read, if there are any."""
    if pages:
        SHOWN.begin("Pages read", len(pages))


def begin_reading(app: Sphinx, page: str, source: list[str]) -> None:
    """Say that a page is read."""
    SHOWN.tell(page)


def begin_cell(app: Sphinx, page: str, cell: int, cells: int) -> None:
    """Say which cell of a page runs."""
    SHOWN.tell(page, f"cell {cell} of {cells}")


def end_reading(app: Sphinx, doctree: nodes.document) -> None:
    """Say that a page was read."""
    SHOWN.tell(app.env.docname, None)


def write(app: Sphinx, builder: Builder) -> None:
    """Begin the line of the pages that are written, if any was read."""
    if SHOWN.line:
        SHOWN.begin(WRITTEN)


def begin_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say that a page is written, first of all one that was read by another build."""
    if doctree and not SHOWN.line:  # Sphinx makes lists and indices in every build
        SHOWN.begin(WRITTEN)
    SHOWN.tell(page)


def end_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say that a page was written."""
    SHOWN.tell(page, None)


def end(app: Sphinx, *_: object) -> None:
    """End the line."""
    SHOWN.close()


def make_room(app: Sphinx, config: Config) -> None:
    """On a terminal, have the line cleared where a warning is printed."""

    def clear(record: LogRecord) -> bool:
        if SHOWN.line:
            print(ERASE, end="", flush=True)
        return True

    if on_terminal():
        printer().addFilter(clear)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx, but for what ``site/pipeline.py`` puts in order."""
    app.setup_extension("bookbuild.execution.cache")  # it emits cell-started
    app.connect("config-inited", make_room)
    app.connect("env-before-read-docs", read)
    app.connect("source-read", begin_reading)
    app.connect("cell-started", begin_cell)
    app.connect("doctree-read", end_reading)
    app.connect("write-started", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
