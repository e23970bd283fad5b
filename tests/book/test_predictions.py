"""A lesson asks before it tells: a question with choices stands near its top."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

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
    built = (ROOT / "_build/html/your-predictions.html").read_text("utf-8")
    listed = BeautifulSoup(built, "html.parser").select(".predicted")
    assert len({tag["data-question"] for tag in listed}) == len(listed) == written
    assert {len(tag.select(".right")) for tag in listed} == {1}
    assert {2, 3, 4} >= {len(tag.select("li")) for tag in listed}
