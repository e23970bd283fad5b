"""A Sphinx extension: which words of a page are messages, and whether all of them are translated.

Sphinx takes every text of a page for a message, and leaves one without a translation as it is,
silently. Here displayed formulas, docstrings and texts without a word are no messages. A text that
code wrote is a pattern: each number and each piece of code or mathematics in it is a placeholder
such as ``{1}``. Such texts are the outputs of cells, and the tables of the pages that the setting
``translation_patterns`` names, phrase by phrase. A message whose translation is missing, or has
lost a part, is a warning at its line.
"""

import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from babel.messages.pofile import PoFileError, read_po
from docutils import nodes
from markdown_it import MarkdownIt
from myst_nb.ext.glue.roles import PasteTextRole
from myst_nb.sphinx_ import Parser
from myst_parser.mdit_to_docutils import base
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.nodes import extract_messages
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import lists_messages
from bookbuild.tools.words import catalogue
from bookbuild.translation.rules import PART, faults, read_terms

LOG = logging.getLogger(__name__)
WORD = re.compile(r"[a-z]{2}")  # SGD is a name
# in a text that code wrote: names with dots, calls, names of classes, numbers
DATA = re.compile(
    r"[\w*]+(?:[._][\w*]+)+(?:\(\))?|\w+\(\)|\w*[a-z]\w*[A-Z]\w*|[-+−]?\d+(?:[.,]\d+)*"
)
BREAK = re.compile(r"([;,:] )")
PLACE = re.compile(r"\{(\d+)\}")
SPARED = addnodes.desc, nodes.field_list


def original(app: Sphinx) -> bool:
    """Tell whether a build makes the book in the language in which it is written."""
    return app.config.language == "en" and not lists_messages(app)


class Patterns(SphinxTransform):
    """Make the texts that cells wrote patterns, and spare what is no message."""

    default_priority = 5  # before Sphinx collects messages

    def apply(self, **kwargs: object) -> None:
        """Mark the nodes of a page."""
        if original(self.app):
            return
        for output in self.document.findall(nodes.container):
            if output.get("nb_element") == "cell_code_output":
                for text in output.findall(nodes.TextElement):
                    if not isinstance(text, nodes.Inline | nodes.FixedTextElement):
                        make_pattern(text)
        if self.env.docname in self.config.translation_patterns:
            for kind in (nodes.title, nodes.rubric):
                for title in self.document.findall(kind):
                    make_pattern(title)
            for table in self.document.findall(nodes.table):
                for text in table.findall(nodes.paragraph):
                    text["translatable"] = False
                    text[:] = list(phrases(text))
        for part in self.document.findall(lambda node: isinstance(node, SPARED)):
            for node in part.findall(nodes.TextElement):
                node["translatable"] = False
        for node in self.document.findall(nodes.TextElement):
            if ":docstring of " in (node.source or ""):
                node["translatable"] = False
            words = PLACE.sub("", PART.sub(link_words, node.rawsource))
            if isinstance(node, nodes.math_block):
                node["translatable"] = False
            elif node.rawsource and not WORD.search(words):
                if isinstance(node, nodes.Inline):
                    node.attributes.pop("translatable", None)
                else:
                    node["translatable"] = False


def link_words(part: re.Match[str]) -> str:
    """Return the words of a role that has some beside its target, as ``{ref}`words <target>```."""
    return part[0].rpartition("<")[0].partition("`")[2] if part[0].startswith("{") else ""


def make_pattern(node: nodes.TextElement) -> None:
    """Give a node a pattern as its message, and keep what the placeholders stand for."""
    kept: list[nodes.Node] = []
    node.rawsource = pattern(node, kept)
    node["kept"] = kept


def phrases(text: nodes.TextElement) -> Iterator[nodes.Node]:
    """Yield the phrases of a text, each a message of its own, and the marks between them."""

    def phrase(children: list[nodes.Node]) -> nodes.inline:
        node = nodes.inline("", "", *children, translatable=True)
        node.source, node.line = text.source, text.line
        make_pattern(node)
        return node

    gathered: list[nodes.Node] = []
    for child in text.children:
        if not isinstance(child, nodes.Text):
            gathered.append(child)
            continue
        first, *others = BREAK.split(child)
        gathered.append(nodes.Text(first))
        for mark, after in zip(others[::2], others[1::2], strict=True):
            yield phrase(gathered)
            yield nodes.Text(mark)
            gathered = [nodes.Text(after)]
    if gathered:
        yield phrase(gathered)


def pattern(node: nodes.Element, kept: list[nodes.Node]) -> str:
    """Return a text with placeholders, and collect the nodes whose places they keep."""

    def place(child: nodes.Node) -> str:
        kept.append(child)
        return f"{{{len(kept)}}}"

    pieces = []
    for child in node.children:
        if isinstance(child, nodes.Text):
            pieces.append(DATA.sub(lambda found: place(nodes.Text(found[0])), child))
        elif isinstance(child, nodes.emphasis | nodes.strong):
            mark = "*" if isinstance(child, nodes.emphasis) else "**"
            pieces.append(mark + pattern(child, kept) + mark)
        else:
            pieces.append(place(child))
    return "".join(pieces)


