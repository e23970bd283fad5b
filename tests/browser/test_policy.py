"""Pages work under their content security policy: put in a folder, from a file, and attacked."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.serving import SITE, Site, serving
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


def test_the_site_works_below_a_path(own_tab: Page, wrong: list[str]) -> None:
    missing = []
    own_tab.on("response", lambda answer: missing.append(answer.url) if not answer.ok else None)
    with serving(prefix="/books/zero/") as below:
        own_tab.goto(f"{below.address}lab.html")
        own_tab.click(".lab-step")
        until(own_tab, "document.querySelector('.lab').lab.state().step == 1")
        own_tab.goto(f"{below.address}search.html?q=twins")
        until(own_tab, "document.querySelector('#search-results li')")
        own_tab.click("#search-results li a >> nth=0")
        own_tab.click("a.language")
        assert own_tab.url.startswith(f"{below.address}zh/")
        assert own_tab.locator("html").get_attribute("lang") == "zh-CN"
        own_tab.goto(f"{below.address}index.html")
        own_tab.click("nav.bd-links a >> nth=3")
        assert own_tab.url.startswith(below.address)
        assert not missing
    assert not wrong


def test_a_cache_mixes_no_two_versions(own_tab: Page, wrong: list[str], site: Site) -> None:
    """All that pages and scripts ask for but fonts, pictures and data names the same version."""
    asked = []
    own_tab.on("request", lambda request: asked.append(request.url))
    own_tab.goto(f"{site.address}lab.html")
    own_tab.click(".lab-step")
    until(own_tab, "document.querySelector('.lab').lab.state().step == 1")
    code = [url for url in asked if re.search(r"_static/.*\.(css|m?js|json|onnx|bin|gz)\b", url)]
    assert {"app.js", "run.js", "ort.wasm.min.mjs", "lab.json"} <= {
        url.rpartition("/")[2].partition("?")[0] for url in code
    }
    assert len({url.partition("?")[2] for url in code}) == 1
    assert all(re.search(r"\?v=[0-9a-f]{8}$", url) for url in code)


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
