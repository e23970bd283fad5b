"""A lesson asks before it tells: a question with choices stands near its top."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from tests.book.conftest import LESSONS
from tests.book.test_prose import PAGES, sentences

ROOT = Path(__file__).parents[2]
WORDS = 120  # at most, before the question


@pytest.mark.parametrize("page", ["index", *LESSONS])
def test_a_lesson_asks_near_its_top(page: str) -> None:
    text = (ROOT / f"book/{page}.md").read_text("utf-8")
    before, asked, _ = text.partition("\n:::{predict} ")
    assert asked, "ask a question with choices: CONTRIBUTING.md has its form"
    words = sum(len(sentence.split()) for _, sentence in sentences(before))
    assert words <= WORDS, f"{words} words stand before the question"


def test_each_question_is_listed_once_with_one_right_choice() -> None:
    written = sum(page.read_text("utf-8").count("\n:::{predict} ") for page in PAGES)
    listed = site("your-predictions").select(".predicted")
    assert len({tag["data-question"] for tag in listed}) == len(listed) == written
    assert {len(tag.select(".right")) for tag in listed} == {1}
    assert {2, 3, 4} >= {len(tag.select("li")) for tag in listed}


def test_the_quiz_has_the_questions_of_its_pages() -> None:
    text = (ROOT / "book/for-a-class.md").read_text("utf-8")
    pages = re.findall(r"\{quiz\} (.+)", text)[0].split()
    wanted = []
    for page in pages:
        built = BeautifulSoup((ROOT / f"_build/html/{page}.html").read_text("utf-8"), "html.parser")
        wanted += [
            said(field.select(".sd-summary-content li")) for field in built.select(".predict")
        ]
    built = BeautifulSoup((ROOT / "_build/html/for-a-class.html").read_text("utf-8"), "html.parser")
    folds = built.select("details:not([open]) .sd-summary-content")
    assert [said(fold.select("li")) for fold in folds] == wanted
    assert len(wanted) >= len(pages)


def site(page: str) -> BeautifulSoup:
    """Return a page as it is built."""
    return BeautifulSoup((ROOT / f"_build/html/{page}.html").read_text("utf-8"), "html.parser")


def said(items: Iterable[Tag]) -> list[str]:
    """Return the words of each item."""
    return [" ".join(item.get_text().split()) for item in items]


def test_the_path_takes_the_minutes_that_it_says() -> None:
    text = (ROOT / "book/for-a-class.md").read_text("utf-8")
    minutes = [
        {"five": 5, "ten": 10}[word] for word in re.findall(r"^\| (five|ten) \|", text, re.M)
    ]
    assert sum(minutes) == 45
    assert "\n## A path of forty-five minutes\n" in text
