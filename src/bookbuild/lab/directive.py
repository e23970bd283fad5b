"""A Sphinx extension: the directive ``{lab}`` puts the lab on a page of the site.

Its markup is the template ``lab.html``; its scripts and its style sheet are in ``static``. The
files that the scripts load are in ``_build/lab.zip``, which ``bookbuild.lab.archive`` makes before
the build.
Without that archive a sentence stands in the lab's place.
"""

from pathlib import Path
from zipfile import ZipFile

from docutils import nodes
from jinja2 import Template
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools import page_script
from bookbuild.tools.edition import is_site
from bookbuild.tools.words import phrase

LOG = logging.getLogger(__name__)
MARKUP = Path(__file__).with_name("lab.html")
STATIC = Path(__file__).with_name("static")
MISSING = phrase(
    "This copy of the book was built without the lab, because npm's registry could not be reached. "
    "The next build tries again."
)


def made(app: Sphinx) -> Path:
    """Return the archive of the files that the scripts load."""
    return Path(app.confdir, "_build/lab.zip")


class LabDirective(SphinxDirective):
    """The place of the lab."""

    def run(self) -> list[nodes.Node]:
        """Return its markup, or a sentence that says why it is not there."""
        there = made(self.env.app).exists()
        self.env.metadata[self.env.docname]["lab"] = there
        self.env.note_dependency(MARKUP)
        if not there:
            LOG.info("the lab is left out: %s is not there", made(self.env.app))
            return [nodes.note("", nodes.paragraph("", str(MISSING)))]
        html = Template(MARKUP.read_text("utf-8")).render(phrase=phrase)
        return [nodes.raw("", html, format="html", lab=True)]


def outdated(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """Have the page read again when the file has come or gone."""
    there = made(app).exists()
    return [page for page, about in env.metadata.items() if about.get("lab", there) != there]


def choose(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remove the lab from other editions than the site."""
    if not is_site(app):
        for raw in list(doctree.findall(nodes.raw)):
            if raw.get("lab"):
                raw.parent.remove(raw)


def add_static_files(app: Sphinx) -> None:
    """Have Sphinx copy the scripts, and add the style sheet to those of all pages, as the last."""
    app.config.html_static_path.append(str(STATIC))
    app.add_css_file("lab.css")


load_script = page_script.where('class="lab"', "lab.js")


def copy_files(app: Sphinx) -> None:
    """Unpack the files that the scripts load beside the scripts."""
    if made(app).exists():
        with ZipFile(made(app)) as archive:
            archive.extractall(Path(app.outdir, "_static/lab"))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_directive("lab", LabDirective)
    app.connect("builder-inited", add_static_files)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-resolved", choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
