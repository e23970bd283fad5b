"""The steps of a build run in the order in which the pipeline lists them, whatever conf.py says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

SOURCE = Path(__file__).parents[2] / "src/bookbuild"

# Sphinx sorts what is connected to an event by priority, and keeps the order of equal ones.
CHECK = """
from sphinx.application import Sphinx
from bookbuild.site import pipeline
app = Sphinx("book", ".", "_build/html", "_build/doctrees", "html", status=None)
def connected(event):
    handlers = sorted(app.events.listeners[event], key=lambda listener: listener.priority)
    return [getattr(h.handler, "__wrapped__", h.handler) for h in handlers]
pages, last = connected("html-page-context"), connected("build-finished")
before, after = pipeline.BEFORE_THEME, (*pipeline.AFTER_THEME, *pipeline.EPUB_PAGE)
listed = [*before, *pipeline.PAGE, *after]
assert [step for step in pages if step in listed] == listed, pages
assert pages[: len(before)] == [*before], pages
assert pages[-len(after) :] == [*after], pages
ended = [*pipeline.FINISH, *pipeline.CONCLUDE]
assert last[-len(ended) :] == ended, last
assert {*pipeline.BEFORE_INDEX} <= {*connected("html-collect-pages")}
"""


REVERSED = """
ours = [name for name in extensions if name.startswith("bookbuild.")]
extensions = [*(name for name in extensions if name not in ours), *reversed(ours)]
"""


@pytest.mark.parametrize("changed", ["", REVERSED], ids=["as it is", "reversed"])
def test_steps_run_in_the_order_of_the_lists(book: "Book", changed: str) -> None:
    book.write("conf.py", book.text("conf.py") + changed)
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=book.folder,
        env=os.environ | {"PYTHONPATH": str(book.folder / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("said", ["priority=", '"html-page-context"', '"build-finished"'])
def test_no_other_file_says_when(said: str) -> None:
    files = SOURCE.rglob("*.py")
    assert [file.name for file in files if said in file.read_text("utf-8")] == ["pipeline.py"]


def test_what_the_site_is_stands_once() -> None:
    asking = re.compile(r"\bbuilder\.name\s*[!=]=")
    files = [file.name for file in SOURCE.rglob("*.py") if asking.search(file.read_text("utf-8"))]
    assert sorted(files) == ["edition.py", "pipeline.py", "render.py"]  # render: for the EPUB
