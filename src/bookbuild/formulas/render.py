"""A Sphinx extension: formulas are rendered while the book is built, and pages need no script.

A page's formulas are collected when it is read, and all are rendered before pages are written. A
page holds HTML for display and MathML for screen readers, a page of an EPUB only MathML. A wrong
formula is a warning with its line.

KaTeX, which renders them, is in ``node_modules``, which ``npm ci`` makes. Without it pages load
MathJax.
"""

import re
from html import escape
from pathlib import Path
from typing import Any, NoReturn

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number, wrap_displaymath
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

from bookbuild.formulas.katex import Drawn, Formula, Katex, visible
from bookbuild.tools.edition import EPUB, place
from bookbuild.tools.words import phrase

LOG = logging.getLogger(__name__)
NUMBERED = re.compile(r"(\\(?:begin|end){(?:align|alignat|equation|gather))}")
PARTS = "</span>", '<span class="katex-base">'  # a formula may break between them
UNBROKEN = 16  # a formula of so many characters stays on one line


def formula(node: nodes.math | nodes.math_block) -> Formula:
    """Return the TeX of a node, without equation numbers, which Sphinx gives."""
    tex = node.astext().strip()
    if isinstance(node, nodes.math):
        return tex, False
    if node.get("no-wrap", node.get("nowrap")):
        return NUMBERED.sub(r"\1*}", tex), True
    rows = r"\\" in tex or "\n\n" in tex
    return wrap_displaymath(tex, None, False) if rows else tex, True


def bind(node: nodes.math) -> None:
    """Put a formula and the punctuation that touches it into one box without line breaks."""
    parent, place = node.parent, node.parent.index(node)
    bound = nodes.inline("", "", node.deepcopy(), classes=["unbroken"])
    for other, marks in ((place - 1, r"[^\s\w]+$"), (place + 1, r"^[^\s\w]+")):
        text = parent[other] if 0 <= other < len(parent) else None
        if isinstance(text, nodes.Text) and (found := re.search(marks, text)):
            bound.insert(0 if other < place else len(bound), nodes.Text(found[0]))
            parent[other] = nodes.Text(re.sub(marks, "", text))
    parent[place] = bound


def note(app: Sphinx, doctree: nodes.document) -> None:
    """Collect the formulas of a page that was read."""
    for node in list(doctree.findall(nodes.math)):
        bind(node)
    found = {formula(node) for node in doctree.findall(nodes.math)}
    found |= {formula(node) for node in doctree.findall(nodes.math_block)}
    app.env.metadata[app.env.docname]["formulas"] = found


class Mathematics:
    """The formulas of a book, written into its pages."""

    def __init__(self, katex: Katex) -> None:
        self.katex = katex
        self.drawn: dict[Formula, Drawn] = {}
        self.output = ""

    def prepare(self, app: Sphinx, builder: Builder) -> None:
        """Before pages are written, render every formula, and write style sheet and fonts."""
        if builder.format != "html":
            return
        self.output = "mathml" if builder.name == EPUB else "htmlAndMathml"
        noted = {f for page in app.env.metadata.values() for f in page.get("formulas", ())}
        self.drawn = self.katex.draw(noted, self.output)
        if noted and self.output != "mathml":
            for name, content in self.katex.assets(self.drawn[f] for f in noted).items():
                file = Path(app.outdir, "_static/katex", name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)

    def html(self, node: nodes.math | nodes.math_block) -> str:
        """Return a formula's HTML, and warn if the formula is wrong."""
        key = formula(node)
        if key not in self.drawn:  # an extension added it after the page was read
            self.drawn |= self.katex.draw({*self.drawn, key}, self.output)
        drawn = self.drawn[key]
        if drawn.wrong:
            LOG.warning("%s", drawn.wrong, location=node, type="mathematics")
        return drawn.html or f"<code>{escape(key[0])}</code>"

    def inline(self, page: HTML5Translator, node: nodes.math) -> NoReturn:
        """Write a formula within a line; a long one may break where KaTeX would."""
        start = page.starttag(node, "span", "", CLASS="math notranslate nohighlight")
        drawn = self.html(node)
        if len(visible(drawn)) > UNBROKEN:
            drawn = drawn.replace("".join(PARTS), "<wbr>".join(PARTS))
        page.body.append(f"{start}{drawn}</span>")
        raise nodes.SkipNode

    def block(self, page: HTML5Translator, node: nodes.math_block) -> NoReturn:
        """Write a formula on a line of its own, with its number, in a box that scrolls."""
        page.body.append(page.starttag(node, "div", CLASS="math notranslate nohighlight"))
        if node.get("number"):
            page.body.append(f'<span class="eqno">({get_node_equation_number(page, node)})')
            page.add_permalink_ref(node, _("Link to this equation"))
            page.body.append("</span>")
        # a class of the theme: its script lets the keyboard reach boxes that scroll
        name = phrase("Formula")
        box = f'<div class="pst-scrollable-table-container" role="group" aria-label="{name}">'
        page.body.append(f"{box}{self.html(node)}</div></div>\n")
        raise nodes.SkipNode


def titles(app: Sphinx) -> set[str]:
    """Return the pages whose title holds a formula that KaTeX draws."""
    drawn = bool(app.config.katex_version)
    return {p for p, title in app.env.titles.items() if drawn and title.next_node(nodes.math)}


def write_title(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the title of a page with its formulas as plain text, for the browser's window."""
    if page in titles(app):
        context["title"] = escape(app.env.titles[page].astext())


def link_style(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Link the style sheet on pages that show a formula, also in the title of another page."""
    if titles(app) or (app.config.katex_version and context.get("has_maths_elements")):
        app.add_css_file("katex/katex.css")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx, or the one for MathJax."""
    package = Path(app.confdir, "node_modules/katex")
    katex = Katex(package, place(app, "katex")) if package.exists() else None
    version = katex.version if katex else ""
    app.add_config_value("katex_version", version, "env", types=frozenset({str}))
    if katex:
        mathematics = Mathematics(katex)
        app.add_html_math_renderer("katex", (mathematics.inline, None), (mathematics.block, None))
        app.connect("doctree-read", note)
        app.connect("write-started", mathematics.prepare)
    else:
        app.setup_extension("bookbuild.formulas.mathjax")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
