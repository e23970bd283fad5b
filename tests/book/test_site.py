"""The built book as a browser gets it: whole, from one host, and readable by eye and ear.

The tests look at ``_build/html``, which ``make html`` builds; ``make test`` does that first.
"""

import re
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

from bookbuild.lab.links import wrong
from tests.book import mathml
from tests.book.conftest import LESSONS, language, names

ROOT = Path(__file__).parents[2]
WRITTEN = {f"{page.stem}.html" for page in ROOT.glob("book/*.md")}  # not the index, search, ...
# The links in a page's head that a browser does not fetch.
NOT_FETCHED = {"alternate", "author", "canonical", "index", "license", "next", "prev", "search"}
# Hosts that a script names and does not load from while a page is read.
NAMED = {
    "www.w3.org": "the names of XML vocabularies",
    "www.mathjax.org": "a link in MathJax's About window",
    "www.sphinx-doc.org": "a link in a message of Sphinx",
    "cdn.jsdelivr.net": "MathJax's speech, which a reader has to switch on in its menu",
}

# How the title of a solution begins, that of an exercise to predict, and the last two paragraphs.
ENDS = {
    "en": ("Solution", "Predict", "In one sentence.", "The way on."),
    "zh-CN": ("解答", "预测", "一句话。", "接下来。"),
}

Pages = dict[str, BeautifulSoup]


@pytest.fixture(scope="module")
def pages(site: Path) -> Pages:
    """Every page of an edition by its path, as ``symmetry.html``."""
    missing = sorted(WRITTEN - set(names(site)))
    assert not missing, f"run `make html` first: {site} lacks {missing}"
    texts = {name: (site / name).read_text("utf-8") for name in names(site)}
    return {name: BeautifulSoup(text, "html.parser") for name, text in texts.items()}


def text(tag: Tag | None) -> str:
    """Return the text of a tag with single blanks."""
    return " ".join(tag.get_text(" ").split()) if tag else ""


def is_elsewhere(address: str) -> bool:
    """Return whether an address leads to a host."""
    return bool(urlsplit(address.strip()).netloc)


def test_each_page_names_the_version_that_it_is_about(pages: Pages) -> None:
    number = version("zeroinit")
    feet = {
        name: text(pages[name].select_one(".bd-footer-content")) for name in WRITTEN - {"404.html"}
    }
    assert not [name for name, foot in feet.items() if number not in foot]


def test_each_page_has_a_title_and_one_heading(pages: Pages) -> None:
    bad = []
    for name, page in pages.items():
        headings = page.select("h1:not(.onlyprint h1)")  # the theme repeats it where paper needs it
        if len(headings) != 1 or not text(headings[0]) or not text(page.title):
            bad.append(f"{name}: title {text(page.title)!r}, headings {[*map(text, headings)]}")
    assert not bad


def test_each_image_is_told_and_captioned(pages: Pages) -> None:
    bad = []
    for name in sorted(WRITTEN):
        for image in pages[name].select("article img"):
            alt, source = str(image.get("alt", "")).strip(), str(image["src"])
            figure = image.find_parent("figure")
            if not alt or alt in source or re.search(r"\.(svg|png|jpe?g|gif|webp)$", alt):
                bad.append(f"{name}: {source} has no alt text, but {alt!r}")
            if not figure or not text(figure.select_one("figcaption .caption-text")):
                bad.append(f"{name}: {source} has no caption")
    assert not bad


def test_no_output_is_an_error_or_a_warning(pages: Pages) -> None:
    wrong = ".output.traceback, .output.stderr, .system-message, .problematic"
    bad = [f"{name}: {text(tag)}" for name, page in pages.items() for tag in page.select(wrong)]
    assert not bad


def test_each_formula_is_as_mathml_has_it(site: Path, pages: Pages) -> None:
    texts = {name: (site / name).read_text("utf-8") for name in pages}
    bad = [f"{name}: {what}" for name, page in texts.items() for what in mathml.wrong(page)]
    assert not bad, "\n".join(bad)


def test_pages_load_nothing_from_elsewhere(pages: Pages) -> None:
    bad = []
    for name, page in pages.items():
        for tag in page.select("[src], [srcset], [poster], [data], link[href], use, image"):
            fetched = not NOT_FETCHED.intersection(tag.get_attribute_list("rel"))
            addresses = [str(tag.get(a, "")) for a in ("src", "srcset", "poster", "data", "href")]
            if fetched and any(map(is_elsewhere, addresses)):
                bad.append(f"{name}: {tag}")
        styles = [text(tag) for tag in page("style")] + [
            str(t["style"]) for t in page.select("[style]")
        ]
        scripts = [tag.get_text() for tag in page("script")]
        bad += [f"{name}: {host}" for host in styled_hosts(*styles) + scripted_hosts(*scripts)]
    assert not bad


