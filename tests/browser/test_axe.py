"""axe-core finds nothing to mend on any page, in either theme, with every fold open."""

from collections.abc import Callable
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(name: str, theme: str, visit: Callable[..., Page]) -> None:
    tab = visit(name, theme)
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    tab.evaluate(AXE.read_text("utf-8"))
    found = tab.evaluate(RUN)
    assert not found, "\n".join(found)
