"""A site holds the files and the style rules that its pages use, no others, and its address."""

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from myst_nb import static

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

ADDRESS = "BOOK_URL=https://example.org/book/"
PREVIEW = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Index

```{code-cell}
from IPython.display import Image
from myst_nb import glue
glue("preview", Image(b"\\x89PNG\\r\\n\\x1a\\n", format="png", alt="A curve"), display=False)
```

```{toctree}
page
```
"""


def test_a_site_holds_what_its_pages_use_also_after_a_second_build(book: "Book") -> None:
    book.write("book/index.md", PREVIEW)
    book.write("book/page.md", "# Page\n\nText.\n")
    assert book.html(ADDRESS).returncode == 0
    first = site(book)
    assert "_static/site.css" in first
    assert not [name for name in first if "fontawesome" in name or name.endswith(".map")]
    assert "_static/copybutton.js" in book.text("_build/html/index.html")
    assert "copybutton.js" not in book.text("_build/html/page.html")
    assert book.html(ADDRESS).returncode == 0
    assert site(book) == first
    book.write("book/page.md", "# Page\n\nOther text.\n")
    assert book.html(ADDRESS).returncode == 0
    assert site(book).keys() == first.keys()
    assert site(book)["_static/site.css"] == first["_static/site.css"]
    assert book.html(ADDRESS.replace("example", "another")).returncode == 0
    assert site(book).keys() == first.keys()


def test_what_a_full_disk_left_of_a_style_sheet_is_no_harm(book: "Book") -> None:
    book.write("book/page.md", "# Page\n\nText.\n")
    assert book.html().returncode == 0
    first = site(book)
    style = Path(static.__file__).with_name("mystnb.css").read_bytes()
    book.write(f"_build/html/_static/mystnb.{sha256(style).hexdigest()}.css", "cut sho")
    done = book.html()
    assert done.returncode == 0, done.stderr
    assert site(book) == first


def test_the_style_sheet_follows_an_edit_of_a_page(book: "Book") -> None:
    def style(text: str) -> str:
        """Build with a page, and return the style sheet."""
        book.write("book/page.md", f"# Page\n\n{text}\n")
        done = book.html()
        assert done.returncode == 0, done.stderr
        return book.text("_build/html/_static/site.css")

    plain, admonished = style("Text."), style("```{danger}\nText.\n```")
    assert ".danger" not in plain
    assert ".danger" in admonished
    assert style("Text.") == plain


def test_a_published_site_says_where_it_is(book: "Book") -> None:
    book.write("book/index.md", PREVIEW)
    book.write("book/page.md", "# Page\n\nText.\n")
    assert book.html(ADDRESS).returncode == 0
    page, base = book.text("_build/html/page.html"), "https://example.org/book/"
    assert f'<link rel="canonical" href="{base}page.html" />' in page
    assert f'<meta property="og:image" content="{base}_images/preview.png" />' in page
    assert f'<base href="{base}" />' in book.text("_build/html/404.html")
    pages = {name for name in site(book) if name.endswith(".html")} - {"404.html", "search.html"}
    listed = re.findall("<loc>(.*)</loc>", book.text("_build/html/sitemap.xml"))
    assert {address.removeprefix(base) for address in listed} == pages
    assert f"Sitemap: {base}sitemap.xml" in book.text("_build/html/robots.txt")


def test_a_site_without_an_address_claims_none(book: "Book") -> None:
    book.write("book/index.md", "# Index\n")
    assert book.html("BOOK_URL=").returncode == 0
    assert "canonical" not in book.text("_build/html/index.html")
    assert "sitemap.xml" not in site(book)
    assert "Sitemap" not in book.text("_build/html/robots.txt")


def site(book: "Book") -> dict[str, bytes]:
    """Return the files of a built site."""
    folder = book.folder / "_build/html"
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
