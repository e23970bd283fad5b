"""A browser for the built book: Chromium, which reaches no host but the small server of this file.

The tests look at ``_build/html``, which ``make html`` builds; ``make test`` does that first.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.serving import PAGES, UNREACHABLE, Site

NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for the ``name`` of a page every page, as ``symmetry.html``.

    Pages of source code are alike: all are weighed and seen by axe, one stands for them elsewhere.
    """
    told = any("name" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "name" in metafunc.fixturenames and not told:
        alike = [name for name in PAGES if name.startswith("_modules/zeroinit/")][1:]
        every = metafunc.module.__name__.endswith(("test_visits", "test_axe"))
        names = [name for name in PAGES if every or name not in alike]
        metafunc.parametrize("name", names or ["index.html"])


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    assert PAGES, "run `make html` first: _build/html holds no page"
    with Site() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def chromium() -> str:
    """Return the path of a browser; where there is none, skip, but never in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
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
def contexts(browser: Browser) -> dict[str, BrowserContext]:
    """Two readers, one of the light and one of the dark theme; each keeps a tab and a cache."""
    themes: dict[str, BrowserContext] = {}
    for theme in ("light", "dark"):
        themes[theme] = browser.new_context(color_scheme=theme, reduced_motion="reduce")
        themes[theme].set_default_timeout(5000)
        themes[theme].new_page()
    return themes


@pytest.fixture
def visit(site: Site, contexts: dict[str, BrowserContext]) -> Callable[..., Page]:
    """Return a function that opens a page, every fold of it open."""

    def visit(name: str, theme: str = "light", width: int = 1440) -> Page:
        (tab,) = contexts[theme].pages
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(site.address + name)
        tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        tab.evaluate("document.getAnimations().forEach(animation => animation.finish())")
        return tab

    return visit
