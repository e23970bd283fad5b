"""The built book is never stale, runs no cell in vain, and is not built when a cell fails."""

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bookbuild.freshness import digest

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

# A page that shows a value of the package, and leaves its name in a file whenever its cells run.
PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# The page {name}

```{{code-cell}} ipython3
import zeroinit
print("the value is", {value})
```

```{{code-cell}} ipython3
:tags: [remove-cell]
with open("../runs", "a") as runs:
    print("{name}", file=runs)
```
"""


def write_page(book: "Book", name: str, value: str = "zeroinit.VALUE") -> None:
    """Write a page that shows a value."""
    book.write(f"book/{name}.md", PAGE.format(name=name, value=value))


def runs(book: "Book") -> set[str]:
    """Build the book, and return the pages whose cells ran."""
    book.write("runs", "")
    done = book.html()
    assert done.returncode == 0, done.stderr
    names = book.text("runs").split()
    assert len(names) == len(set(names))
    return set(names)


def values(book: "Book") -> list[str]:
    """Return the values that the two built pages show."""
    pages = [book.text(f"_build/html/{name}.html") for name in ("one", "two")]
    return re.findall(r"the value is (\d)", "".join(pages))


def test_pages_follow_what_they_run_on(book: "Book") -> None:
    write_page(book, "one")
    write_page(book, "two")
    for k in range(5):  # Sphinx reads pages in parallel if they are more than five
        book.write(
            f"book/plain{k}.md", f"# Plain\n\n:::{{exercise}} Title\n:name: exercise-{k}\n:::\n"
        )
    assert (runs(book), values(book)) == ({"one", "two"}, ["1", "1"])
    assert runs(book) == set()

    book.write("book/one.md", book.text("book/one.md").replace("# The page", "# The better page"))
    assert runs(book) == set()
    assert "The better page" in book.text("_build/html/one.html")

    book.write("src/zeroinit/__init__.py", "VALUE = 2\n")
    assert (runs(book), values(book)) == ({"one", "two"}, ["2", "2"])

    book.write("src/zeroinit/__init__.py", "VALUE = 1\n")
    assert (runs(book), values(book)) == (set(), ["1", "1"])

    extension = book.text("src/bookbuild/results.py")
    book.write("src/bookbuild/results.py", extension.replace("Link to this", "Address of this"))
    assert runs(book) == set()
    assert "Address of this exercise" in book.text("_build/html/plain0.html")

    kernel = "src/bookbuild/kernels/book/kernel.json"
    book.write(kernel, book.text(kernel).replace("svg", "png"))
    assert runs(book) == {"one", "two"}


def test_a_failing_cell_fails_every_build(book: "Book") -> None:
    write_page(book, "failing", "1 / 0")
    lenient = "-m sphinx -q -c . -d _build/doctrees book _build/html"  # as ``make serve`` builds
    subprocess.run(
        [sys.executable, *lenient.split()], cwd=book.folder, check=True, capture_output=True
    )
    for _ in range(2):
        done = book.html()
        assert done.returncode != 0
        assert "failing.md" in done.stderr
        assert "ZeroDivisionError" in done.stderr
    write_page(book, "failing")
    assert runs(book) == {"failing"}


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return digest(tmp_path, ["*"])

    first = write("a.py", "1")
    assert write("a.py", "2") != first
    assert write("a.py", "1") == first
    assert write("a.pyc", "") == first
    assert write("b.py", "") != first


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    with pytest.raises(ValueError, match=r"'scr/\*\*/\*' matches no file"):
        digest(tmp_path, ["*.py", "scr/**/*"])