def test_each_page_has_the_policy_that_it_needs(pages: Pages) -> None:
    bad = []
    for name, page in pages.items():
        told = str(page.select("meta[http-equiv=Content-Security-Policy]")[0]["content"])
        compiles = "'wasm-unsafe-eval'" in told
        if told.count("unsafe") != compiles or compiles != (name == "lab.html"):
            bad.append(f"{name}: {told}")
        bad += [f"{name}: {tag}" for tag in page.select("[style]")]
    assert not bad


def test_styles_and_scripts_load_nothing_from_elsewhere(site: Path) -> None:
    styles = {file.name: file.read_text("utf-8") for file in site.rglob("*.css")}
    scripts = {file.name: file.read_text("utf-8") for file in site.rglob("*.js")}
    assert styles, "run `make html` first"
    bad = [f"{name}: {host}" for name, style in styles.items() for host in styled_hosts(style)]
    bad += [
        f"{name}: {host}" for name, script in scripts.items() for host in scripted_hosts(script)
    ]
    assert not bad


def styled_hosts(*styles: str) -> list[str]:
    """Return the addresses at other hosts that style sheets load."""
    load = re.compile(r"(?:url\(\s*|@import\s*)[\"']?((?:https?:)?//[^\"')\s]+)")
    return [address for style in styles for address in load.findall(style)]


def scripted_hosts(*scripts: str) -> list[str]:
    """Return the hosts that scripts name in a string, but for those known to be harmless."""
    host = re.compile(r"[\"'`](?:https?:|wss?:)?//([\w.-]+\.[a-z]{2,})", re.I)
    return [h for script in scripts for h in host.findall(script) if h not in NAMED]


def links(name: str, page: BeautifulSoup) -> list[tuple[str, str]]:
    """Return the links of a page within the site, as file and anchor."""
    found = []
    for tag in page.select("a[href], link[href], script[src], img[src]"):
        address = str(tag.get("href") or tag.get("src") or "")
        parts = urlsplit(urljoin(name, address))
        if address not in {"", "#"} and not parts.scheme and not parts.netloc:
            found.append((unquote(parts.path), unquote(parts.fragment)))
    return found


def test_each_link_leads_somewhere(site: Path, pages: Pages) -> None:
    anchors = {
        name: {str(tag.get("id") or tag.get("name")) for tag in page.select("[id], a[name]")}
        for name, page in pages.items()
    }
    bad = []
    for name, page in pages.items():
        for file, anchor in links(name, page):
            if not (site / file).is_file():
                bad.append(f"{name}: there is no {file}")
            elif file == "lab.html" and "=" in anchor:  # a state
                bad += [f"{name}: {complaint}" for complaint in wrong(anchor)]
            elif anchor and anchor not in anchors[file]:
                bad.append(f"{name}: {file} has no #{anchor}")
    assert not bad


def test_each_page_is_reached_from_the_first(pages: Pages) -> None:
    reached, new = set(), {"index.html"}
    while new:
        reached |= new
        new = {file for name in new for file, _ in links(name, pages[name])} & set(pages) - reached
    assert not WRITTEN - reached


def test_each_lesson_ends_as_it_should(site: Path, pages: Pages) -> None:
    solution, predict, *endings = ENDS[language(site)]
    bad = []
    for lesson in LESSONS:
        page = pages[f"{lesson}.html"]
        exercises = page.select("article .numbered.exercise")
        solutions = [s for s in page.select("article summary") if solution in text(s)]
        if not 2 <= len(exercises) <= 4 or len(solutions) != len(exercises):
            bad.append(f"{lesson}: {len(exercises)} exercises, {len(solutions)} solutions")
        if not any(predict in text(exercise) for exercise in exercises):
            bad.append(f"{lesson}: no exercise asks to predict")
        last = ["", "", *(text(paragraph) for paragraph in page.select("article p"))][-2:]
        for end, beginning in zip(last, endings, strict=True):
            if not end.startswith(beginning):
                bad.append(f"{lesson}: where {beginning!r} is due stands {end!r}")
    assert not bad
