"""The Chinese edition is found, read, searched and used as the English one."""

import gzip
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.serving import ROOT, SITE, WRITTEN
from tests.browser.test_axe import AXE, RUN
from tests.browser.test_finding import QUESTIONS, THEOREMS, hits

DONE = "匹配"  # in the words at the end of a search, whether it found pages or not
HAN = re.compile("[\u3400-\u9fff]")


def translated(page: str, message: str) -> str:
    """Return the translation of a message of a page."""
    with (ROOT / f"locale/zh_CN/LC_MESSAGES/{page}.po").open("rb") as file:
        return re.sub(r"[`*$\\]", "", str(read_po(file)[message].string))


@pytest.mark.parametrize("word", ["损失", "塌缩", "孪生神经元", "tanh", "熵"])
def test_search_finds_a_word_in_text_without_blanks(word: str, visit: Callable[..., Page]) -> None:
    found = hits(visit(f"zh/search.html?q={quote(word)}"), DONE)
    assert found
    names = [hit.rpartition("/zh/")[2].partition("#")[0].partition("?")[0] for hit in found]
    assert all(word in (SITE / "zh" / name).read_text("utf-8") for name in names), found


def test_search_finds_each_theorem_by_its_chinese_name(visit: Callable[..., Page]) -> None:
    lost = []
    for theorem, page, label in THEOREMS[::3]:
        found = hits(visit(f"zh/search.html?q={quote(translated(page, theorem))}"), DONE)
        if not any(f"/zh/{page}.html#" in hit and hit.endswith(label) for hit in found):
            lost.append((theorem, found))
    assert not lost


def test_search_finds_the_readers_questions(visit: Callable[..., Page]) -> None:
    for question in QUESTIONS[::5]:
        words = translated("questions", question)
        found = hits(visit(f"zh/search.html?q={quote(words)}"), DONE)
        assert any("/zh/questions.html#" in hit for hit in found), (words, found)


def test_the_other_language_is_a_click_away_and_keeps_the_place(
    visit: Callable[..., Page],
) -> None:
    tab = visit("symmetry.html")
    english = tab.url
    tab.get_by_role("link", name="中文").click()
    assert tab.url.endswith("/zh/symmetry.html")
    assert tab.evaluate("document.documentElement.lang") == "zh-CN"
    tab.get_by_role("link", name="English").click()
    assert tab.url == english


def test_each_page_is_as_wide_as_a_phone_and_says_nothing_to_the_console(
    visit: Callable[..., Page],
) -> None:
    wrong: list[str] = []
    said: list[ConsoleMessage] = []
    tab = visit("zh/index.html", width=360)
    tab.on("console", lambda it: said.append(it))
    tab.on("pageerror", lambda it: wrong.append(f"{tab.url}: {it}"))
    for name in WRITTEN:
        wide = visit(f"zh/{name}", width=360).evaluate("document.documentElement.scrollWidth")
        if wide > 360:
            wrong.append(f"{name} is {wide} wide")
    wrong += [f"{it.location['url']}: {it.text}" for it in said if it.type == "error"]
    assert not wrong


@pytest.mark.parametrize("page", ["index", "symmetry", "lab", "search"])
def test_axe_finds_nothing(page: str, visit: Callable[..., Page]) -> None:
    tab = visit(f"zh/{page}.html")
    tab.evaluate(AXE.read_text("utf-8"))
    assert tab.evaluate(RUN) == []


def test_live_figures_speak_chinese(visit: Callable[..., Page]) -> None:
    place = visit("zh/index.html").locator("[data-live]").first
    place.get_by_role("button").first.click()
    for words in place.get_by_role("button").all_inner_texts():
        assert HAN.search(words), words
    assert HAN.search(place.locator("output").first.inner_text())


def test_figures_hold_chinese_as_text() -> None:
    page = (SITE / "zh/index.html").read_text("utf-8")
    drawn = "".join(
        (SITE / "zh/_images" / name).read_text("utf-8")
        for name in re.findall(r'src="_images/([^"]+\.svg)"', page)
    )
    said = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert translated("index", "step") in said
    assert not [words for words in said if not HAN.search(words)]


def test_a_page_weighs_as_the_english_one() -> None:
    ratios = {}
    for name in WRITTEN:
        one, other = (
            len(gzip.compress((SITE / folder / name).read_bytes(), 6)) for folder in ("", "zh")
        )
        ratios[name] = other / one
    assert {name: ratio for name, ratio in ratios.items() if ratio > 1.15} == {}
