"""The colophon shows what ``make bench`` measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from benchmarks.table import audited, tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))
    return loaded


def test_the_tables_are_of_what_was_measured(results: dict[str, Any]) -> None:
    assert tables(results) == results["tables"]


def test_the_table_of_audits_is_of_what_was_found() -> None:
    found = json.loads((ROOT / "benchmarks/audit.json").read_text("utf-8"))["architectures"]
    assert (ROOT / "benchmarks/audit.md").read_text("utf-8") == audited(found)


def test_the_table_of_audits_names_misses_and_false_alarms() -> None:
    found = [
        {
            "name": "one",
            "parameters": 8,
            "healthy_alarms": {"a": "dead"},
            "faults": {
                "x": {"hit": False, "also": {}},
                "y": {"hit": True, "also": {"b": "dead"}},
                "z": None,
            },
        }
    ]
    shown = audited(found)
    assert [cell.strip() for cell in shown.splitlines()[2].split("|")[1:-1]] == [
        "one", "a", "missed", "more", "",
    ]  # fmt: skip
    assert shown.endswith(
        "Faults: 2, in 1 networks of 8 to 8 parameters. Missed: 1. "
        "Found, with more reported: 1. Networks with a false alarm as they are: 1.\n"
    )


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
