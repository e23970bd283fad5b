"""Pages work under their content security policy: put in a folder, from a file, and attacked."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.serving import SITE, Site
from tests.browser.waiting import PROBE, until


@pytest.fixture
def wrong() -> list[str]:
    """What went wrong on the page of ``tab``."""
    return []


@pytest.fixture
def own_tab(browser: Browser, wrong: list[str]) -> Iterator[Page]:
    with browser.new_context() as context:
        tab = context.new_page()
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: wrong.append(said.text) if said.type != "log" else None)
        yield tab


@pytest.mark.parametrize("name", ["index.html", "lab.html", "search.html", "404.html"])
def test_markup_that_is_put_into_a_page_runs_nothing(
    name: str, own_tab: Page, wrong: list[str], site: Site
) -> None:
    own_tab.goto(site.address + name)
    assert not wrong
    assert own_tab.evaluate(PROBE) == [0, False]
    assert sum("Content Security Policy" in text for text in wrong) >= 4


def test_a_query_plants_no_markup(own_tab: Page, wrong: list[str], site: Site) -> None:
    own_tab.goto(f"{site.address}search.html?q=<b id=sown>twins</b>&highlight=<b id=sown>")
    until(own_tab, "document.querySelector('#search-results li')")
    assert not own_tab.locator("#sown").count()
    assert not wrong


@pytest.mark.parametrize("name", ["index.html", "symmetry.html", "proofs.html", "zh/index.html"])
def test_a_page_opens_from_a_file(name: str, own_tab: Page, wrong: list[str]) -> None:
    own_tab.goto((SITE / name).as_uri())
    assert own_tab.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight") == "500"
    assert own_tab.evaluate("typeof phrase") == "function"
    assert not wrong


def test_a_formula_is_laid_out_as_with_its_style_attributes(browser: Browser, site: Site) -> None:
    """KaTeX's own HTML is the oracle: each part of a formula stands where its attributes put it."""
    boxes = """
    () => [...document.querySelectorAll("article .katex-html span")].map(part => {
      const {x, y, width, height} = part.getBoundingClientRect();
      return [x, y, width, height];
    })
    """
    restore = """
    () => {
      const sheet = document.querySelector("head > style:last-of-type");
      const rules = [...sheet.sheet.cssRules].map(rule => [rule.selectorText, rule.style.cssText]);
      sheet.remove();
      for (const [selector, text] of rules)
        for (const part of document.querySelectorAll(selector))
          part.style.cssText = text.replaceAll("!important", "");
      return rules.length;
    }
    """
    with browser.new_context(bypass_csp=True) as context:
        tab = context.new_page()
        tab.goto(f"{site.address}symmetry.html")
        tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        tab.evaluate("document.fonts.ready")
        classes = tab.evaluate(boxes)
        assert tab.evaluate(restore) > 20
        assert tab.evaluate(boxes) == classes
        assert len(classes) > 1000
