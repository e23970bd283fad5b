"""The cells of a page run without those that the page leaves out.

A reader copies cells in their order, and opens folded ones. A cell with the tag ``remove-cell`` or
``remove-input`` is nowhere to be seen. So a name that a cell uses is made by a cell that is shown.
"""

import builtins
import dis
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

import pytest
from myst_nb.core.read import read_myst_markdown_notebook

from tests.book.conftest import LESSONS

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("book/*.md"))
LEFT_OUT = {"remove-cell", "remove-input"}
FOLDED = {"hide-cell", "hide-input"}
LOADS = {"LOAD_NAME", "LOAD_GLOBAL"}


def shown(page: str, without: set[str] = LEFT_OUT) -> list[str]:
    """Return the source of each cell that a page shows or folds."""
    cells = read_myst_markdown_notebook(page).cells if "{code-cell}" in page else []
    return [
        cell.source
        for cell in cells
        if cell.cell_type == "code" and not without.intersection(cell.metadata.get("tags", []))
    ]


def unmade(cells: Iterable[str]) -> Iterator[str]:
    """Yield each line that uses a name which no cell has made so far, with the name."""
    known = set(dir(builtins))
    for cell in cells:
        code, lines = compile(cell, "cell", "exec"), cell.splitlines()
        for steps in (dis.get_instructions(code), called_later(code)):
            for step in steps:
                if step.opname == "STORE_NAME":
                    known.add(step.argval)
                elif step.opname in LOADS and step.argval not in known:
                    line = step.positions.lineno if step.positions else None
                    yield f"{step.argval!r} in {lines[(line or 1) - 1].strip()!r}"


def called_later(code: CodeType) -> Iterator[dis.Instruction]:
    """Yield what functions and classes of a cell load from outside: the cell is run by then."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            steps = list(dis.get_instructions(inner))
            own = {step.argval for step in steps if step.opname == "STORE_NAME"}
            yield from (s for s in steps if s.opname in LOADS and s.argval not in own)
            yield from called_later(inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_name_is_made_in_a_cell_that_is_shown(page: Path) -> None:
    found = list(unmade(shown(page.read_text("utf-8"))))
    assert not found, "a reader who copies the cells has no\n" + "\n".join(found)


@pytest.mark.parametrize("page", LESSONS)
def test_a_lesson_opens_with_a_cell_that_is_left_out(page: str) -> None:
    cells = read_myst_markdown_notebook((ROOT / f"book/{page}.md").read_text("utf-8")).cells
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert "remove-cell" in first.metadata.get("tags", []), first.source


@pytest.mark.parametrize("page", LESSONS)
def test_an_experiment_comes_before_proofs(page: str) -> None:
    text = (ROOT / f"book/{page}.md").read_text("utf-8")
    before, theorem, _ = text.partition("{theorem}")
    assert not theorem or shown(before), "let a cell show something before the first theorem"
    before, star, _ = text.partition("Proof ★")
    assert not star or shown(before, LEFT_OUT | FOLDED), "put an example in numbers before the star"


@pytest.mark.parametrize("page", LESSONS)
def test_an_answer_is_folded(page: str) -> None:
    text = (ROOT / f"book/{page}.md").read_text("utf-8")
    ends = r"^:::\{exercise\}|^\*\*In one sentence|^## "
    found = []
    for answer in re.findall(
        rf"prompt_show: Solution\n.*?^```\n(.*?)(?={ends})", text, re.S | re.M
    ):
        shown = re.sub(r"^(:::|```)\{.*?^\1\n", "", answer, flags=re.S | re.M).strip()
        found += [shown] if shown else []
    assert not found, "put these words into `:::{dropdown} Answer`:\n" + "\n".join(found)


def test_a_cell_that_is_left_out_makes_no_name() -> None:
    cell = "```{{code-cell}}\n:tags: [{}]\n{}\n```\n\n"
    for tag, lines in (("remove-cell", ["b = a", "c = a"]), ("hide-cell", [])):
        page = cell.format(tag, "a = 1") + cell.format("hide-input", "b = a") + "Words.\n\n"
        page += cell.format("hide-cell", "c = a") + cell.format("remove-input", "d = e")
        assert list(unmade(shown(page))) == [f"'a' in {line!r}" for line in lines]


@pytest.mark.parametrize(
    "cells",
    [
        ["def f():\n    return a", "a = 1"],
        ["print(a)\na = 1"],
        ["a = 2 * a"],
        ["a += 1"],
        ["b = [a for _ in range(3)]"],
        ["b = lambda c: a + c"],
        ["for b in range(3):\n    a += b"],
        ["class B:\n    c = a"],
        ["class B:\n    c = 1\n\n    def f(self):\n        return a"],
    ],
)
def test_a_name_that_no_cell_has_made_is_seen(cells: list[str]) -> None:
    (found,) = unmade(cells)
    assert found.startswith("'a' in ")


@pytest.mark.parametrize(
    "cells",
    [
        ["import a.b", "a.b.c()"],
        ["from a import b as c", "print(c)"],
        ["def f(n):\n    return g(n) if n else f(0)\n\ndef g(n):\n    return n"],
        ["a = 1\nfor b in range(a):\n    c = [b + d for d in range(b)]", "print(a, b, c)"],
        ["try:\n    a = 1\nexcept ValueError as error:\n    print(error)", "a"],
        ["class A:\n    b = 1\n    c = b", "A()"],
    ],
)
def test_a_name_that_a_cell_has_made_is_known(cells: list[str]) -> None:
    assert list(unmade(cells)) == []
