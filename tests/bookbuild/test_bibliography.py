"""A reference that is kept is the one that pybtex sets, until anything of it changes."""

import pickle
import re
from typing import TYPE_CHECKING

import pytest
from pybtex.database import Entry, Person
from pybtex.style import FormattedEntry
from pybtex.style.formatting.alpha import Style

from bookbuild.content.bibliography import KeptStyle

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book


def entry(title: str, key: str = "bee2000") -> Entry:
    made = Entry("misc", {"title": title, "year": "2000"}, {"author": [Person("Ann Bee")]})
    made.key = key
    return made


def test_a_reference_is_set_once_for_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeptStyle, "kept", {})
    expected = [Style().format_entry("B00", entry(title)).text for title in ("One", "Two")]
    asked: list[str] = []

    def set_once(self: Style, label: str, entry: Entry, bib_data: object) -> FormattedEntry:
        asked.append(label)
        return original(self, label, entry, bib_data)

    original = Style.format_entry
    monkeypatch.setattr(Style, "format_entry", set_once)
    for _ in range(2):
        assert [KeptStyle().format_entry("B00", entry(t)).text for t in ("One", "Two")] == expected
        assert KeptStyle().format_entry("B00a", entry("One")).label == "B00a"
        assert KeptStyle().format_entry("B00", entry("One", "other")).key == "other"
        KeptStyle.kept = pickle.loads(pickle.dumps(KeptStyle.kept))  # as Sphinx does
    assert asked == ["B00", "B00", "B00a", "B00"]


def test_a_page_shows_what_the_file_says_now(book: "Book") -> None:
    def shown(title: str) -> list[str]:
        book.write("book/references.bib", f"@misc{{bee, title={{{title}}}, author={{Ann Bee}}}}")
        done = book.html()
        assert done.returncode == 0, done.stderr
        return re.findall("On [a-z]+", book.text("_build/html/read.html"))

    book.write("book/read.md", "# Read\n\n{cite:p}`bee`\n\n```{bibliography}\n```\n")
    assert set(shown("On twins")) == {"On twins"}
    assert set(shown("On zeros")) == {"On zeros"}
