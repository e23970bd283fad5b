"""The site offers an edition once it is made, and no longer when it is gone."""

from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

SLIDES = "why-not-start-at-zero-slides.html"


def links(book: "Book") -> list[str]:
    """Return the addresses of the editions that the first page offers."""
    page = BeautifulSoup(book.text("_build/html/index.html"), "html.parser")
    return [str(link["href"]) for link in page.select(".editions a")]


def test_slides_are_offered_where_they_are_made(book: "Book") -> None:
    book.write("book/index.md", "# Index\n\n```{editions}\n```\n")
    assert book.html().returncode == 0
    assert links(book) == []
    book.write(f"_build/{SLIDES}", "<p>Slides.</p>")
    assert book.html().returncode == 0
    assert links(book) == [f"_static/{SLIDES}"]
    assert book.text(f"_build/html/_static/{SLIDES}") == "<p>Slides.</p>"
    Path(book.folder, "_build", SLIDES).unlink()
    assert book.html().returncode == 0
    assert links(book) == []
    assert not Path(book.folder, "_build/html/_static", SLIDES).exists()
