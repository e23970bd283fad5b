"""A Sphinx extension: numbered theorems, each with its proof and its tests; numbered exercises.

    :::{theorem} Twins stay twins        :::{exercise} Predict the loss
    :name: twins-stay-twins              :name: predict-loss
    ...                                  ...
    :::                                  :::

Both are enumerable nodes of Sphinx, so ``{ref}`` and ``{numref}`` work, also in parallel builds.
``{results-table}`` lists every theorem beside its tests.
A test belongs to a theorem by its mark, ``@pytest.mark.theorem("twins-stay-twins")``; the directive
finds it in the folder ``results_tests`` and warns if there is none. The tests stand below the
proof: a fold or a paragraph that follows the theorem and begins with the word *Proof*.
"""

import ast
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import ClassVar, NamedTuple, cast

from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.std import StandardDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, OptionSpec
from sphinx.writers.html5 import HTML5Translator

from bookbuild.tools.words import phrase, written

LOG = logging.getLogger(__name__)
SHOWN = 20  # the lines of tests that a page shows below a theorem, but the first test whole
FOLD = """\
::::{{dropdown}} {title}
:class-container: tests

{where}
```python
{source}
```
::::"""


class Test(NamedTuple):
    """A test function that carries the mark of a theorem."""

    name: str
    source: str
    file: Path


