"""A Sphinx extension: "The way on." of a page leads to the next page of the contents.

A page that is put between two others is a warning with the line of the earlier page's way on.
"""

from docutils import nodes
from docutils.utils import get_source_line
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import docname_join, logging
from sphinx.util.typing import ExtensionMetadata

LOG = logging.getLogger(__name__)
WORDS = "The way on."


def note(app: Sphinx, page: nodes.document) -> None:
    """Note the line of a page's way on, and the page that it leads to first."""
    docname = app.env.docname
    for words in page.findall(nodes.strong):
        if words.astext() == WORDS:
            links = words.parent.findall(pending_xref)
            targets = [docname_join(docname, link["reftarget"]) for link in links]
            app.env.metadata[docname]["way_on"] = get_source_line(words.parent)[1], targets[:1]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each way on that leads to another page than the next."""
    for page, (_, _, after) in env.collect_relations().items():
        line, targets = env.metadata[page].get("way_on", (None, []))
        if line and after and targets != [after]:
            LOG.warning(
                "the next page of the contents is %r: let the way on lead there first",
                after,
                location=(page, line),
                type="checks",
                subtype="way_on",
            )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("doctree-read", note)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
