"""A Sphinx extension: ``{lab}`text <start=zeros&activation=relu>` `` links to a state of the lab.

Names and values are those of the controls in ``lab.html``; what the lab does not offer is a warning
with its page and line. In the EPUB, where no lab can run, the link leads to the lab's page.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import is_site

LOG = logging.getLogger(__name__)
PAGE = "lab"
WIDGET = Path(__file__).with_name("lab.html")
NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
POINTS = re.compile(rf"{NUMBER}:{NUMBER}:[01](?:,{NUMBER}:{NUMBER}:[01])*")


class Controls(NamedTuple):
    """What each menu offers, and the least and the most of each number and of each start's size."""

    menus: dict[str, list[str]]
    numbers: dict[str, tuple[float, float]]
    sizes: dict[str, tuple[float, float]]


@cache  # every link asks
def controls(markup: str) -> Controls:
    """Return what the controls of the lab offer."""
    widget = BeautifulSoup(markup, "html.parser")

    def limits(tag: Tag, prefix: str = "") -> tuple[float, float]:
        return float(str(tag[prefix + "min"])), float(str(tag[prefix + "max"]))

    return Controls(
        {
            str(menu["name"]): [str(o.get("value", o.get_text())) for o in menu.select("option")]
            for menu in widget.select("select[name]")
        },
        {str(field["name"]): limits(field) for field in widget.select("input[type=number][name]")},
        {str(o["value"]): limits(o, "data-") for o in widget.select("option[data-min]")},
    )


def wrong(state: str) -> Iterator[str]:
    """Yield in words what the lab does not take of a state."""
    menus, numbers, sizes = controls(WIDGET.read_text("utf-8"))
    given = [(name, value) for name, _, value in (part.partition("=") for part in state.split("&"))]
    numbers = {name: limits for name, limits in numbers.items() if name != "size"}
    if (start := dict(given).get("start", "")) in sizes:
        numbers["size"] = sizes[start]
    for name, value in given:
        if [other for other, _ in given].count(name) > 1:
            yield f"{name} is there twice"
        elif name in menus:
            if value not in menus[name]:
                yield f"{name} must be one of {', '.join(menus[name])}, got {value!r}"
        elif name in numbers:
            least, most = numbers[name]
            if not (re.fullmatch(NUMBER, value) and least <= float(value) <= most):
                yield f"{name} must be a number from {least:g} to {most:g}, got {value!r}"
        elif name == "points":
            if not POINTS.fullmatch(value):
                yield f"points must be x:y:class with commas between them, got {value!r}"
        else:
            yield f"there is no {name!r} here, but {', '.join((*menus, *numbers, 'points'))}"


class Link(ReferenceRole):
    """A link to the lab in a state."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Check the state, and leave the link to be resolved when the builder is known."""
        self.env.note_dependency(str(WIDGET))
        for complaint in wrong(self.target):
            LOG.warning("state of the lab: %s", complaint, location=self.get_location())
        link = pending_xref(
            "",
            nodes.inline("", self.title),
            refdomain="",
            reftype="lab",
            reftarget=self.target,
            refdoc=self.env.docname,
            refwarn=True,
        )
        self.set_source_info(link)
        return [link], []


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Return the link to the page of the lab; on a site with the state as its fragment."""
    if node["reftype"] != "lab" or PAGE not in env.found_docs:
        return None
    if is_site(app):
        return make_refnode(app.builder, node["refdoc"], PAGE, node["reftarget"], content)
    return make_refnode(app.builder, node["refdoc"], PAGE, "", content)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_role("lab", Link())
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
