"""A reader finds a theorem by its name, a question by its words, and the way on from each page."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import ROOT

TEXTS = {file.stem: file.read_text("utf-8") for file in sorted(ROOT.glob("book/*.md"))}
THEOREMS = [
    (name, page, label)
    for page, text in TEXTS.items()
    for name, label in re.findall(r"^:+\{theorem\} (.+)\n:name: (\S+)", text, re.M)
]
QUESTIONS = re.findall(r"^## (.+)", TEXTS["questions"], re.M)
TREES = re.findall(r"```\{toctree\}\n(?::.*\n)*\n((?:[\w-]+\n)+)", TEXTS["index"])
ORDER = ["index", *(page for tree in TREES for page in tree.split())]


def hits(tab: Page, end: str = "found|did not match") -> list[str]:
    """Return the addresses of the first three results, when ``end`` says that a search is done."""
    told = tab.locator(".search-summary")
    expect(told).to_have_text(re.compile(end), timeout=20_000)
    found = tab.locator("#search-results li > a")
    return [hit.evaluate("hit => hit.href") for hit in found.all()[:3]]


def test_a_reader_searches_by_keyboard_from_any_page(visit: Callable[..., Page]) -> None:
    tab = visit("symmetry.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("twins stay twins")
    tab.keyboard.press("Enter")
    assert "symmetry.html#theorem-twins-stay-twins" in hits(tab)[0]


@pytest.mark.parametrize(("theorem", "page", "label"), THEOREMS)
def test_search_finds_a_theorem(
    theorem: str, page: str, label: str, visit: Callable[..., Page]
) -> None:
    found = hits(visit(f"search.html?q={quote(theorem)}"))
    assert any(f"/{page}.html#" in hit and hit.endswith(label) for hit in found), found


@pytest.mark.parametrize("question", QUESTIONS)
def test_search_finds_a_question(question: str, visit: Callable[..., Page]) -> None:
    found = hits(visit(f"search.html?q={quote(question.replace('`', ''))}"))
    assert any("/questions.html#" in hit for hit in found), found


def test_next_and_previous_go_in_reading_order(visit: Callable[..., Page]) -> None:
    tab = visit("index.html")
    read = ["index"]
    while (link := tab.locator("a.right-next")).count():
        before = tab.url
        link.click()
        read.append(tab.url.rpartition("/")[2].removesuffix(".html"))
        assert tab.locator("a.left-prev").evaluate("link => link.href") == before
    assert read == ORDER


def test_the_rows_of_the_atlas_are_filtered_in_place(visit: Callable[..., Page]) -> None:
    tab = visit("atlas-of-architectures.html")
    rows = tab.locator(".filter-rows ~ section tbody tr")
    count = rows.count()
    assert rows.filter(visible=True).count() == count > 100
    tab.get_by_label("Show the rows with").fill("Transformers twins register")
    shown = rows.filter(visible=True)
    assert 1 <= shown.count() < 10
    for text in shown.all_inner_texts():
        assert "twins" in text
        assert "register" in text
    expect(tab.locator(".filter-rows output")).to_have_text(re.compile(rf"^{shown.count()} of "))
    tab.get_by_label("Show the rows with").fill("")
    assert rows.filter(visible=True).count() == count
