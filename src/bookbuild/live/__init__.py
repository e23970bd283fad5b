"""A Sphinx extension: the directive ``{live}`` puts a figure that computes on a page of the site.

::

    :::{live} start
    Press a start, and look where the loss stops.
    :::

Its script is ``static/live/figures/start.js``. The words stand above the figure; both are hidden
until the script runs, and left out of other editions.
"""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

from bookbuild.tools import page_script
from bookbuild.tools.edition import is_site, lists_messages

LOG = logging.getLogger(__name__)
STATIC = Path(__file__).with_name("static")
SHARED = ("kernel", "numbers", "draw", "tiles", "surface")
FIGURES = sorted(script.stem for script in STATIC.glob("live/figures/*.js"))


class live(nodes.General, nodes.Element):  # noqa: N801 - named as its directive
    """The place of a live figure."""


class LiveDirective(SphinxDirective):
    """The place of a live figure, with the words above it."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Mark the place, or warn if there is no figure of that name."""
        (name,) = self.arguments
        if name not in FIGURES:
            known = ", ".join(FIGURES)
            LOG.warning(
                "there is no live figure %r: choose one of %s",
                *(name, known),
                location=self.get_location(),
            )
        return [live("", *self.parse_content_to_nodes(), figure=name)]


def choose(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remove live figures from other editions than the site; translators see their words."""
    if not is_site(app) and not lists_messages(app):
        for place in list(doctree.findall(live)):
            place.parent.remove(place)


def open_place(writer: HTML5Translator, node: live) -> None:
    """Begin the place, hidden."""
    attributes = {"data-live": node["figure"], "hidden": ""}
    writer.body.append(writer.starttag(node, "div", CLASS="live", **attributes))


def close_place(writer: HTML5Translator, node: live) -> None:
    """End the place."""
    writer.body.append("</div>\n")


def add_static_files(app: Sphinx) -> None:
    """Have Sphinx copy the scripts, and add the style sheet to those of all pages."""
    app.config.html_static_path.append(str(STATIC))
    app.add_css_file("live.css")


# All pages load all figures: they are small, and the first page brings them for the next.
load_scripts = [
    page_script.where('class="live"', f"live/{name}.js")
    for name in (*SHARED, *(f"figures/{name}" for name in FIGURES))
]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_node(live, html=(open_place, close_place))
    app.add_directive("live", LiveDirective)
    app.connect("builder-inited", add_static_files)
    app.connect("doctree-resolved", choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
