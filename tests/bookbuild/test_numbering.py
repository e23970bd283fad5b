"""The numbers of pages, figures and theorems go on through the parts of the contents."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = """\
# The {name} page

## Section

:::{{exercise}} Predict
:name: exercise-{name}
:::
"""
PARTS = (("First", ["one", "two"]), ("Second", ["three"]), ("Third", ["four", "five"]))


def contents(parts: tuple[tuple[str, list[str]], ...]) -> str:
    """Return an index whose parts are numbered toctrees, and a last one without numbers."""
    trees = [
        "\n".join(["```{toctree}", f":caption: {caption}", ":numbered:", "", *names, "```\n"])
        for caption, names in parts
    ]
    return "# Index\n\n" + "\n".join(trees) + "\n```{toctree}\n:caption: Reference\n\nlast\n```\n"


def numbers(book: "Book") -> dict[str, str]:
    """Return the numbers of all pages in the sidebar of the first, and see that exercises agree."""
    sidebar = BeautifulSoup(book.text("_build/html/index.html"), "html.parser").select_one(
        "nav.bd-links"
    )
    assert sidebar
    found = {}
    for link in sidebar.select("a[href$='.html']"):
        number, name = re.findall(
            r"(?:([\d.]+)\. )?The (\w+) page", link.get_text(" ").replace("\n", "")
        )[0]
        found[name] = number
        page = BeautifulSoup(book.text(f"_build/html/{link['href']}"), "html.parser")
        if number:
            assert f"Exercise {number}.1 Predict" in page.select("article .exercise")[0].get_text()
    captions = [caption.get_text() for caption in sidebar.select("p.caption")]
    assert captions == ["First", "Second", "Third", "Reference"]
    return found


def test_numbers_go_on_through_the_parts(book: "Book") -> None:
    for name in ("one", "two", "three", "four", "five", "last"):
        book.write(f"book/{name}.md", PAGE.format(name=name))
    book.write("book/index.md", contents(PARTS))
    done = book.html()
    assert done.returncode == 0, done.stderr
    assert numbers(book) == {
        "one": "1",
        "two": "2",
        "three": "3",
        "four": "4",
        "five": "5",
        "last": "",
    }

    before = {file: file.stat().st_mtime_ns for file in book.folder.glob("_build/html/*.html")}
    book.write("book/last.md", PAGE.format(name="last") + "\nMore.\n")
    assert book.html().returncode == 0
    written = {file.stem for file, at in before.items() if file.stat().st_mtime_ns != at}
    assert "last" in written
    assert not written & {"one", "two", "three", "four", "five"}

    book.write(
        "book/index.md", contents((PARTS[0], ("Second", ["four"]), ("Third", ["three", "five"])))
    )
    assert book.html().returncode == 0
    assert numbers(book) == {
        "one": "1",
        "two": "2",
        "four": "3",
        "three": "4",
        "five": "5",
        "last": "",
    }


LOADS = """
import os
from sphinx.environment import BuildEnvironment
if os.environ.get("LOADS"):
    load = BuildEnvironment.get_doctree
    def count(env, name):
        print("loads", name)
        return load(env, name)
    BuildEnvironment.get_doctree = count
"""


def test_a_page_is_loaded_once_for_all_numbers_on_it_and_not_where_nothing_changes(
    book: "Book",
) -> None:
    for name in ("one", "two", "last"):
        references = "{numref}`exercise-two` {numref}`exercise-two`\n" if name == "last" else ""
        book.write(f"book/{name}.md", PAGE.format(name=name) + references)
    book.write("book/index.md", contents((("First", ["one"]), ("Second", ["two"]))))
    book.write("conf.py", book.text("conf.py") + LOADS)
    assert book.html().returncode == 0
    book.environment["LOADS"] = "yes"
    assert set(re.findall(r"loads (\w+)", book.html().stdout)) <= {"index"}  # for the sidebar
    book.write("book/last.md", book.text("book/last.md") + "More words.\n")
    changed = book.html()
    assert changed.returncode == 0, changed.stderr
    loads = re.findall(r"loads (\w+)", changed.stdout)
    assert loads.count("two") - loads.count("one") == 1, loads


def test_a_page_shows_the_titles_and_numbers_that_other_pages_have_now(book: "Book") -> None:
    for name in ("one", "two"):
        book.write(f"book/{name}.md", f"(to-{name})=\n" + PAGE.format(name=name))
    book.write("book/last.md", "# Last\n\n{ref}`to-two`, {doc}`two`, {numref}`exercise-two`\n")
    book.write("book/index.md", contents((("First", ["one"]), ("Second", ["two"]))))
    assert book.html().returncode == 0
    assert "Exercise 2.1" in book.text("_build/html/last.html")
    book.write("book/index.md", contents((("First", ["two"]), ("Second", ["one"]))))
    assert book.html().returncode == 0
    assert "Exercise 1.1" in book.text("_build/html/last.html")
    book.write("book/two.md", "(to-two)=\n" + PAGE.format(name="other").replace("-other", "-two"))
    assert book.html().returncode == 0
    last = book.text("_build/html/last.html")
    assert "The two page" not in last
    assert last.count("The other page") >= 3  # in the sidebar, and in both references
    written = Path(book.folder, "_build/html/last.html").stat().st_mtime_ns
    book.write("book/two.md", book.text("book/two.md") + "More words.\n")
    assert book.html().returncode == 0
    assert Path(book.folder, "_build/html/last.html").stat().st_mtime_ns == written
