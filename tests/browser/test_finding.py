"""A reader finds a theorem by its name and a question by its words, and goes on from page to page."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from serving import ROOT

TEXTS = {file.stem: file.read_text("utf-8") for file in sorted(ROOT.glob("book/*.md"))}
THEOREMS = [
    (name, page, label)
    for page, text in TEXTS.items()
    for name, label in re.findall(r"^:+\{theorem\} (.+)\n:name: (\S+)", text, re.M)
]
QUESTIONS = re.findall(r"^## (.+)", TEXTS["questions"], re.M)
TREES = re.findall(r"```\{toctree\}\n(?::.*\n)*\n((?:[\w-]+\n)+)", TEXTS["index"])
ORDER = ["index", *(page for tree in TREES for page in tree.split())]


@pytest.fixture
def search(visit: Callable[..., Page]) -> Callable[[str], list[str]]:
    """Return a function that types words into the site's search and gives the first three hits."""

    def search(words: str) -> list[str]:
        tab = visit("index.html")
        tab.keyboard.press("Control+k")
        tab.keyboard.type(words)
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/search.html?*")
        expect(tab.locator(".search-summary")).to_have_text(re.compile("found|did not match"))
        hits = tab.locator("#search-results li > a")
        return [hit.evaluate("hit => hit.href") for hit in hits.all()[:3]]

    return search


@pytest.mark.parametrize(("theorem", "page", "label"), THEOREMS)
def test_search_finds_a_theorem(
    theorem: str, page: str, label: str, search: Callable[[str], list[str]]
) -> None:
    hits = search(theorem)
    assert any(f"/{page}.html#" in hit and hit.endswith(label) for hit in hits), hits


@pytest.mark.parametrize("question", QUESTIONS)
def test_search_finds_a_question(question: str, search: Callable[[str], list[str]]) -> None:
    hits = search(question.replace("`", ""))
    assert any("questions.html" in hit for hit in hits), hits


def test_next_and_previous_go_in_reading_order(visit: Callable[..., Page]) -> None:
    tab = visit("index.html")
    read = ["index"]
    while (link := tab.locator("a.right-next")).count():
        before = tab.url
        link.click()
        read.append(tab.url.rpartition("/")[2].removesuffix(".html"))
        assert tab.locator("a.left-prev").evaluate("link => link.href") == before
    assert read == ORDER


