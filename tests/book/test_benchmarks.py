"""The colophon shows what ``make bench`` measured."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from benchmarks import gpu
from benchmarks.table import tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))
    return loaded


def test_the_tables_are_of_what_was_measured(results: dict[str, Any]) -> None:
    assert tables(results) == results["tables"]


def test_a_peer_that_fails_has_a_row_that_says_so(results: dict[str, Any]) -> None:
    builds = results["builds"] | {"nbsphinx": {}}
    shown = tables(results | {"builds": builds, "failed": {"nbsphinx": "no pandoc"}})
    assert "failed: no pandoc" in shown["seconds"]
    assert "cold build / nbsphinx" in shown["ratios"]


def test_the_colophon_shows_every_row(results: dict[str, Any]) -> None:
    page = (ROOT / "_build/html/colophon.html").read_text("utf-8").replace("’", "'")
    rows = [
        [cell.get_text() for cell in row.select("th, td")]
        for row in BeautifulSoup(page, "html.parser").select(".cell_output tr")
    ]
    for table in results["tables"].values():
        head, _, *lines = table.splitlines()
        for line in (head, *lines):
            assert [cell.strip() for cell in line.strip("|").split("|")] in rows


def test_what_is_measured_on_a_gpu_is_measured_here_too() -> None:
    text = gpu.report("cpu", widths=(2, 3), seeds=4)
    assert "| torch.float64 | none" in text
    assert "| a product of matrices                   | 1 " in text
    assert text.endswith("Under FSDP2 an audit finds the same.")


def test_tests_of_theorems_run_on_a_device() -> None:
    # Tensors of this device hold no numbers.
    said = gpu.theorems("meta", "tests/zeroinit/test_how_random_fails.py")
    assert re.match(r"The tests of theorems on meta: [1-9]\d* failed in ", said), said
    assert "\n- tests/zeroinit/test_how_random_fails.py::test_" in said
