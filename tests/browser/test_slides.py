"""The slides say what their pages say, fit the screen, and are one file that loads no other."""

import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from tests.browser.waiting import until

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
WORDS = {
    "en": ("The question.", "Right.", "In one sentence."),
    "zh-CN": ("问题。", "对了。", "一句话。"),
}
PAGES: list[str] = runpy.run_path(str(ROOT / "conf.py"))["slides"]
# The height of each slide in turn.
HEIGHTS = """
() => [...document.querySelectorAll(".slides > section")].map((slide, k) => {
  Reveal.slide(k);
  return slide.scrollHeight;
})
"""


@pytest.fixture(scope="module", params=[SITE, SITE / "zh"], ids=["English", "Chinese"])
def edition(request: pytest.FixtureRequest) -> Path:
    """The folder of each language's site."""
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module")
def slides(
    edition: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Page]:
    file = tmp_path_factory.mktemp("slides") / "slides.html"
    command = [sys.executable, "-m", "bookbuild.editions.slides", str(edition), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: asked.append(str(error)))
    tab.goto(file.as_uri())
    until(tab, "Reveal.isReady()")
    yield tab
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_slide_says_what_its_page_says(page: str, edition: Path, slides: Page) -> None:
    told = BeautifulSoup((edition / f"{page}.html").read_text("utf-8"), "html.parser")
    whole = BeautifulSoup(slides.content(), "html.parser")
    shown = whole.select(".slides > section")
    question, correct, sentence = WORDS[str(whole.html["lang"])]  # type: ignore[index]
    asking, showing = shown[2 * PAGES.index(page) :][:2]
    for tag in told.select(".headerlink, .katex-html"):
        tag.decompose()
    choices = [tag.get_text() for tag in told.select(".predict > ol li")]
    assert [tag.get_text() for tag in asking.select("ol:not(.answer) li")] == choices
    right = told.select(".predict details li")[
        int(str(told.select(".predict")[0]["data-answer"])) - 1
    ]
    (answer,) = asking.select("ol.answer.fragment")
    assert answer.get_text().split() == right.get_text().split()
    assert correct in answer.get_text()
    assert question in asking.get_text()
    for slide, selector in ((asking, ".predict legend"), (showing, "figure figcaption")):
        (words, *_) = told.select(selector)
        assert " ".join(words.get_text().split()) in " ".join(slide.get_text().split())
    (picture,) = showing.select("img")
    assert picture["alt"] == told.select("figure img")[0]["alt"]
    said = [slide.get_text().count(sentence) for slide in (asking, showing)]
    assert said == [0, 0 if page == "index" else 1]


def test_slides_are_ten_to_twelve_with_a_figure_each_once(slides: Page) -> None:
    pictures = slides.locator("section img").evaluate_all("all => all.map(it => it.src)")
    assert len(set(pictures)) == len(pictures) == len(PAGES)
    assert 10 <= slides.locator(".slides > section").count() <= 12
    loaded = slides.locator("section img").evaluate_all("all => all.every(it => it.naturalWidth)")
    assert loaded


def test_each_slide_fits_the_screen(slides: Page) -> None:
    heights = slides.evaluate(HEIGHTS)
    assert max(heights) <= 720, heights


def test_a_key_shows_the_answer_and_then_the_next_slide(slides: Page) -> None:
    slides.evaluate("Reveal.slide(0, 0, -1)")
    answer = slides.locator(".answer").first
    assert "visible" not in str(answer.get_attribute("class"))
    slides.keyboard.press("ArrowRight")
    assert "visible" in str(answer.get_attribute("class"))
    slides.keyboard.press("ArrowRight")
    assert slides.evaluate("Reveal.getIndices().h") == 1
