"""A page takes few bytes, and all of them from the site.

``weights.json`` holds the bytes of each page: ``first`` without a cache, ``next`` after a visit of
the first page. The tests measure them and write them to ``_build/weights.json``, too.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, Response

from tests.browser.serving import PAGES, ROOT, WRITTEN, Site, serving

FIRST, NEXT = 220_000, 60_000  # the most bytes of a page of the book
TABLE = ROOT / "tests/browser/weights.json"
MEASURED = ROOT / "_build/weights.json"


class Visit(NamedTuple):
    """The bytes that a page takes, by path, and the errors while it loads."""

    sent: dict[str, int]
    wrong: list[str]


Visits = Callable[[str], Visit]


class Arrival:
    """A page as it opens in a browser that knows nothing of the site yet, with a server of its own.

    It loads while others open: only ``seen`` waits until nothing has been asked for half a second.
    """

    def __init__(self, name: str, browser: Browser, stack: ExitStack) -> None:
        self.site = stack.enter_context(serving())
        self.requests: list[Request] = []
        self.answers: list[Response] = []
        self.errors: list[Error] = []
        self.said: list[ConsoleMessage] = []
        self.tab = stack.enter_context(browser.new_context()).new_page()
        self.tab.on("request", lambda it: self.requests.append(it))
        self.tab.on("response", lambda it: self.answers.append(it))
        self.tab.on("pageerror", lambda it: self.errors.append(it))
        self.tab.on("console", lambda it: self.said.append(it))
        self.tab.goto(self.site.address + name)
        read_pictures(self.tab)

    def seen(self) -> Visit:
        self.tab.wait_for_load_state("networkidle")
        sent = dict(self.site.sent)
        asked = [it.url for it in self.requests]
        wrong = [url for url in asked if not url.startswith((self.site.address, "data:"))]
        wrong += [f"{it.url}: {it.failure}" for it in self.requests if it.failure]
        wrong += [f"{it.url}: {it.status}" for it in self.answers if not it.ok]
        wrong += [str(error) for error in self.errors]
        wrong += [it.text for it in self.said if it.type in {"error", "warning"}]
        bare = self.tab.locator(".math:not(:has(.katex, math, mjx-container))")
        wrong += [f"a formula is not drawn: {text}" for text in bare.all_inner_texts()]
        wrong += self.tab.evaluate(
            "[...document.fonts].filter(it => it.status == 'error').map(it => it.family)"
        )
        return Visit(sent, wrong)


def read_pictures(tab: Page) -> None:
    """Have the pictures read that wait to be scrolled to."""
    tab.evaluate("for (const image of document.images) image.loading = 'eager'")


@pytest.fixture(scope="module")
def visits(browser: Browser) -> Visits:
    """Return a function that tells of the first visit of a page; it opens eight side by side."""
    known: dict[str, Visit] = {}

    def visit(name: str) -> Visit:
        if name not in known:
            start = PAGES.index(name) // 8 * 8
            with ExitStack() as stack:
                group = PAGES[start : start + 8]
                arrivals = {page: Arrival(page, browser, stack) for page in group}
                known.update({page: arrival.seen() for page, arrival in arrivals.items()})
        return known[name]

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
        read_pictures(tab)
        tab.wait_for_load_state("networkidle")
    assert site.sent == expected
