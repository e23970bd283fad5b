"""A Sphinx extension: questions that a reader answers before reading on.

    :::{predict} Where will the loss stop?
    :name: where-zero-stops
    :answer: 2

    At zero
    : Why this is wrong, in a sentence.

    At the entropy of the labels
    : Why this is right.
    :::

Question and choices are plain words. The script ``predictions.js`` makes buttons of the choices,
and keeps what a reader chose. Without it the answer stands in a fold below them.
``{predictions}`` lists the questions of all pages, with the reader's choices. ``{quiz} PAGE ...``
has the questions of some pages again, with choices, and answers in folds.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import ClassVar, NamedTuple, cast

from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata, OptionSpec
from sphinx.writers.html5 import HTML5Translator

from bookbuild.tools import page_script
from bookbuild.tools.edition import is_site
from bookbuild.tools.words import phrase, written

LOG = logging.getLogger(__name__)
SCRIPT = Path(__file__).with_name("predictions.js")
FOLD = "::::{{dropdown}} {}\n::::"
AGAIN = '<button type="button" hidden>{}</button></fieldset>\n'
ASKED = "<legend><strong>{}</strong> "
TALLY = """
<p class="tally" hidden>
<output>{said}</output>
<button type="button">{forget}</button>
</p>
"""
CHOSEN = '<ul class="predicted" data-question="{anchor}" hidden>{items}</ul>'


class Asked(NamedTuple):
    """A question as the list of all has it."""

    name: str
    anchor: str  # on its page, and the key of the reader's choice
    question: str
    choices: list[str]
    answer: int
    line: int


class predict(nodes.Part, nodes.Element):  # noqa: N801 - node classes are named as their directive
    """A question: its words, a list of choices, and a fold with a list of reasons."""


class question(nodes.Part, nodes.TextElement):  # noqa: N801
    """The words of a question."""


class predictions(nodes.General, nodes.Element):  # noqa: N801
    """The place of the list of all questions."""


class quiz(nodes.General, nodes.Element):  # noqa: N801
    """The place of the questions of some pages."""


class Predict(SphinxDirective):
    """A question with two to four choices, each with a reason."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[OptionSpec] = {"name": unchanged_required, "answer": unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the question."""
        content = self.parse_text_to_nodes("\n".join(self.content), offset=self.content_offset)
        items = list(self.items(content))
        numbers = [str(number + 1) for number in range(len(items))]
        answer = self.options.get("answer")
        if "name" not in self.options:
            raise self.wrong("needs a :name: of its own, under which the choice is kept")
        if not 2 <= len(items) <= 4:
            raise self.wrong(f"has {len(items)} choices: give it two to four")
        if answer not in numbers:
            raise self.wrong(
                f"needs an :answer:, the number of its right choice: 1 to {len(items)}"
            )
        choices, reasons = (nodes.enumerated_list(enumtype="upperalpha") for _ in range(2))
        for number, (term, reason) in zip(numbers, items, strict=True):
            verdict = nodes.strong("", judged(number == answer))
            choices += nodes.list_item("", self.told(nodes.paragraph("", term.astext())))
            said = written(self.told(nodes.paragraph("", "", verdict)))
            reasons += nodes.list_item("", said, *reason.children)
        (fold,) = self.parse_text_to_nodes(FOLD.format(phrase("The answer")))
        written(cast(nodes.Element, fold)).append(reasons)
        words = self.told(question("", self.arguments[0]))
        block = predict("", words, choices, fold, name=self.options["name"], answer=answer)
        block["ids"].append(nodes.make_id(f"predict-{block['name']}"))
        return [self.told(block)]

    def told(self, node: nodes.Element) -> nodes.Element:
        """Return a node that knows its place in the source, as translations need it."""
        self.set_source_info(node)
        return node

    def items(self, content: list[nodes.Node]) -> Iterator[tuple[nodes.term, nodes.definition]]:
        """Yield each choice with its reason."""
        for part in content:
            pairs = part.children if isinstance(part, nodes.definition_list) else [part]
            for pair in pairs:
                match pair.children:
                    case [nodes.term() as term, nodes.definition() as reason]:
                        yield term, reason
                    case _:
                        said = pair.astext().partition("\n")[0]
                        raise self.wrong(
                            f"has a choice without a reason, {said!r}: write below it"
                            " ': ' and the reason"
                        )

    def wrong(self, what: str) -> Exception:
        """Return the error that a mistake is."""
        return self.error(f"{self.name} {self.arguments[0]!r} {what}")


class Predictions(SphinxDirective):
    """The list of the questions of all pages."""

    def run(self) -> list[nodes.Node]:
        """Remember the page, and mark the place."""
        self.env.metadata[self.env.docname]["lists_predictions"] = "here"
        return [predictions()]


class Quiz(SphinxDirective):
    """The questions of the pages that are named, in that order."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Remember the page, and mark the place."""
        pages = self.arguments[0].split()
        for page in pages:
            if page not in self.env.found_docs:
                raise self.error(f"{self.name}: there is no page {page!r}")
        self.env.metadata[self.env.docname]["lists_predictions"] = "here"
        return [quiz(pages=pages)]