@cache  # every theorem calls it, and the tests do not change during a build
def marked_tests(folder: Path) -> dict[str, list[Test]]:
    """Return the tests below ``folder`` by the label in their mark ``pytest.mark.theorem``."""
    found: dict[str, list[Test]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        text = file.read_text("utf-8")
        if "theorem(" not in text:  # parsing takes most of the time
            continue
        for node in ast.parse(text, str(file)).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.theorem":
                    first = min(d.lineno for d in node.decorator_list) - 1
                    source = "\n".join(text.splitlines()[first : node.end_lineno])
                    label = cast(ast.Constant, mark.args[0]).value
                    found.setdefault(str(label), []).append(Test(node.name, source, file))
    return found


class theorem(nodes.Part, nodes.Element):  # noqa: N801 - node classes are named as their directive
    """A numbered theorem."""


class exercise(nodes.Part, nodes.Element):  # noqa: N801
    """A numbered exercise."""


class result_title(nodes.title):  # noqa: N801
    """The title of either; the search index has it too, with a link to the block."""


class Numbered(SphinxDirective):
    """A numbered, titled, labelled block."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[OptionSpec] = {"name": unchanged_required}
    node_class: ClassVar[type[theorem | exercise]]

    def run(self) -> list[nodes.Node]:
        """Return the block, with the additions of the subclass at its end."""
        if "name" not in self.options:
            raise self.error(f"{self.name} {self.arguments[0]!r} needs a :name: to be referred to")
        name = self.options["name"]
        anchor = name if name.startswith(self.name) else f"{self.name}-{name}"  # no heading's
        block = self.node_class(ids=[nodes.make_id(anchor)])
        self.set_source_info(block)
        block.append(result_title("", self.arguments[0]))
        block.extend(self.parse_text_to_nodes("\n".join(self.content), offset=self.content_offset))
        block.extend(self.foot())
        self.add_name(block)
        return [block]

    def foot(self) -> list[nodes.Node]:
        """Return nothing."""
        return []


class Theorem(Numbered):
    """A theorem, with the source of the tests that carry its label."""

    node_class = theorem

    def foot(self) -> list[nodes.Node]:
        """Return a fold with the source of the first tests, and the names of the others."""
        label = self.options["name"]
        tests = marked_tests(Path(self.env.app.confdir, self.config.results_tests))
        for test in [test for group in tests.values() for test in group]:
            self.env.note_dependency(str(test.file))
        if label not in tests:
            LOG.warning(
                "theorem %r has no test marked with it", label, location=self.get_location()
            )
            return []
        lengths = accumulate(test.source.count("\n") + 1 for test in tests[label])
        shown = max(1, sum(length <= SHOWN for length in lengths))
        source = "\n\n\n".join(test.source for test in tests[label][:shown])
        root = Path(self.env.app.confdir)
        files = dict.fromkeys(
            f"`{test.file.relative_to(root).as_posix()}`" for test in tests[label]
        )
        where = phrase("The tests of this theorem stand in {files} of the repository.").format(
            files=phrase(" and ").join(files)
        )
        text = FOLD.format(title=phrase("Tests"), where=where, source=source)
        (fold,) = self.parse_text_to_nodes(text)
        if rest := tests[label][shown:]:
            items = (
                nodes.list_item("", nodes.paragraph("", "", nodes.literal("", test.name)))
                for test in rest
            )
            more = phrase("More tests with the mark of this theorem stand beside these:")
            cast(nodes.Element, fold).extend(
                [nodes.paragraph("", more), nodes.bullet_list("", *items)]
            )
        return [written(cast(nodes.Element, fold))]


def put_tests_below_proofs(app: Sphinx, page: nodes.document) -> None:
    """Move the tests of each theorem behind its proof."""
    for fold in list(page.findall(nodes.container)):
        if "tests" in fold.get("container_classes", []):
            proof = fold.parent.next_node(descend=False, siblings=True)
            if proof and proof.astext().startswith(phrase("Proof")):
                fold.parent.remove(fold)
                proof.parent.insert(proof.parent.index(proof) + 1, fold)


class ResultsTable(SphinxDirective):
    """A table of the theorems that have tests, with those tests."""

    def run(self) -> list[nodes.Node]:
        """Return the table, in the order of the test files."""
        root = Path(self.env.app.confdir)
        heads = phrase("Number"), phrase("Result"), phrase("Tested by")
        lines = ["| {} | {} | {} |".format(*heads), "| --- | --- | --- |"]
        for label, tests in marked_tests(root / self.config.results_tests).items():
            names = "<br>".join(f"`{test.name}`" for test in tests)
            lines.append(f"| {{numref}}`{label}` | {{ref}}`{label}` | {names} |")
            for test in tests:
                self.env.note_dependency(str(test.file))
        (table,) = self.parse_text_to_nodes("\n".join(lines))
        for name in list(table.findall(nodes.literal)):  # a line may end behind an underscore
            name[:] = [nodes.raw("", name.astext().replace("_", "_<wbr>"), format="html")]
        cast(nodes.table, table)["classes"].append("results-table")
        return [written(cast(nodes.Element, table))]


class SortResults(SphinxPostTransform):
    """Put the rows of a results table in the order of the theorems' numbers."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: object) -> None:
        """Sort the rows: every page is read, so every number is known."""
        for table in self.document.findall(nodes.table):
            if "results-table" in table["classes"]:
                body = next(table.findall(nodes.tbody))
                body[:] = sorted(body, key=self.number)

    def number(self, row: nodes.Node) -> tuple[int, ...]:
        """Return the number of the theorem that a row refers to first."""
        label = next(row.findall(pending_xref))["reftarget"]
        standard = cast(StandardDomain, self.env.get_domain("std"))
        page, anchor, _ = standard.labels.get(label, ("", "", ""))
        return self.env.toc_fignumbers.get(page, {}).get("theorem", {}).get(anchor, ())


class Exercise(Numbered):
    """An exercise."""

    node_class = exercise


def visit(self: HTML5Translator, node: nodes.Element) -> None:
    """Open the block."""
    self.body.append(self.starttag(node, "div", CLASS=f"numbered {type(node).__name__}"))


def depart(self: HTML5Translator, node: nodes.Element) -> None:
    """Close the block."""
    self.body.append("</div>")


def visit_title(self: HTML5Translator, node: nodes.Element) -> None:
    """Open the title with the number of its block."""
    kind = type(node.parent).__name__
    self.body.append(f'<p class="numbered-title"><span class="{kind}-number">')
    self.add_fignumber(node.parent)
    self.body.append("</span>")


def depart_title(self: HTML5Translator, node: nodes.Element) -> None:
    """Close the title with a link to its block."""
    of_theorem = isinstance(node.parent, theorem)
    said = phrase("Link to this theorem") if of_theorem else phrase("Link to this exercise")
    self.add_permalink_ref(node.parent, said)
    self.body.append("</p>")


def title(node: nodes.Node) -> str:
    """Return the text of a ``{ref}`` to the block."""
    return next(node.findall(result_title)).astext()


def name_numbers(app: Sphinx, config: Config) -> None:
    """Return the format of a ``{numref}``."""
    config.numfig_format = {
        "theorem": phrase("Theorem %s"),
        "exercise": phrase("Exercise %s"),
        **config.numfig_format,
    }


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("results_tests", "tests", "env", types=frozenset({str}))
    for node_class in (theorem, exercise):
        app.add_enumerable_node(node_class, node_class.__name__, title, html=(visit, depart))
    app.add_node(result_title, html=(visit_title, depart_title))
    app.add_directive("theorem", Theorem)
    app.add_directive("exercise", Exercise)
    app.add_directive("results-table", ResultsTable)
    app.add_post_transform(SortResults)
    app.connect("config-inited", name_numbers)
    app.connect("doctree-read", put_tests_below_proofs)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
