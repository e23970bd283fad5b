"""The whole book as one PDF: every page and no blank one, with outline, tags, links and fonts."""

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader
from sphinx import locale

from bookbuild.editions import pdf
from bookbuild.tools import browser, words

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
PAGE = """\
<html lang="{}"><link rel="canonical" href="https://example.org/a.html">
<article class="bd-article"><section id="a"><h1>A</h1></section>
<details class="tests"><p>Here.</p><pre>code</pre></details></article></html>
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    file = tmp_path_factory.mktemp("pdf") / "book.pdf"
    command = [sys.executable, "-m", "bookbuild.editions.pdf", str(SITE), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not browser.find():
        assert "apt-get install chromium" in done.stderr
        (pytest.fail if os.environ.get("CI") else pytest.skip)(done.stderr)
    assert done.returncode == 0, done.stderr
    return PdfReader(file)


@pytest.fixture(scope="module")
def texts(book: PdfReader) -> list[str]:
    """The text of each printed page, as one line."""
    return [plain(page.extract_text()) for page in book.pages]


@pytest.fixture(scope="module")
def articles() -> list[Tag]:
    """The article of each page of the site, in reading order."""
    found = [page.select_one("article") for _, page in pdf.pages(SITE)]
    return [article for article in found if article]


@pytest.fixture(scope="module")
def headings(articles: list[Tag]) -> list[str]:
    """The heading of each page of the site, in reading order."""
    found = []
    for article in articles:
        heading = article.select_one("h1")
        assert heading
        for link in heading.select("a.headerlink"):
            link.decompose()
        found.append(plain(heading.get_text()))
    return found


def plain(text: str) -> str:
    """Return a text without ligatures and line breaks."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


def outline(entries: list[Any], level: int = 0) -> Iterator[tuple[int, Any]]:
    for entry in entries:
        if isinstance(entry, list):
            yield from outline(entry, level + 1)
        else:
            yield level, entry


def test_it_says_what_it_is(book: PdfReader) -> None:
    assert book.metadata
    assert (book.metadata.title, book.metadata.author) == (
        "Why not start at zero?",
        "The Zero Init maintainers",
    )
    root: Any = book.root_object
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root


def test_its_outline_holds_every_page_in_reading_order(
    book: PdfReader, texts: list[str], headings: list[str]
) -> None:
    top = [entry for level, entry in outline(book.outline) if level == 0]
    assert [plain(entry.title) for entry in top] == ["Contents", *headings]
    for entry in top:
        printed = book.get_destination_page_number(entry)
        assert printed is not None
        assert plain(entry.title) in texts[printed]


def test_its_contents_name_the_page_where_each_page_begins(
    book: PdfReader, texts: list[str], headings: list[str]
) -> None:
    starts = {
        plain(entry.title): book.get_destination_page_number(entry) or 0
        for level, entry in outline(book.outline) if level == 0
    }  # fmt: skip
    contents = " ".join(texts[starts["Contents"] : starts[headings[0]]])
    wrong = [name for name in headings if f"{name} {starts[name] + 1} " not in contents + " "]
    assert not wrong


def test_no_page_is_blank(texts: list[str], headings: list[str]) -> None:
    assert len(texts) < 400
    for number, text in enumerate(texts[1:], 2):  # the first is the title
        running = next((heading for heading in headings if text.startswith(heading)), "")
        told = text.removeprefix(running).split()
        assert str(number) in told
        assert len(told) > 3, f"page {number} is blank"


def test_folds_are_open(texts: list[str], articles: list[Tag]) -> None:
    proofs = sum(text.count("∎") for text in texts)
    assert proofs == sum(article.get_text().count("∎") for article in articles) > 0
    assert not any("Hide the code" in text for text in texts)


def test_a_sentence_tells_where_the_tests_of_each_theorem_are(
    texts: list[str], articles: list[Tag]
) -> None:
    printed = " ".join(texts)
    theorems = sum(len(article.select(".theorem")) for article in articles)
    assert printed.count("The tests of this theorem stand in tests/") == theorems > 0
    assert "@pytest.mark.theorem" not in printed


@pytest.mark.parametrize(
    ("language", "contents", "shown"),
    [
        ("en", "Contents", "Here. The page on the web shows them."),
        ("zh-CN", "目录", "Here.网页上可以看到这些测试。"),
    ],
)
def test_its_own_words_are_in_the_language_of_the_site(
    language: str, contents: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the book is published, a sentence links to the tests of a theorem."""
    Path(tmp_path, "index.html").write_text(PAGE.format(language), "utf-8")
    monkeypatch.setattr(locale, "translators", {})
    assert words.speak(tmp_path) == language
    text = pdf.document(tmp_path, "Title", "Author", language)
    told = BeautifulSoup(text, "html.parser")
    assert [tag.get("lang") for tag in told.select("html")] == [language]
    assert [tag.get_text() for tag in told.select("nav h1, article p")] == [contents, shown]
    assert [link["href"] for link in told.select("article a")] == ["https://example.org/a.html"]


@pytest.mark.parametrize(("language", "warned"), [("en", False), ("zh-CN", True)])
def test_a_sentence_says_that_no_font_has_the_letters(
    language: str,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says so before Chromium prints, which this one fails to do."""
    Path(tmp_path, "index.html").write_text(PAGE.format(language), "utf-8")
    for name, does in (("chromium", "exit 1"), ("fc-list", '[ "$1" = :lang=en ] && echo Font; :')):
        Path(tmp_path, name).write_text(f"#!/bin/sh\n{does}\n", "utf-8")
        Path(tmp_path, name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(locale, "translators", {})
    with pytest.raises(SystemExit, match="printed nothing"):
        pdf.main(tmp_path, tmp_path / "book.pdf")
    assert capsys.readouterr().err == (pdf.NO_FONT.format(language) + "\n" if warned else "")


def test_its_links_lead_within_it_or_to_the_web(book: PdfReader) -> None:
    links = [a.get_object() for page in book.pages for a in page.get("/Annots", [])]
    inner = {link["/Dest"] for link in links if "/Dest" in link}
    assert inner
    assert inner <= set(book.named_destinations)
    outer = {link["/A"]["/URI"] for link in links if "/A" in link}
    assert not [address for address in outer if not address.startswith("https://")]


def test_its_fonts_are_in_it(book: PdfReader) -> None:
    resources: list[Any] = [page["/Resources"] for page in book.pages]
    fonts = {str(f): f.get_object() for found in resources for f in found["/Font"].values()}
    missing = [
        font["/BaseFont"]
        for font in fonts.values()
        if "/CharProcs" not in font  # which are the letters themselves
        for kind in font.get("/DescendantFonts", [font])
        if "/FontFile2" not in kind.get_object()["/FontDescriptor"]
    ]
    assert fonts
    assert not missing
