"""A Sphinx extension: an image without alternative text is a warning with its page and line."""

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

LOG = logging.getLogger(__name__)
OF_A_CELL = (
    "this figure has no alternative text: write below :mystnb: in its cell\n"
    ":  image:\n"
    ":    alt: what there is to see"
)
OF_AN_IMAGE = "this image has no alternative text: say between its brackets what there is to see"


def around(node: nodes.Node | None) -> Iterator[nodes.Node]:
    """Yield a node, and all that it is in."""
    while node:
        yield node
        node = node.parent


def check(app: Sphinx, page: nodes.document) -> None:
    """Warn of each image without alternative text, and note the lines."""
    lines = app.env.metadata[app.env.docname]["without_alt"] = set()
    for image in page.findall(nodes.image):
        line = next((node.line for node in around(image) if node.line), None)
        if not str(image.get("alt") or "").strip() and line not in lines:
            lines.add(line)
            of_a_cell = any(
                isinstance(node, nodes.container) and "nb_element" in node for node in around(image)
            )
            said = OF_A_CELL if of_a_cell else OF_AN_IMAGE
            LOG.warning(said, location=(app.env.docname, line), type="checks", subtype="alt")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("doctree-read", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
