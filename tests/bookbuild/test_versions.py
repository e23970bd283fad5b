"""Scripts and style sheets have a version in their addresses, which changes with each of them."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book


def test_all_pages_name_the_version_of_the_static_files(book: "Book") -> None:
    def versions() -> set[str]:
        """Build, and return the versions in the pages."""
        done = book.html()
        assert done.returncode == 0, done.stderr
        pages = [book.text(f"_build/html/{name}.html") for name in ("index", "page", "search")]
        links = [re.findall(r"_static/[\w/.-]+\.(?:js|css)([^\"]*)\"", page) for page in pages]
        assert all(links)
        return {version for page in links for version in page}

    book.write("book/page.md", "# Page\n\nText.\n")
    (first,) = versions()
    assert re.fullmatch(r"\?v=[0-9a-f]{8}", first)
    assert versions() == {first}
    book.write("book/_static/book.js", book.text("book/_static/book.js") + "\n// an edit\n")
    (second,) = versions()
    assert second != first
    book.write("book/page.md", "# Page\n\nOther text.\n")
    assert versions() == {second}
