"""On paper stands the document alone: folds open, dark on white, whatever the screen showed."""

from collections.abc import Callable
from io import BytesIO
from unicodedata import normalize

import pytest
from playwright.sync_api import Page
from pypdf import PdfReader

from tests.browser.serving import PAGES
from tests.browser.waiting import until

PAPER = """
() => {
  const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true});
  const named = e => `${e.nodeName}.${e.className}: ${e.textContent.trim().slice(0, 50)}`;
  const light = colour => {
    const [r, g, b, alpha = 1] = colour.match(/[\\d.]+/g).map(Number);
    const [x, y, z] = [r, g, b].map(c => (c / 255) ** 2.2);
    return 1 - alpha + alpha * (0.2126 * x + 0.7152 * y + 0.0722 * z);
  };
  const bad = [];
  const screen = "nav, button, input, dialog, .bd-header, .bd-sidebar, .prev-next-area, .skip-link";
  for (const e of document.querySelectorAll(screen)) if (seen(e)) bad.push("shown: " + named(e));
  const folds = document.querySelectorAll("details:not([open])");
  for (const e of folds) bad.push("closed: " + named(e));
  for (const e of document.querySelectorAll("html, body, body *")) {
    if (!seen(e)) continue;
    const {color, backgroundColor} = getComputedStyle(e);
    if (light(backgroundColor) < 0.8) bad.push(`${backgroundColor} ground: ` + named(e));
    const words = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    if (words && light(color) > 0.18) bad.push(`${color} words: ` + named(e));  // 4.5 to white
  }
  return bad;
}
"""

# A page hears of another medium a moment later; this listener is the last that does.
LISTEN = "matchMedia('print').addEventListener('change', it => window.printed = it.matches)"
# Text of paragraphs beside formulas.
WORDS = "all => all.flatMap(p => [...p.childNodes].map(n => n.nodeType == 3 ? n.data : ''))"


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"404.html", "search.html"}))
def test_paper_shows_the_document_alone(name: str, visit: Callable[..., Page]) -> None:
    tab = visit(name, "dark")
    tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = false)")
    tab.evaluate(LISTEN)
    tab.emulate_media(media="print", color_scheme="dark")
    until(tab, "window.printed === true")
    wrong = tab.evaluate(PAPER)
    tab.emulate_media(media="screen", color_scheme="dark")
    until(tab, "window.printed === false")
    if tab.locator("details[open]").count():
        wrong.append("folds stay open on the screen")
    assert not wrong, "\n".join(wrong)


def test_a_pdf_holds_what_is_folded(visit: Callable[..., Page]) -> None:
    tab = visit("symmetry.html")
    proofs = tab.locator("details.sd-dropdown p").evaluate_all(WORDS)
    tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = false)")
    printed = "".join(page.extract_text() for page in PdfReader(BytesIO(tab.pdf())).pages)
    words = {word for proof in proofs for word in proof.split() if word.isalpha()}
    assert words
    assert not {word for word in words if word not in normalize("NFKC", printed)}


def test_the_cheat_sheet_is_one_sheet_of_paper(visit: Callable[..., Page]) -> None:
    tab = visit("cheat-sheet.html")
    tab.emulate_media(media="print")
    (sheet,) = PdfReader(BytesIO(tab.pdf(format="A4"))).pages
    tab.emulate_media(media="screen")
    printed = normalize("NFKC", sheet.extract_text())
    assert "What helps" in printed
    assert "softplus" in printed
