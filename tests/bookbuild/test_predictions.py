"""A question has choices and reasons in every edition, and a list of all is never stale."""

import re
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

QUESTION = """\
# The {name} page

:::{{predict}} Where does it stop?
:name: {name}
:answer: 2

At zero
: No weight moves.

At H & so on
: Only a *bias* moves.
:::
"""
LIST = "# All\n\n```{predictions}\n```\n"


def page(book: "Book", name: str) -> BeautifulSoup:
    """Return a page of the site."""
    return BeautifulSoup(book.text(f"_build/html/{name}.html"), "html.parser")


def words(found: BeautifulSoup, selector: str) -> list[str]:
    """Return the text of each element, its white space made single."""
    return [" ".join(tag.get_text().split()) for tag in found.select(selector)]


def test_a_question_has_its_choices_and_its_answer_in_a_fold(book: "Book") -> None:
    book.write("book/one.md", QUESTION.format(name="one"))
    book.write("book/other.md", "# Other\n")
    done = book.html()
    assert done.returncode == 0, done.stderr
    one = page(book, "one")
    (field,) = one.select("fieldset.predict#predict-one")
    assert field["data-answer"] == "2"
    assert words(one, "fieldset > legend") == ["Predict first. Where does it stop?"]
    assert words(one, "fieldset > ol > li") == ["At zero", "At H & so on"]
    assert words(one, "fieldset > details:not([open]) > summary") == ["The answer"]
    assert words(one, "fieldset > details ol > li") == [
        "Not quite. No weight moves.",
        "Right. Only a bias moves.",
    ]
    (again,) = one.select("fieldset > button[hidden]")
    assert again["type"] == "button"
    (script,) = one.select('script[src*="predictions.js"]')
    assert script.has_attr("defer")
    assert not page(book, "other").select('script[src*="predictions.js"]')


WRONG = {
    "nameless": (":name: nameless\n", "", "needs a :name: of its own"),
    "no-answer": (":answer: 2\n", "", "needs an :answer:, the number of its right choice: 1 to 2"),
    "no-number": (":answer: 2", ":answer: two", "needs an :answer:"),
    "too-large": (":answer: 2", ":answer: 3", "needs an :answer:"),
    "too-small": (":answer: 2", ":answer: 0", "needs an :answer:"),
    "none": ("At zero\n: No weight moves.\n\nAt H & so on\n: Only a *bias* moves.\n", "", "has 0"),
    "one": ("At zero\n: No weight moves.\n", "", "has 1 choices: give it two to four"),
    "five": (":::\n", "\nA\n: a\n\nB\n: b\n\nC\n: c\n:::\n", "has 5 choices: give it two to four"),
    "no-reason": (": No weight moves.\n", "", "has a choice without a reason, 'At zero': write"),
    "two-lines": ("At zero\n", "At\nzero\n", "has a choice without a reason, 'At': write"),
}


def test_a_mistake_is_a_warning_with_its_line_and_the_remedy(book: "Book") -> None:
    for name, (old, new, _) in WRONG.items():
        text = QUESTION.format(name=name)
        assert old in text
        book.write(f"book/{name}.md", text[:40] + text[40:].replace(old, new))
    for name in ("double", "double-2"):
        text = QUESTION.format(name="double").replace("# The double", f"# The {name}")
        book.write(f"book/{name}.md", text)
    done = book.html()
    assert done.returncode != 0
    for name, (_, _, said) in WRONG.items():
        expected = rf"/{name}\.md:3: .*predict 'Where does it stop\?' {re.escape(said)}"
        assert re.search(expected, done.stderr), (name, done.stderr)
    said = r"/double-2\.md:3: .*'double' is that of a question on the page 'double': give this one"
    assert re.search(said, done.stderr), done.stderr


def test_the_list_of_all_is_in_reading_order_and_fresh(book: "Book") -> None:
    names = [f"page{k}" for k in range(6)][::-1]  # more than five are read in parallel
    book.write("book/all.md", LIST)
    for name in names:
        book.write(f"book/{name}.md", QUESTION.format(name=name))
    order = "\n".join(["all", *names])
    book.write("book/index.md", f"# Index\n\n```{{toctree}}\n{order}\n```\n")
    done = book.html()
    assert done.returncode == 0, done.stderr
    listed = page(book, "all")
    assert words(listed, "article dt") == [f"The {name} page" for name in names]
    links = [link["href"] for link in listed.select("article dd a")]
    assert links == [f"{name}.html#predict-{name}" for name in names]
    assert words(listed, "article dd a") == ["Where does it stop?"] * 6
    assert [tag["data-question"] for tag in listed.select("ul.predicted[hidden]")] == [
        f"predict-{name}" for name in names
    ]
    assert words(listed, ".predicted .wrong") == ["You chose: At zero. Not quite."] * 6
    assert words(listed, ".predicted .right") == ["You chose: At H & so on. Right."] * 6
    (tally,) = listed.select(".tally[hidden]")
    assert "of 6 questions" in tally.get_text()
    assert listed.select('script[src*="predictions.js"]')

    book.write(f"book/{names[0]}.md", QUESTION.format(name=names[0]).replace("it stop", "it end"))
    assert book.html().returncode == 0
    assert words(page(book, "all"), "article dd a")[0] == "Where does it end?"
    book.write(f"book/{names[0]}.md", "# No question\n")
    assert book.html().returncode == 0
    assert words(page(book, "all"), "article dt") == [f"The {name} page" for name in names[1:]]


def test_a_quiz_has_the_questions_of_its_pages_and_is_fresh(book: "Book") -> None:
    reason = "Only a *bias* moves"
    linked = QUESTION.format(name="one").replace(reason, "{ref}`Here <place>`. " + reason)
    book.write("book/one.md", "(place)=\n" + linked)
    book.write("book/other.md", QUESTION.format(name="other").replace("it stop", "it end"))
    book.write("book/class.md", "# Class\n\n```{quiz} other one\n```\n")
    done = book.html()
    assert done.returncode == 0, done.stderr
    quiz = page(book, "class")
    assert words(quiz, "article section > ol > li > p") == [
        "Where does it end?",
        "Where does it stop?",
    ]
    assert words(quiz, "article section > ol > li > ol > li") == ["At zero", "At H & so on"] * 2
    answers = words(quiz, "article details:not([open]) ol > li")
    assert answers[-1] == "Right. Here. Only a bias moves."
    assert [link["href"] for link in quiz.select("details a")] == ["one.html#place"]
    assert not quiz.select("fieldset, script[src*='predictions.js']")

    book.write("book/one.md", "(place)=\n# No question\n")
    assert book.html().returncode == 0
    assert words(page(book, "class"), "article section > ol > li > p") == ["Where does it end?"]
    book.write("book/class.md", "# Class\n\n```{quiz} gone\n```\n")
    done = book.html()
    assert "class.md:3: " in done.stderr
    assert "there is no page 'gone'" in done.stderr
