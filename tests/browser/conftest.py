"""A browser for the built book: Chromium, which reaches no host but the small server of this file.

The tests look at ``_build/html``, which ``make html`` builds; ``make test`` does that first.
"""

import os
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bookbuild.tools.browser import find
from tests.browser.serving import ALIKE, PAGES, UNREACHABLE, Site, serving
from tests.browser.waiting import until


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for the ``name`` of a page every page, as ``symmetry.html``.

    Pages of source code are alike: all are weighed and seen by axe, one stands for them elsewhere.
    All tests of a file look at one page before they go to the next.
    """
    told = any("name" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "name" in metafunc.fixturenames and not told:
        every = metafunc.module.__name__.endswith(("test_visits", "test_axe"))
        names = [name for name in PAGES if every or name not in ALIKE]
        metafunc.parametrize("name", names or ["index.html"], scope="module")


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    assert PAGES, "run `make html` first: _build/html holds no page"
    with serving() as server:
        yield server


@pytest.fixture(scope="package")
def chromium() -> str:
    """Return the path of a browser; where there is none, skip, but never in CI."""
    found = find()
    if not found:
        message = "no browser is found: install one, as with `apt-get install chromium`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return found


# Playwright keeps an event loop in the thread: for these tests, not for those of other folders.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=[UNREACHABLE])


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Page:
    """The tab of a reader, with a cache."""
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(5000)
    return context.new_page()


@pytest.fixture
def turn(tab: Page) -> Callable[..., None]:
    """Return a function that turns the open page to a theme, as a reader's machine does."""

    def turn(theme: Literal["light", "dark"]) -> None:
        tab.emulate_media(color_scheme=theme)
        until(tab, "theme => document.documentElement.dataset.theme == theme", theme)
        tab.evaluate("document.getAnimations().forEach(animation => animation.finish())")

    return turn


@pytest.fixture(scope="package")
def visit(site: Site, tab: Page) -> Callable[..., Page]:
    """Return a function that opens a page, every fold of it open."""

    def visit(name: str, theme: Literal["light", "dark"] = "light", width: int = 1440) -> Page:
        tab.emulate_media(color_scheme=theme)
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(site.address + name)
        tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        tab.evaluate("document.getAnimations().forEach(animation => animation.finish())")
        return tab

    return visit


@pytest.fixture(scope="module")
def opened(name: str, visit: Callable[..., Page]) -> Page:
    """The page of that name, opened once for all tests of a file."""
    return visit(name)
