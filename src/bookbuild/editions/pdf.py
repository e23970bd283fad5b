"""Make one PDF of the built site: ``python -m bookbuild.editions.pdf SITE FILE``.

The pages come in the order of their links to the next page. They become one document, with a title
page and a table of contents. Folds are open, but a sentence tells where the tests of a theorem are.
Links between pages are links within the document.
Chromium prints it twice, because the page numbers of the contents are known after the first time.
Sizes, margins and page numbers are in ``pdf.css``; title and author in ``conf.py``. The words that
are added are in the language of the site.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from posixpath import normpath
from tempfile import TemporaryDirectory
from typing import cast
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from bookbuild.tools import browser
from bookbuild.tools.content_policy import restore_styles
from bookbuild.tools.words import phrase, speak

MISSING = "Chromium prints the PDF, and is not here: `apt-get install chromium` brings it."
NO_FONT = (
    "No font here has the letters of {}, so the PDF will show boxes instead: "
    "`apt-get install fonts-noto-cjk` brings one for Chinese."
)
NOT_PRINTED = (
    ".headerlink, .viewcode-link, .editions, .sd-tab-set > input, script"
    ", .filter-rows, .filter-rows ~ section"  # long tables, to search in
)


def pages(site: Path) -> Iterator[tuple[str, BeautifulSoup]]:
    """Yield the names and documents of the pages in reading order."""
    name = "index.html"
    while name:
        page = BeautifulSoup((site / name).read_text("utf-8"), "html.parser")
        restore_styles(page)
        yield name, page
        following = page.select_one("link[rel=next]")
        name = urljoin(name, str(following["href"])) if following else ""


def anchor(name: str, fragment: str = "") -> str:
    """Return the anchor that a page, or a place on it, has in the document."""
    return f"{name.removesuffix('.html')}-{fragment}".strip("-").replace("/", "-")


def article(site: Path, name: str, page: BeautifulSoup, names: set[str]) -> Tag:
    """Return the article of a page, with ids and links that are unique among all pages."""
    told = page.select_one("article.bd-article")
    assert told, f"{name} has no article"
    for tag in told.select(NOT_PRINTED):
        tag.decompose()
    published = page.select_one("link[rel=canonical]")
    for tests in told.select("details.tests"):
        where = tests.select_one("p")
        assert where
        if published:
            words = phrase('{where} <a href="{page}">The page on the web</a> shows them.')
            words = words.format(where=where.decode_contents(), page=published["href"])
            where.clear()
            where.append(BeautifulSoup(words, "html.parser"))
        tests.replace_with(where)
    for fold in told.select("details"):
        fold["open"] = ""
    for tag in told.select("[id]"):
        tag["id"] = anchor(name, str(tag["id"]))
    for heard in told.select(".katex-mathml"):  # a PDF knows no MathML: a formula is its TeX
        source, seen = heard.select_one("annotation"), heard.find_next_sibling("span")
        assert source
        assert seen
        seen["role"], seen["aria-label"] = "img", source.get_text()
        del seen["aria-hidden"]
        heard.decompose()
    for image in told.select("img"):
        image["src"] = (site / normpath(urljoin(name, str(image["src"])))).as_uri()
        image["loading"] = "eager"
    for link in told.select("a[href]"):
        parts = urlsplit(urljoin(name, str(link["href"])))
        if not parts.netloc and parts.path in names:
            state = "=" in parts.fragment  # of the lab, which is not printed
            link["href"] = "#" + anchor(parts.path, "" if state else parts.fragment)
        elif not parts.scheme:
            link.unwrap()  # it leads to a file of the site
    told["id"] = anchor(name)
    return told


def headings(told: Tag) -> Iterator[tuple[str, str, str]]:
    """Yield the level of each heading for the table of contents, its anchor and its words."""
    for heading in told.select("h1, section > section > h2"):
        assert heading.parent
        yield heading.name, str(heading.parent["id"]), heading.decode_contents()


def document(site: Path, title: str, author: str, language: str) -> str:
    """Return all pages as one document; ``@@anchor@@`` stands for the number of a printed page."""
    found = dict(pages(site))
    links = [
        urljoin(name, str(link["href"]))
        for name, page in found.items()
        for link in page.select("link[rel=stylesheet]")
    ]
    styles = [(site / link.partition("?")[0]).as_uri() for link in dict.fromkeys(links)]
    styles.append(Path(__file__).with_suffix(".css").as_uri())
    heading, contents, texts, running = phrase("Contents"), [], [], []
    for name, page in found.items():
        told = article(site, name, page, set(found))
        parts = list(headings(told))
        contents += [
            f'<p class="line-{level}"><a href="#{place}">{words}</a> <b>@@{place}@@</b></p>'
            for level, place, words in parts
        ]
        words = BeautifulSoup(parts[0][2], "html.parser").get_text()
        quoted = words.replace("\\", "\\\\").replace('"', '\\"')
        running.append(f'@page p-{anchor(name)} {{ @top-right {{ content: "{quoted}" }} }}')
        told["style"] = f"page: p-{anchor(name)}"
        texts.append(str(told))
    head = "".join(f'<link rel="stylesheet" href="{style}">' for style in styles)
    return f"""<!DOCTYPE html>
