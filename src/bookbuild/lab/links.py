"""A Sphinx extension: ``{lab}`text <start=zeros&activation=relu>` `` links to a state of the lab.

``README.md`` beside this file has the grammar of a link. A link of which the lab would leave
something out is a warning with its page and line. In the EPUB, where no lab can run, the link leads
to the lab's page.
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

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
NUMBER = re.compile(r" *[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)? *", re.ASCII | re.IGNORECASE)


class Controls(NamedTuple):
    """The choices of the form in ``lab.html``, as texts; ``settings.js`` explains each field."""

    menus: dict[str, list[str]]
    numbers: dict[str, dict[str, str]]
    sizes: dict[str, dict[str, str]]
    defaults: dict[str, str]
    points: dict[str, str]


@cache  # every link asks
def controls(markup: str) -> Controls:
    """Return the choices that the controls of the lab offer."""
    form = BeautifulSoup(markup, "html.parser")
    fields = form.select("select[name], input[type=number][name]")
    (own,) = form.select("option[data-reach]")

    def value(tag: Tag) -> str:
        return str(tag.get("value", tag.get_text()))

    def texts(tag: Tag, **attributes: str) -> dict[str, str]:
        return {key: str(tag[attribute]) for key, attribute in attributes.items()}

    return Controls(
        menus={
            str(field["name"]): [value(option) for option in field.select("option")]
            for field in fields
            if field.name == "select"
        },
        numbers={
            str(field["name"]): texts(field, min="min", max="max", step="step")
            for field in fields
            if field.name == "input"
        },
        sizes={
            value(option): texts(option, min="data-min", max="data-max", value="data-size")
            for option in form.select("option[data-min]")
        },
        defaults={
            str(field["name"]): value(field.select_one("[selected]") or field) for field in fields
        },
        points={"data": value(own)} | texts(own, reach="data-reach", most="data-most"),
    )


def number(text: str) -> float:
    """Return a text as a number, NaN if it is none."""
    return float(text) if NUMBER.fullmatch(text) else math.nan


def are_points(text: str, reach: float, most: float) -> bool:
    """Return whether a text is a list of points that the lab takes."""
    points = [[number(part) for part in point.split(":")] for point in text.split(",")]
    return len(points) <= most and all(
        len(point) == 3 and all(abs(x) <= reach for x in point[:2]) and point[2] in (0, 1)
        for point in points
    )


def wrong(state: str) -> Iterator[str]:
    """Yield a sentence on each part of a state that the lab does not take."""
    menus, numbers, sizes, defaults, points = controls(WIDGET.read_text("utf-8"))
    # As a browser's URLSearchParams reads it. An empty state has one name, the empty one.
    given = parse_qsl(state.removeprefix("?"), keep_blank_values=True) or [("", "")]
    chosen = defaults | dict(given)
    if chosen["start"] in sizes:
        numbers = numbers | {"size": numbers["size"] | sizes[chosen["start"]]}
    else:
        numbers = {name: limits for name, limits in numbers.items() if name != "size"}
    for name, value in given:
        if [other for other, _ in given].count(name) > 1:
            yield f"{name} is there twice"
        elif name in menus:
            if value not in menus[name]:
                yield f"{name} must be one of {', '.join(menus[name])}, got {value!r}"
        elif name in numbers:
            least, most = float(numbers[name]["min"]), float(numbers[name]["max"])
            whole = numbers[name]["step"] != "any"
            found = number(value)
            if not (least <= found <= most) or (whole and not found.is_integer()):
                kind = "whole number" if whole else "number"
                yield f"{name} must be a {kind} from {least:g} to {most:g}, got {value!r}"
        elif name == "points":
            if not are_points(value, float(points["reach"]), float(points["most"])):
                yield (
                    "points must be x:y:class with commas between them, from "
                    f"-{points['reach']} to {points['reach']} and 0 or 1, {points['most']} at most,"
                    f" got {value!r}"
                )
            elif chosen["data"] != points["data"]:
                yield f"points must come with data={points['data']}, got data={chosen['data']}"
        else:
            yield f"there is no {name!r} here, but {', '.join((*menus, *numbers, 'points'))}"


class Link(ReferenceRole):
    """A link to the lab in a state."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Check the state; ``resolve`` makes the link when the builder is known."""
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
