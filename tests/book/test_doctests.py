"""No example is left out: every ``>>>`` in docstrings, pages and README belongs to a test."""

import doctest
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sybil.integration.pytest import SybilItem

ROOT = Path(__file__).parents[2]


def examples(item: pytest.Item) -> list[doctest.Example]:
    """Return the examples that a test runs; one with the option SKIP is not run."""
    if isinstance(item, SybilItem):
        parsed = item.example.parsed
        found = [parsed] if isinstance(parsed, doctest.Example) else []
    else:
        assert isinstance(item, pytest.DoctestItem)
        found = item.dtest.examples
    return [example for example in found if doctest.SKIP not in example.options]


def test_every_example_is_run(collect: Callable[..., list[pytest.Item]]) -> None:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("book/*.md"), ROOT / "README.md"]
    written = {file: len(re.findall(r"^\s*>>> ", file.read_text("utf-8"), re.M)) for file in files}
    run: Counter[Path] = Counter()
    for item in collect("src", "book", "README.md"):
        run[item.path] += len(examples(item))
    left_out = {
        file.relative_to(ROOT).as_posix(): f"{run[file]} of {lines} run"
        for file, lines in written.items()
        if run[file] != lines
    }
    assert not left_out, (
        f"write them in a docstring, a ```python fence or a {{doctest}}: {left_out}"
    )
