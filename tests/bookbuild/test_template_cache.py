"""Compiled templates are kept, and one that is cut short is compiled again."""

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book


def test_what_is_cut_short_is_compiled_again(book: "Book") -> None:
    kept = book.folder / "_build/kept/templates"
    kept.unlink()  # a folder of its own takes the place of the one that tests share
    book.write("book/page.md", "# Page\n")
    assert book.html().returncode == 0
    page = book.text("_build/html/page.html")
    files = {file: file.read_bytes() for file in kept.iterdir()}

    first, second, *_ = files
    first.write_bytes(b"")
    second.write_bytes(files[second][:-10])
    for built in ("html", "doctrees"):
        shutil.rmtree(book.folder / "_build" / built)
    assert book.html().returncode == 0
    assert book.text("_build/html/page.html") == page
    assert {file: file.read_bytes() for file in kept.iterdir()} == files
