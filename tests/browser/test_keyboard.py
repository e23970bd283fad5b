"""The keyboard alone reaches everything, in reading order, and a reader sees where it stands."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Page

# Returns all that Tab should stop at, and what scrolls besides, which only Chromium stops at by
# itself; from then on `reached` is told every stop, as its place in the list, with what is wrong.
LISTEN = """
() => {
  // The sidebar opens the list of the section that is read, which changes while Tab is pressed.
  for (const list of document.querySelectorAll(".bd-sidebar-secondary .nav .nav"))
    list.style.display = "block";
  const seen = e => e.checkVisibility({visibilityProperty: true}) && e.offsetWidth > 0;
  const words = e => (e.ariaLabel || e.textContent).trim().replace(/\\s+/g, " ").slice(0, 50);
  const named = e => `${e.nodeName}.${e.className}: ${words(e)}`;
  const all = [...document.body.querySelectorAll("*")].filter(seen);
  const can = e => e.tabIndex >= 0 && !e.disabled && (e.type != "radio" || e.checked);
  const stops = all.filter(can);
  const scrolls = e => {
    const {overflowX, overflowY} = getComputedStyle(e);
    return e.scrollWidth > e.clientWidth && /auto|scroll/.test(overflowX) ||
      e.scrollHeight > e.clientHeight && /auto|scroll/.test(overflowY);
  };
  const scrolled = all.filter(e => scrolls(e) && !stops.some(stop => e.contains(stop)));
  const look = e => {
    const {outlineStyle, outlineWidth, boxShadow, borderColor} = getComputedStyle(e);
    return outlineStyle == "none" ? boxShadow + borderColor : outlineStyle + outlineWidth;
  };
  const before = stops.map(look);
  window.reached = [];
  document.addEventListener("focusin", ({target}) => {
    const k = stops.indexOf(target);
    document.getAnimations().forEach(animation => animation.finish());
    const {left, right, top, bottom} = target.getBoundingClientRect();
    const away = right <= 0 || bottom <= 0 || left >= innerWidth || top >= innerHeight;
    const wrong = away ? "out of sight:" : look(target) == before[k] ? "unmarked:" : "";
    reached.push(k < 0 ? [k, `no stop, but has the focus: ${named(target)}`] : [k, wrong]);
  });
  return [stops.map(named), scrolled.map(named)];
}
"""

OPEN = "fold => fold.parentElement.open"


@pytest.fixture(scope="module")
def narrow(name: str, visit: Callable[..., Page]) -> list[str]:
    """What scrolls on a phone, and is no stop of Tab."""
    found: list[str] = visit(name, width=360).evaluate(LISTEN)[1]
    return found


def test_tab_stops_at_everything_in_order(narrow: list[str], opened: Page) -> None:
    stops, scrolled = opened.evaluate(LISTEN)
    last = f"reached.at(-1)?.[0] == {len(stops) - 1}"
    for k in range(len(stops) + 5):  # a busy browser may lose a key
        if k >= len(stops) and opened.evaluate(last):
            break
        opened.keyboard.press("Tab")
    reached = opened.evaluate("reached")
    order = [stop for stop, _ in reached]
    wrong = [f"{what} {stops[stop]}" if stop >= 0 else what for stop, what in reached if what]
    wrong += [f"never reached: {stop}" for k, stop in enumerate(stops) if k not in order]
    wrong += [f"{stops[k]} comes too late" for j, k in pairwise(order) if k <= j]
    wrong += [f"scrolls, and has no tabindex: {what}" for what in scrolled + narrow]
    assert not wrong, "\n".join(wrong)


def test_the_keyboard_opens_and_closes_every_fold(opened: Page) -> None:
    wrong = []
    for fold in opened.locator("summary").element_handles():
        fold.focus()
        was = fold.evaluate(OPEN)
        for key in ("Enter", "Space"):
            opened.keyboard.press(key)
            if (now := fold.evaluate(OPEN)) == was:
                wrong.append(f"{key} does nothing: {fold.inner_text()}")
            was = now
    assert not wrong, "\n".join(wrong)
