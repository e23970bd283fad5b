"""Theorems and exercises have numbers, titles, anchors and tests, also in a parallel build."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

from bookbuild.content.theorems import marked_tests

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

TESTS = '''\
import pytest

@pytest.mark.theorem("first")
def test_alone(): ...

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.theorem("first")
@pytest.mark.theorem("second")
def test_both(n):
    """Say why."""
    assert n

@pytest.mark.slow
def test_neither(): ...
'''
THEOREM = ":::{{theorem}} The {name} one\n:name: {name}\n\nIt holds.\n:::\n"


def test_marked_tests_are_found_with_their_source(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep/test_some.py"
    file.write_text(TESTS)
    (tmp_path / "helper.py").write_text(TESTS)
    found = marked_tests(tmp_path)
    assert {label: [test.name for test in tests] for label, tests in found.items()} == {
        "first": ["test_alone", "test_both"],
        "second": ["test_both"],
    }
    both = found["second"][0]
    assert both.file == file
    assert both.source == "\n".join(TESTS.splitlines()[5:11])


def test_a_theorem_with_many_tests_shows_the_first_and_names_the_others(book: "Book") -> None:
    mark, body = '\n@pytest.mark.theorem("first")\n', "".join(f"    {n}\n" for n in range(7))
    functions = "".join(f"{mark}def test_{name}():\n{body}" for name in ("one", "two", "three"))
    book.write("tests/zeroinit/test_some.py", "import pytest\n" + functions)
    book.write("book/index.md", "# Index\n\n" + THEOREM.format(name="first"))
    assert book.html().returncode == 0
    page = BeautifulSoup(book.text("_build/html/index.html"), "html.parser")
    (fold,) = page.select("#theorem-first details")
    assert [code.get_text() for code in fold.select("li code")] == ["test_three"]
    assert [f"def test_{name}" in fold.get_text() for name in ("one", "two", "three")] == [
        True, True, False,
    ]  # fmt: skip


def test_a_theorem_is_followed_by_its_proof_and_then_by_its_tests(book: "Book") -> None:
    book.write("tests/zeroinit/test_some.py", TESTS)
    one, two = (THEOREM.format(name=name) for name in ("first", "second"))
    fold = ":::{dropdown} Proof\nIt is so.\n:::\n"
    book.write("book/index.md", f"# Index\n\n{one}\n{fold}\nMore.\n\n{two}\nProof: below.\n")
    assert book.html().returncode == 0
    page = BeautifulSoup(book.text("_build/html/index.html"), "html.parser")
    for name, proof in (("first", "It is so."), ("second", "Proof: below.")):
        theorem = page.select_one(f"#theorem-{name}")
        assert theorem
        assert not theorem.select("details")
        below, tests = theorem.find_next_siblings()[:2]
        assert proof in below.get_text()
        assert "test_both" in tests.get_text()
        assert "stand in tests/zeroinit/test_some.py of the repository" in tests.get_text()


def test_numbers_and_references_survive_a_parallel_build(book: "Book") -> None:
    names = ["first", "second", "third", "fourth", "fifth", "sixth"]  # more than five are parallel
    marks = "".join(f'@pytest.mark.theorem("{name}")\ndef test_{name}(): ...\n' for name in names)
    book.write("tests/zeroinit/test_some.py", "import pytest\n" + marks)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        book.write(
            f"book/{name}.md",
            # a heading with the theorem's label must not take its anchor
            f"# Page\n\n## {name}\n\n{THEOREM.format(name=name)}\n"
            f":::{{exercise}} Predict\n:name: exercise-{name}\n:::\n\n"
            f"See {{ref}}`{other}`, {{numref}}`{other}` and {{numref}}`exercise-{other}`.\n",
        )
    order = "\n".join(names)
    book.write("book/index.md", f"# Index\n\n```{{toctree}}\n:numbered:\n{order}\n```\n")
    done = book.html()
    assert done.returncode == 0, done.stderr

    for number, name in enumerate(names, 1):
        page = BeautifulSoup(book.text(f"_build/html/{name}.html"), "html.parser")
        theorem = page.select_one(f"#theorem-{name}")
        assert theorem
        assert f"Theorem {number}.1 The {name} one" in theorem.get_text()
        assert f"def test_{name}" in theorem.get_text()
        assert f"Exercise {number}.1 Predict" in page.select(f"#exercise-{name}")[0].get_text()
        other = names[number % len(names)]
        seen = {link.get_text(): link["href"] for link in page.select("article p a.internal")}
        assert seen == {
            f"The {other} one": f"{other}.html#theorem-{other}",
            f"Theorem {number % len(names) + 1}.1": f"{other}.html#theorem-{other}",
            f"Exercise {number % len(names) + 1}.1": f"{other}.html#exercise-{other}",
        }


def test_what_is_missing_fails_the_build(book: "Book") -> None:
    nameless = ":::{theorem} Some\n:::\n\n:::{exercise} Other\n:::\n"
    book.write("book/page.md", f"# Page\n\n{nameless}\n{THEOREM.format(name='lonely')}")
    done = book.html()
    assert done.returncode != 0
    for line, said in (
        (3, "theorem 'Some' needs a :name:"),
        (6, "exercise 'Other' needs a :name:"),
        (9, "theorem 'lonely' has no test marked with it"),
    ):
        assert re.search(rf"page\.md:{line}: .*{said}", done.stderr), done.stderr
