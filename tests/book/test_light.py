"""The built site sends what its pages use, and says what they hold.

The tests look at ``_build/html``, which ``make html`` builds; ``make test`` does that first.
"""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

from tests.book.conftest import language, names

ROOT = Path(__file__).parents[2]
WRITTEN = {f"{page.stem}.html" for page in ROOT.glob("book/*.md")}  # not the index, search, ...
SEARCH = {"_static/searchtools.js", "_static/language_data.js", "searchindex.js"}

Pages = dict[str, BeautifulSoup]


@pytest.fixture(scope="module")
def pages(site: Path) -> Pages:
    """Every page of an edition by its path, as ``symmetry.html``."""
    missing = sorted(WRITTEN - set(names(site)))
    assert not missing, f"run `make html` first: {site} lacks {missing}"
    texts = {name: (site / name).read_text("utf-8") for name in names(site)}
    return {name: BeautifulSoup(text, "html.parser") for name, text in texts.items()}


def addresses(name: str, page: BeautifulSoup, selector: str) -> list[str]:
    """Return the files of the site that some tags of a page name."""
    found = (str(tag.get("href") or tag.get("src")) for tag in page.select(selector))
    return [unquote(urlsplit(urljoin(name, address)).path) for address in found]


def test_each_file_of_the_site_is_used_by_a_page(site: Path, pages: Pages) -> None:
    files = {file.relative_to(site).as_posix() for file in (site / "_static").rglob("*.*")}
    used: set[str] = set()
    for name, page in pages.items():
        used.update(addresses(name, page, "[href], [src]"))
    for style in [file for file in used if file.endswith(".css")]:
        for address in re.findall(r"url\([\"']?([^\"')]+)", (site / style).read_text("utf-8")):
            used.add(urljoin(style, address))
    assert files, "run `make html` first"
    # what the lab's script loads by itself; tests/browser/test_lab.py sees it do so
    assert not {file for file in files - used if not file.startswith("_static/lab/")}


def test_no_page_waits_for_a_script(pages: Pages) -> None:
    bad = [
        f"{name}: {script}"
        for name, page in pages.items()
        for script in page.select("script[src]:not([defer], [type=module])")
    ]
    assert not bad


def test_the_index_of_the_search_is_loaded_by_the_search_alone(pages: Pages) -> None:
    for name, page in pages.items():
        loaded = SEARCH.intersection(addresses(name, page, "script[src]"))
        assert loaded == (SEARCH if name == "search.html" else set()), name


def test_scripts_and_styles_name_no_source_maps(site: Path) -> None:
    files = [*site.rglob("*.js"), *site.rglob("*.css")]
    assert not [file.name for file in files if "sourceMappingURL" in file.read_text("utf-8")]
    assert not list(site.rglob("*.map"))


def test_the_colours_that_the_lab_asks_for_are_in_the_style_sheet(site: Path) -> None:
    scripts = [site / "_static/lab.js", *site.glob("_static/lab/*.js")]
    asked = {
        name for file in scripts for name in re.findall(r'"(--[\w-]+)"', file.read_text("utf-8"))
    }
    assert asked, "run `make html` first"
    assert asked <= {*re.findall(r"(--[\w-]+):", (site / "_static/site.css").read_text("utf-8"))}


def test_each_page_says_what_it_holds(site: Path, pages: Pages) -> None:
    bad = []
    least = {"en": 20, "zh-CN": 10}[language(site)]  # a character of Chinese says more
    said: dict[str, str] = {}
    for name, page in pages.items():
        heads = {
            str(m.get("name") or m.get("property")): str(m["content"])
            for m in page.select("meta[content]")
        }
        description = heads.get("description", "")
        if not least <= len(description) <= 180 or description != heads.get("og:description"):
            bad.append(f"{name}: the description is {description!r}")
        if name in WRITTEN and description in said:
            bad.append(f"{name} is described as {said[description]} is")
        said[description] = name
        if not page.html or page.html.get("lang") != language(site):
            bad.append(f"{name}: no language")
        if not heads.get("og:title") or not heads.get("og:image", "").endswith("preview.png"):
            bad.append(f"{name}: no preview")
    assert not bad


def test_the_preview_is_a_picture_of_the_usual_size(site: Path) -> None:
    header = (site / "_images/preview.png").read_bytes()[:24]
    width, height = (int.from_bytes(header[at : at + 4]) for at in (16, 20))
    assert header.startswith(b"\x89PNG")
    assert (width, height) == (1200, 630)


def test_each_figure_keeps_its_place_and_opens_large(pages: Pages) -> None:
    bad = []
    for name, page in pages.items():
        for image in page.select("article figure img"):
            if not image.get("width") or not image.get("height"):
                bad.append(f"{name}: {image['src']} has no size")
            if not image.parent or image.parent.get("href") != image["src"]:
                bad.append(f"{name}: {image['src']} is no link to itself")
    assert not bad


def test_pages_follow_each_other_in_the_order_of_the_contents(pages: Pages) -> None:
    index = (ROOT / "book/index.md").read_text("utf-8")
    trees = re.findall(r"```\{toctree\}\n((?::.*\n)*)\n?([\s\S]*?)```", index)
    order = ["index.html", *(f"{name}.html" for _, names in trees for name in names.split())]
    for before, after in pairwise(order):
        assert addresses(before, pages[before], "link[rel=next]") == [after]
        assert addresses(before, pages[before], "a.right-next") == [after]
        assert addresses(after, pages[after], "a.left-prev") == [before]
