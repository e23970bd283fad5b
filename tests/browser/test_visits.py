"""A visit takes little, and takes it from the site alone.

``weights.json`` holds the bytes that each page takes, of who comes to the site by it and of who has
read the first page before. The tests measure them and write them to ``_build/weights.json``, too.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Request, Response

from tests.browser.serving import PAGES, ROOT, WRITTEN, Site

FIRST, NEXT = 220_000, 60_000  # what a page of the book may take
TABLE = ROOT / "tests/browser/weights.json"
MEASURED = ROOT / "_build/weights.json"


class Visit(NamedTuple):
    """What a page takes, as bytes by path, and what goes wrong while it loads."""

    sent: dict[str, int]
    wrong: list[str]


Visits = Callable[[str], Visit]


@pytest.fixture(scope="module")
def visits(site: Site, browser: Browser) -> Visits:
    """Return a function that opens a page in a browser that knows nothing of the site yet."""

    @cache
    def visit(name: str) -> Visit:
        requests: list[Request] = []
        answers: list[Response] = []
        errors: list[Error] = []
        said: list[ConsoleMessage] = []
        with browser.new_context() as context:
            tab = context.new_page()
            tab.on("request", lambda it: requests.append(it))
            tab.on("response", lambda it: answers.append(it))
            tab.on("pageerror", lambda it: errors.append(it))
            tab.on("console", lambda it: said.append(it))
            site.sent.clear()
            tab.goto(site.address + name)
            # a picture that waits to be scrolled to is read in the end
            tab.evaluate("for (const image of document.images) image.loading = 'eager'")
            tab.wait_for_load_state("networkidle")
            sent = dict(site.sent)
            asked = [it.url for it in requests]
            wrong = [url for url in asked if not url.startswith((site.address, "data:"))]
            wrong += [f"{it.url}: {it.failure}" for it in requests if it.failure]
            wrong += [f"{it.url}: {it.status}" for it in answers if not it.ok]
            wrong += [str(error) for error in errors]
            wrong += [it.text for it in said if it.type in {"error", "warning"}]
            bare = tab.locator(".math:not(:has(.katex, math, mjx-container))")
            wrong += [f"a formula is not drawn: {text}" for text in bare.all_inner_texts()]
            wrong += tab.evaluate(
                "[...document.fonts].filter(it => it.status == 'error').map(it => it.family)"
            )
        return Visit(sent, wrong)

    return visit


@pytest.fixture(scope="module")
def weights(visits: Visits) -> Iterator[Callable[[str], dict[str, int]]]:
    """Return a function that weighs a page; in the end all that were weighed are written."""
    table: dict[str, dict[str, int]] = json.loads(TABLE.read_text("utf-8"))

    def weigh(name: str) -> dict[str, int]:
        here, before = visits(name).sent, visits("index.html").sent
        table[name] = {
            "first": sum(here.values()),
            "next": sum(size for path, size in here.items() if path not in before),
        }
        return table[name]

    yield weigh
    rows = [f" {json.dumps(name)}: {json.dumps(table[name])}" for name in PAGES if name in table]
    MEASURED.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def test_nothing_goes_wrong_and_nobody_else_is_asked(name: str, visits: Visits) -> None:
    wrong = visits(name).wrong
    assert not wrong, "\n".join(wrong)


def test_a_page_weighs_what_the_table_says(
    name: str, weights: Callable[[str], dict[str, int]]
) -> None:
    weight = weights(name)
    if name in WRITTEN:
        assert weight["first"] <= FIRST
        assert weight["next"] <= NEXT
    told = json.loads(TABLE.read_text("utf-8")).get(name, dict.fromkeys(weight, 0))
    assert told == pytest.approx(weight, rel=0.03, abs=100), (
        "if the new weight is meant, run the file's tests and "
        f"`cp {MEASURED.relative_to(ROOT)} {TABLE.relative_to(ROOT)}`"
    )


def test_a_second_page_takes_only_what_the_first_did_not(
    site: Site, browser: Browser, visits: Visits
) -> None:
    name, before = "symmetry.html", visits("index.html").sent
    expected = {path: size for path, size in visits(name).sent.items() if path not in before}
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto(site.address + "index.html", wait_until="networkidle")
        site.sent.clear()
        tab.goto(site.address + name)
        tab.evaluate("for (const image of document.images) image.loading = 'eager'")
        tab.wait_for_load_state("networkidle")
    assert site.sent == expected
