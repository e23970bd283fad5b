"""The lab is on its page of the site, with the files it loads; without npm there is a sentence."""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

ROOT = Path(__file__).parents[2]


def build(book: "Book") -> BeautifulSoup:
    """Build a book, and return the lab's page."""
    done = book.html()
    assert done.returncode == 0, done.stderr
    return BeautifulSoup(book.text("_build/html/lab.html"), "html.parser")


@pytest.fixture
def made(book: "Book") -> Path:
    """Return a file as ``bookbuild.lab.archive`` makes it, in a book with a page for the lab."""
    book.write("book/lab.md", "# Page\n\n```{lab}\n```\n")
    file = book.folder / "_build/lab.zip"
    file.parent.mkdir(exist_ok=True)
    with ZipFile(file, "w") as archive:
        for name in ("lab.json", "graphs/1.onnx"):
            archive.writestr(name, name)
    return file


def test_the_lab_is_on_its_page_with_what_it_loads(book: "Book", made: Path) -> None:
    page = build(book)
    assert len(page.select(".lab[hidden]")) == 1
    assert [script.has_attr("defer") for script in page.select('script[src*="lab.js"]')] == [True]
    assert "lab.js" not in book.text("_build/html/index.html")
    loaded = book.folder / "_build/html/_static/lab"
    assert (loaded / "graphs/1.onnx").read_text("utf-8") == "graphs/1.onnx"
    assert {file.name for file in loaded.glob("*.js")} == {
        file.name for file in ROOT.glob("src/bookbuild/lab/static/lab/*.js")
    }


def test_without_its_files_a_sentence_says_so_until_they_are_there(
    book: "Book", made: Path
) -> None:
    away = made.rename(made.with_name("away"))
    page = build(book)
    assert not page.select('.lab, script[src*="lab.js"]')
    assert "without the lab" in page.get_text()
    doctree = book.folder / "_build/doctrees/lab.doctree"
    read = doctree.stat().st_mtime_ns
    build(book)
    assert doctree.stat().st_mtime_ns == read
    away.rename(made)
    page = build(book)
    assert page.select(".lab")
    assert "without the lab" not in page.get_text()


def test_an_epub_has_no_lab(book: "Book", made: Path) -> None:
    done = book.html(target="epub")
    assert done.returncode == 0, done.stderr
    page = book.text("_build/epub/lab.xhtml")
    assert "Page" in page
    assert "<form" not in page
    assert 'class="lab"' not in page
