"""An incremental build forgets no index entry of the search, and keeps none of a page that left."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book


def entries(book: "Book") -> dict[str, list[str]]:
    """Build the book, and return for each index entry the pages that it is on."""
    done = book.html()
    assert done.returncode == 0, done.stderr
    text = book.text("_build/html/searchindex.js")
    index: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return {
        entry: [index["docnames"][number] for number, _, _ in places]
        for entry, places in index["indexentries"].items()
    }


def test_an_incremental_build_keeps_the_entries_of_other_pages(book: "Book") -> None:
    page = "# A page\n\n```{{index}} twins; of {name}\n```\n"
    for name in ("one", "two", "three"):
        book.write(f"book/{name}.md", page.format(name=name))
    assert entries(book) == {
        "twins": ["one", "three", "two"],
        **{f"of {name}": [name] for name in ("one", "two", "three")},
    }
    book.write("book/two.md", "# A page without entries\n")
    (book.folder / "book/three.md").unlink()
    assert entries(book) == {"twins": ["one"], "of one": ["one"]}
    book.write("book/two.md", page.format(name="two"))
    assert entries(book)["twins"] == ["one", "two"]  # as a build from nothing has it