<html lang="{language}" data-theme="light" data-mode="light">
<head><meta charset="utf-8"><title>{escape(title)}</title>
{head}<style>{" ".join(running)}</style></head>
<body>
<header><p class="title">{escape(title)}</p><p>{escape(author)}</p></header>
<nav><h1>{heading}</h1>{"".join(contents)}</nav>
{"".join(texts)}
</body></html>"""


def without_font(language: str) -> bool:
    """Tell whether the system's list of fonts has none for a language."""
    lists = shutil.which("fc-list")  # only Linux has it
    asked = f":lang={language.partition('-')[0]}"
    return lists is not None and not subprocess.check_output([lists, asked])


def prints(chromium: str, text: str, folder: Path, *, draft: bool = False) -> PdfReader:
    """Print a document with Chromium, and return the PDF; a draft has no outline and no tags."""
    source, target = folder / "book.html", folder / "book.pdf"
    source.write_text(text, "utf-8")
    done = subprocess.run(
        [
            *(chromium, "--headless", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"),
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium asks it of root
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--no-first-run"),
            "--disable-pdf-tagging" if draft else "--generate-pdf-document-outline",
            *("--no-pdf-header-footer", f"--print-to-pdf={target}", source.as_uri()),
        ],
        capture_output=True,
        text=True,
    )
    if not target.exists():
        sys.exit(f"{chromium} printed nothing:\n{done.stderr}")
    return PdfReader(target)


def number(text: str, printed: PdfReader | None) -> str:
    """Write the page number of each section into the table of contents."""

    def page(place: re.Match[str]) -> str:
        if printed is None:
            return "000"  # as wide as a page number
        target = printed.named_destinations[f"/{place[1]}"]
        return str((printed.get_destination_page_number(target) or 0) + 1)

    return re.sub("@@([^@]*)@@", page, text)


def name_outline(book: PdfWriter, text: str) -> None:
    """Write the titles: Chromium doubles those of headings that it moved to the next page."""
    headings = re.findall(r"<h([1-6])[^>]*>(.*?)</h\1>", text, re.S)
    titles = [unescape(re.sub("<[^>]+>", "", heading)) for _, heading in headings]
    entries = [cast(DictionaryObject, book.root_object["/Outlines"])]
    while entries:
        entry = entries.pop()
        if "/Title" in entry:
            entry[NameObject("/Title")] = TextStringObject(" ".join(titles.pop(0).split()))
        entries += [cast(DictionaryObject, entry[k]) for k in ("/Next", "/First") if k in entry]


def main(site: Path, target: Path) -> None:
    """Write the PDF."""
    chromium = browser.find() or sys.exit(MISSING)
    language = speak(site)
    if without_font(language):
        print(NO_FONT.format(language), file=sys.stderr)
    settings = runpy.run_path("conf.py")
    title, author = map(phrase, (settings["project"], settings["author"]))
    text = document(site, title, author, language)
    with TemporaryDirectory() as folder:
        first = prints(chromium, number(text, None), Path(folder), draft=True)
        book = PdfWriter(clone_from=prints(chromium, number(text, first), Path(folder)))
    name_outline(book, text)
    book.metadata = {"/Title": title, "/Author": author, "/Producer": "Chromium"}  # and no date
    book.write(target)
    print(f"The book is printed on {len(book.pages)} pages: {target}")


if __name__ == "__main__":
    main(*(Path(name).resolve() for name in sys.argv[1:]))
