"""Nothing leaves the window, is cut, or moves by itself, on a phone or a desktop.

Wide parts scroll in themselves; readers who have asked for less motion see none.
"""

from playwright.sync_api import Page

MOVING = """
() => {
  const moves = ({transitionDuration, animationName, animationDuration, scrollBehavior}) =>
    /[1-9]/.test(transitionDuration) || scrollBehavior == "smooth" ||
    (animationName != "none" && /[1-9]/.test(animationDuration));
  const bad = [];
  for (const e of document.querySelectorAll("*"))
    for (const part of ["", "::before", "::after"])
      if (moves(getComputedStyle(e, part || null))) bad.push(`${e.nodeName}.${e.className}${part}`);
  return bad;
}
"""

BEYOND = """
() => {
  const wide = document.documentElement.clientWidth;
  const known = new Map();  // every box is asked by all that stands in it
  const box = e => {
    if (!known.has(e)) {
      const overflow = e.clientWidth ? getComputedStyle(e).overflowX : "";
      known.set(e, {overflow, small: small(e), frame: e.getBoundingClientRect()});
    }
    return known.get(e);
  };
  const hides = (e, how) => how.test(box(e).overflow);
  const seen = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const small = e => e.offsetWidth <= 1 && e.offsetHeight <= 1;  // for screen readers alone
  const named = e => e.nodeName + [...e.classList].map(c => "." + c).join("") + ": " +
    (e.alt || e.textContent).trim().replace(/\\s+/g, " ").slice(0, 60);
  const bad = [];
  const check = e => {
    const {left, right, width} = e.getBoundingClientRect();
    let cut = hides(e, /hidden|clip/) && e.scrollWidth > e.clientWidth + 1 && !e.children.length;
    for (let p = e.parentElement; p && p != document.body; p = p.parentElement) {
      if (box(p).small || hides(p, /auto|scroll/)) return;
      const {frame} = box(p);
      const out = left < frame.left - 3 || right > frame.right + 3;  // KaTeX ends boxes by 2 beyond
      cut ||= hides(p, /hidden|clip/) && out;
    }
    if (cut) bad.push("cut: " + named(e));
    if (width && (left < -1 || right > wide + 1)) bad.push("beyond the window: " + named(e));
  };
  for (const e of document.body.querySelectorAll(":not(svg *)")) if (seen(e) && !small(e)) check(e);
  const {scrollWidth} = document.documentElement;
  if (scrollWidth > wide) bad.unshift(`the page is ${scrollWidth} wide`);
  return bad;
}
"""

WIDE = """
() => [...document.querySelectorAll("article table")]
  .map(table => [table.offsetWidth, table.parentElement.clientWidth, table.textContent])
  .filter(([table, column]) => table > column + 1)
  .map(([table, column, text]) => `${table} in ${column}: ${text.trim().slice(0, 60)}`)
"""


def test_nothing_moves(opened: Page) -> None:
    found = opened.evaluate(MOVING)
    assert not found, "\n".join(found)


def test_nothing_is_beyond_or_cut(opened: Page) -> None:
    wrong = []
    for width in (360, 768, 1440):
        opened.set_viewport_size({"width": width, "height": 900})
        wrong += [f"at {width}: {what}" for what in opened.evaluate(BEYOND)]
    assert not wrong, "\n".join(wrong)


def test_a_table_fits_its_column_on_a_desk(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 900})
    assert not opened.evaluate(WIDE)
