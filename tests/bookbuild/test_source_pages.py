"""A build in which nothing has changed does not import the package, and an edit of it is shown."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch.nn.functional

from bookbuild.site.source_pages import source_of

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

MODULE = """\
from pathlib import Path
with open(Path(__file__).with_name("imports"), "a") as imports: print("imported", file=imports)

def function():
    \"\"\"Say a word.\"\"\"
"""


def test_the_file_of_a_module_is_the_one_that_is_imported() -> None:
    for module in (torch, torch.nn.functional):
        assert source_of(module.__name__) == Path(str(module.__file__))
    for name in ("no_such_module", "torch.no_such_module", "sys"):
        assert source_of(name) is None


def test_a_build_imports_no_module_whose_page_is_up_to_date(book: "Book") -> None:
    def imports() -> int:
        """Build, and return how many processes imported the module."""
        book.write("src/zeroinit/imports", "")
        done = book.html("JOBS=1")
        assert done.returncode == 0, done.stderr
        return book.text("src/zeroinit/imports").count("imported")

    book.write("src/zeroinit/__init__.py", MODULE)
    book.write(
        "book/page.md", "# Page\n\n```{eval-rst}\n.. autofunction:: zeroinit.function\n```\n"
    )
    assert imports() == 1
    assert imports() == 0
    book.write("src/zeroinit/__init__.py", MODULE.replace("a word", "another word"))
    assert imports() == 1
    assert "another word" in book.text("_build/html/_modules/zeroinit.html")
