"""Nothing moves by itself for readers who have asked for less motion."""

from collections.abc import Callable

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


def test_nothing_moves(name: str, visit: Callable[..., Page]) -> None:
    found = visit(name).evaluate(MOVING)
    assert not found, "\n".join(found)
