"""CONTRIBUTING and the tests ask the same of pages, and what CONTRIBUTING names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
# What a test is given that judges pages: a fixture with all of them, or each page in turn.
ALL = {"pages", "figures"}
EACH = {"PAGES", "LESSONS"}


def found(folder: str) -> dict[str, ast.FunctionDef]:
    """Return the tests in a folder by name."""
    return {
        node.name: node
        for file in (ROOT / folder).rglob("test_*.py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def judges_pages(test: ast.FunctionDef) -> bool:
    """Return whether a test is given the pages of the book."""
    given = {argument.arg for argument in test.args.args}
    marks = {
        node.id
        for mark in test.decorator_list
        for node in ast.walk(mark)
        if isinstance(node, ast.Name)
    }
    return bool(ALL & given or EACH & marks)


def test_each_test_that_judges_pages_has_its_rule() -> None:
    (table,) = re.findall(r"^\| Rule \| Tests \|\n((?:\|.*\n)+)", TEXT, re.M)
    judging = {name for name, test in found("tests/book").items() if judges_pages(test)}
    assert len(judging) > 20
    assert not sorted(judging - set(re.findall(r"`(test_\w+)`", table))), (
        "say in the table of CONTRIBUTING.md what these tests ask of a page"
    )


def test_each_test_that_is_named_exists() -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", TEXT))
    assert not sorted(named - set(found("tests"))), "CONTRIBUTING.md names tests that are not there"


def test_each_file_of_a_command_and_of_what_stands_in_several_places_exists() -> None:
    commands = re.findall(r"^\$ .*pytest (.*)$", TEXT, re.M)
    paths = {path for command in commands for path in re.findall(r"\b[\w/]+\.(?:py|md)\b", command)}
    assert len(paths) > 6
    assert not [path for path in paths if not (ROOT / path).is_file()]
    (table,) = re.findall(r"^\| To change \|.*\n((?:\|.*\n)+)", TEXT, re.M)
    files = re.findall(r"`([\w/]+\.[a-z]\w+)`", table)
    assert "lab.html" in files
    known = [file for top in ("src", "book", "tests") for file in (ROOT / top).rglob("*.*")]
    assert not [name for name in files if not any(f.as_posix().endswith(name) for f in known)]
