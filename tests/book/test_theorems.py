"""Theorems and their tests: each theorem has one at least, and each mark names a theorem."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def theorems() -> list[str]:
    """Return the label of every theorem of the book, empty for one that has none."""
    return [
        label
        for page in sorted(ROOT.glob("book/*.md"))
        for label in re.findall(
            r"^ *[:`]{3,}\{theorem\}.*\n(?: *:name: *(\S+))?", page.read_text("utf-8"), re.M
        )
    ]


def test_labels_are_unique() -> None:
    labels = theorems()
    assert labels
    twice = {label or "(no :name:)" for label in labels if not label or labels.count(label) > 1}
    assert not twice


def test_theorems_and_marks_agree(collect: Callable[..., list[pytest.Item]]) -> None:
    marks = {
        label
        for item in collect("tests")
        for mark in item.iter_markers("theorem")
        if not any(item.iter_markers("skip")) and not any(item.iter_markers("xfail"))
        for label in mark.args
    }
    labels = set(theorems())
    assert not labels - marks, f"theorems without a test: {sorted(labels - marks)}"
    assert not marks - labels, f"marks without a theorem: {sorted(marks - labels)}"
