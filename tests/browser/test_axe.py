"""axe-core finds nothing to mend on any page, in either theme, with every fold open."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
# Every rule: those of WCAG, best practices, and those that axe tries out; of contrast, level AA.
RUN = """
async () => {
  const all = axe.getRules().map(rule => rule.ruleId);
  const names = all.filter(id => id != "color-contrast-enhanced");
  const rules = Object.fromEntries(names.map(id => [id, {enabled: true}]));
  const {violations} = await axe.run({rules, resultTypes: ["violations"]});
  return violations.flatMap(({id, nodes}) =>
    nodes.map(({target, any, all, none}) =>
      `${id}: ${target.join(" ")}: ${[...any, ...all, ...none].map(c => c.message).join("; ")}`));
}
"""


def test_axe_finds_nothing(
    name: str, visit: Callable[..., Page], turn: Callable[..., None]
) -> None:
    tab = visit(name)
    found = []
    for theme in ("light", "dark"):
        if name == "404.html":  # it asks which theme as it opens, and no more
            visit(name, theme)
        turn(theme)
        if not tab.evaluate("'axe' in window"):
            tab.evaluate(AXE.read_text("utf-8"))
        found += [f"{theme}: {what}" for what in tab.evaluate(RUN)]
    assert not found, "\n".join(found)
