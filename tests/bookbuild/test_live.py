"""A live figure has a place on a page of the site, and its scripts; other editions do without."""

from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

from bookbuild.live import FIGURES, SHARED

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

HEAD = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n"
CELL = "\n```{code-cell}\n1\n```\n"
PAGE = HEAD + "# Page\n\n:::{live} start\nPress *it*.\n:::\n" + CELL


def test_a_place_is_hidden_and_the_page_loads_its_scripts(book: "Book") -> None:
    book.write("book/page.md", PAGE)
    done = book.html()
    assert done.returncode == 0, done.stderr
    page = BeautifulSoup(book.text("_build/html/page.html"), "html.parser")
    (place,) = page.select("div.live[hidden][data-live=start]")
    assert place.get_text().strip() == "Press it."
    scripts = [str(tag["src"]).partition("?")[0] for tag in page.select("script[defer][src]")]
    ours = [*SHARED, *(f"figures/{name}" for name in FIGURES)]
    assert [s for s in scripts if "/live/" in s] == [f"_static/live/{name}.js" for name in ours]
    assert "/live/" not in book.text("_build/html/index.html")
    assert "Press" not in book.text("_build/html/notebooks/page.ipynb")


def test_an_epub_has_neither_figure_nor_words(book: "Book") -> None:
    book.write("book/page.md", PAGE)
    done = book.html(target="epub")
    assert done.returncode == 0, done.stderr
    page = book.text("_build/epub/page.xhtml")
    assert "Page" in page
    assert "Press" not in page
    assert "data-live" not in page


def test_an_unknown_name_is_a_warning_that_lists_the_names(book: "Book") -> None:
    book.write("book/page.md", "# Page\n\n:::{live} stat\n:::\n")
    done = book.html()
    assert done.returncode != 0
    (said,) = [line for line in done.stderr.splitlines() if "live figure" in line]
    assert "page.md:3: " in said
    assert f"there is no live figure 'stat': choose one of {', '.join(FIGURES)}" in said
