"""Chromium is found under each of its names, which stand in one file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bookbuild.tools.browser import NAMES, find

ROOT = Path(__file__).parents[2]


def asked(path: Path) -> subprocess.CompletedProcess[str]:
    """Ask for the browser as ``.ci/run`` does, with a search path."""
    return subprocess.run(
        [sys.executable, "-m", "bookbuild.tools.browser"],
        env=os.environ | {"PATH": str(path), "PYTHONPATH": "src"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_under_each_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / name
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() == str(program)
    done = asked(tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{program}\n")


def test_where_there_is_none_the_names_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() is None
    done = asked(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    for name in NAMES:
        assert name in done.stderr


def test_its_names_stand_in_one_file() -> None:
    places = ("src/**/*.py", "tests/**/*.py", "benchmarks/*.py", ".ci/run", "Makefile", "*.md")
    files = {file for place in places for file in ROOT.glob(place)} - {Path(__file__)}
    naming = [file.name for file in files if NAMES[1] in file.read_text("utf-8")]
    assert naming == ["browser.py"]