class Fill(SphinxTransform):
    """Put back what the placeholders of a pattern stand for, and make translations the page's own.

    Sphinx parses each message as a document, which would be kept with the page.
    """

    default_priority = 21  # behind Sphinx's translation

    def apply(self, **kwargs: object) -> None:
        """Fill the patterns of a page, and take from its description the mark of a translation."""
        for node in self.document.findall():
            node.document = self.document
        for description in self.document.findall(nodes.meta):
            description.attributes.pop("translated", None)  # it would be written into the HTML
        for node in list(self.document.findall(nodes.TextElement)):
            if (kept := node.attributes.pop("kept", None)) and PLACE.search(node.astext()):
                for text in list(node.findall(nodes.Text)):
                    pieces = PLACE.split(text)
                    filled = [nodes.Text(pieces[0])]
                    for number, after in zip(pieces[1::2], pieces[2::2], strict=True):
                        filled += [kept[int(number) - 1].deepcopy(), nodes.Text(after)]
                    parent = text.parent
                    place = parent.index(text)
                    parent[place : place + 1] = filled


class Check(SphinxTransform):
    """Warn of every message without a translation, and of what a translation lost."""

    default_priority = 19  # before Sphinx's translation

    def apply(self, **kwargs: object) -> None:
        """Compare the messages of a page with its catalogue."""
        if original(self.app) or lists_messages(self.app):
            return
        file, table = catalogue(self.app, self.env.docname), self.app.config.translation_terms
        terms = read_terms(Path(self.app.confdir, table))
        self.env.note_dependency(str(file))
        self.env.note_dependency(str(Path(self.app.confdir, table)))
        try:
            with file.open("rb") as stream:
                known = read_po(stream, abort_invalid=True)
        except FileNotFoundError:
            LOG.warning("there is no %s: run `make translate`", file, type="translation")
            return
        except (PoFileError, ValueError) as error:
            LOG.warning("%s is no catalogue: %s", file, error, type="translation")
            return
        for message, node in {m: n for n, m in extract_messages(self.document)}.items():
            found = known.get(message)
            if found is None or not found.string or found.fuzzy:
                what = "a doubtful" if found is not None and found.fuzzy else "no"
                LOG.warning(
                    "there is %s translation of %r in %s: run `make translate`, and give it one",
                    what,
                    message,
                    file.name,
                    location=node,
                    type="translation",
                )
            else:
                for fault in faults(message, str(found.string), terms):
                    LOG.warning(
                        "the translation of %r is wrong in %s: %s",
                        message,
                        file.name,
                        fault,
                        location=node,
                        type="translation",
                    )


class Renderer(SphinxRenderer):
    """MyST's renderer for a document that is there: it would make one more for every message."""

    def setup_render(self, options: dict[str, Any], env: MutableMapping[str, Any]) -> None:
        """Begin to render into the document of the options."""
        with patch.object(base, "make_document", lambda: options["document"]):
            super().setup_render(options, env)


class TranslationParser(Parser):  # type: ignore[misc]
    """MyST-NB's parser, and that of translated messages.

    All messages share one parser of Markdown, as setting it up is slow. Sphinx parses each message
    twice, first to see whether it is a title: the second time it gets a copy.
    """

    markdown: ClassVar[MarkdownIt | None] = None
    parsed: ClassVar[dict[tuple[str, str], list[nodes.Node]]] = {}

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse a page, or a translated message."""
        source = str(document.current_source)
        if not source.endswith("<translated>"):
            self.parsed.clear()
            super().parse(inputstring, document)
        elif known := self.parsed.get((source, inputstring)):
            document += [node.deepcopy() for node in known]
        else:
            environment: Any = document.settings.env  # MyST keeps its settings there
            markdown = self.markdown or create_md_parser(environment.myst_config, Renderer)
            type(self).markdown = markdown
            markdown.options["document"] = document
            markdown.render(inputstring)
            self.parsed[source, inputstring] = [node.deepcopy() for node in document]


class GluedText(PasteTextRole):  # type: ignore[misc] # MyST-NB has no types
    """A glued value in a translation, which is parsed when the page's own values are put away."""

    text: str

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Name the page, so that MyST-NB looks for the value in what the page has kept."""
        if "nb_renderer" not in self.document and "::" not in self.text:
            env = self.document.settings.env
            key, _, form = self.text.partition(":")  # without a form MyST-NB takes the key for one
            self.text = f"/{env.doc2path(env.docname, False)}::{key}:{form or 's'}"
        result: tuple[list[nodes.Node], list[nodes.system_message]] = super().run()
        return result


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("translation_terms", "", "env", types=frozenset({str}))
    app.add_config_value("translation_patterns", [], "env", types=frozenset({list}))
    for transform in (Patterns, Check, Fill):
        app.add_transform(transform)
    app.setup_extension("myst_nb")
    app.add_source_parser(TranslationParser, override=True)
    app.add_role_to_domain("glue", "text", GluedText(), override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
