"""Notebooks open in Colab where the repository is known, and install the package there."""

import json
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# One

```{code-cell}
import matplotlib
```
"""


def links(book: "Book") -> list[str]:
    """Return the addresses in the bar above the page."""
    page = BeautifulSoup(book.text("_build/html/one.html"), "html.parser")
    return [str(link["href"]) for link in page.select("a.notebook")]


def cells(book: "Book") -> list[str]:
    """Return the cells of the notebook."""
    notebook = json.loads(book.text("_build/html/notebooks/one.ipynb"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_a_notebook_opens_in_colab_where_the_repository_is_known(book: "Book") -> None:
    book.write("book/one.md", PAGE)
    done = book.html()
    assert done.returncode == 0, done.stderr
    assert links(book) == ["notebooks/one.ipynb"]
    assert '`pip install ".[plots]"`' in cells(book)[0]
    assert not any("%pip" in cell for cell in cells(book))

    book.environment["BOOK_REPOSITORY"] = "someone/book"
    assert book.html().returncode == 0
    assert links(book) == [
        "notebooks/one.ipynb",
        "https://colab.research.google.com/github/someone/book/blob/notebooks/one.ipynb",
    ]
    told, install, *_ = cells(book)
    assert "the first cell installs it" in told
    assert install.splitlines() == [
        "try:",
        "    import zeroinit",
        "except ModuleNotFoundError:",
        '    %pip install -q "zeroinit[plots] @ git+https://github.com/someone/book"',
    ]