class Ask(SphinxPostTransform):
    """Copy the questions into a quiz before references are resolved."""

    default_priority = 5

    def run(self, **kwargs: object) -> None:
        """Make each quiz a list."""
        for place in list(self.document.findall(quiz)):
            asked = nodes.enumerated_list()
            for page in place["pages"]:
                for block in self.env.get_doctree(page).findall(predict):
                    copy = block.deepcopy()
                    for reference in copy.findall(pending_xref):
                        reference["refdoc"] = self.env.docname
                    words, *rest = copy.children
                    asked += nodes.list_item("", nodes.paragraph("", words.astext()), *rest)
            place.replace_self(asked)


def note(app: Sphinx, doctree: nodes.document) -> None:
    """Note the questions of a page for the list of all, in the words of the edition."""
    found = []
    for block in doctree.findall(predict):
        words, choices = block.children[:2]
        said = [choice.astext() for choice in choices.children]
        place = block["name"], block["ids"][0]
        found.append(Asked(*place, words.astext(), said, int(block["answer"]), block.line or 0))
    if found:
        app.env.metadata[app.env.docname]["predictions"] = found


def outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Have the list read again with any page: its questions may be others."""
    if not added | changed | removed:
        return []
    return [page for page, about in env.metadata.items() if "lists_predictions" in about]


def asked_on(env: BuildEnvironment) -> Iterator[tuple[str, list[Asked]]]:
    """Yield each page that has questions, in reading order, with these."""
    for page in env.collect_relations():
        if found := env.metadata[page].get("predictions"):
            yield page, found


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each name that two questions have."""
    first: dict[str, str] = {}
    for page, found in asked_on(env):
        for asked in found:
            if asked.anchor in first:
                LOG.warning(
                    "the name %r is that of a question on the page %r: give this one another",
                    asked.name,
                    first[asked.anchor],
                    location=(page, asked.line),
                )
            first.setdefault(asked.anchor, page)


def complete(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the list of all questions in its place; on the site, add what the script uses."""
    site = is_site(app)
    for place in list(doctree.findall(predictions)):
        pages = nodes.definition_list()
        count = 0
        for page, found in asked_on(app.env):
            count += len(found)
            entry = nodes.definition()
            for asked in found:
                words = nodes.Text(asked.question)
                link = make_refnode(app.builder, docname, page, asked.anchor, words)
                entry += nodes.paragraph("", "", link)
                if site:
                    entry += nodes.raw("", choices(asked), format="html")
            title = nodes.term("", app.env.titles[page].astext())
            pages += nodes.definition_list_item("", title, entry)
        said = phrase("You have answered <b></b> of {all} questions, <b></b> of them right.")
        html = TALLY.format(said=said.format(all=count), forget=phrase("Forget all"))
        tally = nodes.raw("", html, format="html")
        place.replace_self([tally, pages] if site else [pages])


def judged(right: bool) -> str:
    """Return the word on a choice."""
    return phrase("Right.") if right else phrase("Not quite.")


def choices(asked: Asked) -> str:
    """Return a sentence for each choice, of which the script shows the reader's."""
    items = ""
    for number, choice in enumerate(asked.choices, 1):
        right = number == asked.answer
        said = phrase("You chose: {choice}.").format(choice=escape(choice))
        items += f'<li class="{"right" if right else "wrong"}">{said} <b>{judged(right)}</b></li>'
    return CHOSEN.format(anchor=asked.anchor, items=items)


def visit(self: HTML5Translator, node: nodes.Element) -> None:
    """Open the question."""
    data = {"data-answer": node["answer"]}
    self.body.append(self.starttag(node, "fieldset", CLASS="predict", **data))


def depart(self: HTML5Translator, node: nodes.Element) -> None:
    """Close it behind a button for the script."""
    self.body.append(AGAIN.format(phrase("Choose again")))


def visit_question(self: HTML5Translator, node: nodes.Element) -> None:
    """Open its words."""
    self.body.append(ASKED.format(phrase("Predict first.")))


def depart_question(self: HTML5Translator, node: nodes.Element) -> None:
    """Close them."""
    self.body.append("</legend>\n")


def add_script(app: Sphinx) -> None:
    """Have Sphinx copy the script to the site's static files."""
    app.config.html_static_path.append(str(SCRIPT))


load_script = page_script.where('class="predict', SCRIPT.name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_node(predict, html=(visit, depart))
    app.add_node(question, html=(visit_question, depart_question))
    app.add_node(predictions)
    app.add_node(quiz)
    app.add_directive("predict", Predict)
    app.add_directive("predictions", Predictions)
    app.add_directive("quiz", Quiz)
    app.add_post_transform(Ask)
    app.connect("builder-inited", add_script)
    app.connect("doctree-read", note)
    app.connect("env-get-outdated", outdated)
    app.connect("env-check-consistency", check)
    app.connect("doctree-resolved", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
