"""A Sphinx extension: the site offers the book's other editions, a PDF or slides, once made.

The setting ``editions`` names the files, with a description of each. The directive ``{editions}``
becomes a list of links to those that exist, or nothing if there are none. The build of the site
copies them into ``_static``, where no HTML is taken for a page.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import is_site

FOLDER = "_static"


class editions(nodes.General, nodes.Element):  # noqa: N801 - named as its directive
    """The place of the list."""


class Editions(SphinxDirective):
    """A list of the editions that have been made."""

    def run(self) -> list[nodes.Node]:
        """Remember the page, and mark the place."""
        self.env.metadata[self.env.docname]["editions"] = "here"
        return [editions()]


def made(app: Sphinx) -> dict[Path, str]:
    """Return the files that exist, with their descriptions; none if this is not the site."""
    found = {Path(app.confdir, file): words for file, words in app.config.editions.items()}
    return {f: words for f, words in found.items() if is_site(app) and f.exists()}


def write_again(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Return the pages to write if the files are not those that the site has."""
    site = {Path(app.outdir, FOLDER, Path(file).name) for file in app.config.editions}
    if {file.name for file in site if file.exists()} == {file.name for file in made(app)}:
        return []
    return [page for page, about in env.metadata.items() if "editions" in about]


def offer(app: Sphinx, page: nodes.document, name: str) -> None:
    """Replace the mark by the list."""
    for place in page.findall(editions):
        offered = nodes.bullet_list(classes=["editions"])
        for file, words in made(app).items():
            up = "../" * name.count("/")
            link = nodes.reference("", words, refuri=f"{up}{FOLDER}/{file.name}", internal=True)
            offered += nodes.list_item("", nodes.paragraph("", "", link))
        place.replace_self([offered] if offered.children else [])


def publish(app: Sphinx) -> None:
    """Copy the files into the site; what no page links is removed with other static files."""
    for file in made(app):
        target = Path(app.outdir, FOLDER, file.name)
        if not target.exists() or target.stat().st_mtime != file.stat().st_mtime:
            shutil.copy2(file, target)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("editions", {}, "html", types=frozenset({dict}))
    app.add_node(editions)
    app.add_directive("editions", Editions)
    app.connect("env-updated", write_again)
    app.connect("doctree-resolved", offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
