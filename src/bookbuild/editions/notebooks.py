"""A Sphinx extension: each page with cells as a notebook that runs where the package is installed.

When the HTML builder writes a page, the cells are taken from the source and the prose from the
resolved page, so that references, numbers and glued values read as on the site; links lead there.
A notebook holds no outputs: it is for running, the page shows the outputs, and Jupyter shows no SVG
of a notebook that it does not trust. It is written to ``notebooks/<page>.ipynb``; templates get
that address as ``notebook``. ``notebooks_package`` names what to install, and the pages named in
``notebooks_exclude`` have none, because they read files of the repository.
If ``notebooks_repository`` names a repository of GitHub, as ``owner/name``, whose branch
``notebooks`` holds the notebooks, templates get the address that opens a notebook in Colab as
``colab``, and the first cell of code installs the package where it is missing.
"""

import posixpath
import re
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin

import nbformat
from docutils import nodes
from myst_nb.core.read import create_nb_reader
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util.math import get_node_equation_number
from sphinx.util.typing import ExtensionMetadata
from sphinx_markdown_builder.translator import MarkdownTranslator

from bookbuild.execution.dependencies import imported
from bookbuild.tools.words import phrase

FOLDED = {"hide-cell", "hide-input", "remove-cell"}
MARK = re.compile(r"^@@cell (\d+)@@$", re.M)
GLUE = "from myst_nb import glue\n"  # a reader need not install MyST-NB
COLAB = "https://colab.research.google.com/github/{}/blob/notebooks/{}.ipynb"
INSTALL = """\
try:
    import {package}
except ModuleNotFoundError:
    %pip install -q "{package}{extras} @ git+https://github.com/{repository}"\
"""
SHOW = '''\
def glue(name, value, display=True):
    """Show a value that the text quotes."""
    print(f"{name} = {value}")

'''


class Prose(MarkdownTranslator):  # type: ignore[misc]
    """Markdown of a resolved page, with a mark in the place of each cell."""

    builder: StandaloneHTMLBuilder

    def __init__(self, page: nodes.document, builder: StandaloneHTMLBuilder, cells: set[int]):
        """Take the numbers of all cells, also of those that the page does not show."""
        super().__init__(page, builder)
        self.hidden = cells - {c.get("cell_index") for c in page.findall(nodes.container)}

    def mark(self, index: int) -> None:
        """Mark the place of a cell."""
        self.add(f"@@cell {index}@@", 2, 2)
        self.hidden.discard(index)

    def visit_container(self, node: nodes.Element) -> None:
        """Mark a cell, and hidden ones before it or directly behind; captions are prose."""
        if node.get("nb_element") != "cell_code":
            return
        index = node["cell_index"]
        for before in sorted(i for i in self.hidden if i < index):
            self.mark(before)
        if node.get("hide_mode") == "all":
            self.add(f"**{node['prompt_show']}**", 2, 2)
        self.mark(index)
        for caption in node.findall(nodes.caption):
            self.add(f"**{self.number(cast(nodes.Element, caption.parent))}.** ", 2)
            for child in caption.children:
                child.walkabout(self)
        while (index := index + 1) in self.hidden:
            self.mark(index)
        raise nodes.SkipNode

    def depart_container(self, node: nodes.Element) -> None:
        """Close the fold of a tab."""
        if node.get("design_component") == "tab-content":
            self.depart_dropdown_main(node)

    def depart_document(self, node: nodes.document) -> None:
        """Mark the remaining cells."""
        for index in sorted(self.hidden):
            self.mark(index)

    def number(self, node: nodes.Element) -> str:
        """Return the kind and number of a figure or another numbered block.

        A page that no toctree names has no numbers.
        """
        kind = self.builder.env.domains.standard_domain.get_enumerable_node_type(node) or ""
        number = self.builder.fignumbers.get(kind, {}).get(node["ids"][0], ())
        return str(self.config.numfig_format[kind] % ".".join(map(str, number))).strip()

    def visit_theorem(self, node: nodes.Element) -> None:
        """Begin a numbered block with its number and title."""
        self.add(f"**{self.number(node)}. {next(node.findall(nodes.title)).astext()}**", 2, 2)

    visit_exercise = visit_theorem

    def visit_predict(self, node: nodes.Element) -> None:
        """Show a question, its choices, and the answer in a fold."""

    def visit_question(self, node: nodes.Element) -> None:
        """Begin a question."""
        self.add("**" + phrase("Predict first.") + "** ", 2)

    def visit_result_title(self, node: nodes.Element) -> None:
        """Leave out the title: it stands beside the number."""
        raise nodes.SkipNode

    def visit_bullet_list(self, node: nodes.Element) -> None:
        """Leave out the list of other editions: their files are on the site."""
        if "editions" in node["classes"]:
            raise nodes.SkipNode
        super().visit_bullet_list(node)

    def visit_raw(self, node: nodes.Element) -> None:
        """Leave out raw HTML: the lab, and places where a name may break."""
        if node.get("lab"):
            raise nodes.SkipNode
        if isinstance(node.parent, nodes.literal):
            self.add(node.astext().replace("<wbr>", ""))
            raise nodes.SkipNode

    def visit_live(self, node: nodes.Element) -> None:
        """Leave out a live figure, and the words that say what to press."""
        raise nodes.SkipNode

    def visit_dropdown_main(self, node: nodes.Element) -> None:
        """Fold a part that the page folds."""
        self.add("<details>", 2, 1)

    def depart_dropdown_main(self, node: nodes.Element) -> None:
        """Close the fold."""
        self.add("</details>", 2, 2)

    def visit_dropdown_title(self, node: nodes.Element) -> None:
        """Begin the line that stays when the fold is closed."""
        self.add("<summary>", 1)

    def depart_dropdown_title(self, node: nodes.Element) -> None:
        """Put an empty line before the content: without it, it would not be read as Markdown."""
        self.add("</summary>", 0, 2)

    def visit_inline(self, node: nodes.Element) -> None:
        """Leave out the arrow of a fold."""
        if "sd-summary-state-marker" in node["classes"]:
            raise nodes.SkipNode

    def visit_sd_tab_input(self, node: nodes.Element) -> None:
        """Leave out a tab's button."""
        raise nodes.SkipNode

    def visit_sd_tab_label(self, node: nodes.Element) -> None:
        """Fold a tab under its name."""
        self.visit_dropdown_main(node)
        self.visit_dropdown_title(node)

    def depart_sd_tab_label(self, node: nodes.Element) -> None:
        """End the name."""
        self.depart_dropdown_title(node)

    def visit_math_block(self, node: nodes.math_block) -> None:
        """Give a formula its number."""
        number = get_node_equation_number(self, node) if node.get("number") else ""
        tag = rf" \tag{{{number}}}" if number else ""
        self.add(f"$$\n{node.astext()}{tag}\n$$", 2, 2)
        raise nodes.SkipNode

    def visit_meta(self, node: nodes.Element) -> None:
        """Leave out the description for search engines."""
        raise nodes.SkipNode

    def visit_target(self, node: nodes.Element) -> None:
        """Leave out an anchor: links lead to the site."""

    def _fetch_ref_uri(self, node: nodes.Element) -> str:
        """Return the address of a link on the site: absolute, if the site's address is known."""
        uri: str = node.get("refuri", "")
        if not node.get("internal"):
            return uri
        here = self.builder.current_docname
        there = posixpath.join(posixpath.dirname(here), uri or self.builder.get_target_uri(here))
        there += f"#{node['refid']}" if "refid" in node else ""
        if self.config.html_baseurl:
            return str(urljoin(self.config.html_baseurl, there))
        return posixpath.relpath(there, posixpath.dirname(address(here)))


def address(page: str) -> str:
    """Return the address of a page's notebook within the site."""
    return f"notebooks/{page}.ipynb"


def source(app: Sphinx, page: str) -> list[Any]:
    """Return the cells of a page's source, with the prose between them as cells of their own."""
    file, env = app.env.doc2path(page), cast(Any, app.env)
    text = file.read_text("utf-8")
    reader = create_nb_reader(str(file), env.myst_config, env.mystnb_config, text)
    return list(reader.read(text).cells) if reader else []


def code(cell: Any) -> Any:
    """Return a cell as a notebook has it: folded where the page folds or leaves it out."""
    text = cell.source
    if GLUE in text:
        text = SHOW + text.replace(GLUE, "")
    metadata: dict[str, Any] = {"tags": cell.metadata.get("tags", [])}
    if FOLDED & set(metadata["tags"]):
        metadata["jupyter"] = {"source_hidden": True}
    return new_code_cell(text, metadata=metadata)


def opening(app: Sphinx, page: str, codes: list[Any]) -> list[Any]:
    """Return the first cells of a notebook: its origin, and the packages to install."""
    config = app.config
    title, site = f"*{app.env.titles[page].astext()}*", config.html_baseurl
    if site:
        title = f"[{title}]({urljoin(site, app.builder.get_target_uri(page))})"
    modules = {module for cell in codes for module in imported(cell.source)}
    extras = {extra for module, extra in config.notebooks_extras.items() if module in modules}
    wanted = f"[{','.join(sorted(extras))}]" if extras else ""
    if config.notebooks_repository:
        told = phrase(
            "The page {title} of the book *{book}* as a notebook. Its cells need the package "
            "`{package}`: the first cell installs it where it is missing."
        )
    else:
        told = phrase(
            "The page {title} of the book *{book}* as a notebook. Its cells need the package "
            "`{package}`: run `pip install {quoted}` in the folder of the book's repository."
        )
    opened = new_markdown_cell(
        told.format(
            title=title,
            book=config.project,
            package=config.notebooks_package,
            quoted=f'".{wanted}"' if wanted else ".",
        )
    )
    if not config.notebooks_repository:
        return [opened]
    install = INSTALL.format(
        package=config.notebooks_package, extras=wanted, repository=config.notebooks_repository
    )
    return [opened, new_code_cell(install, metadata={"tags": ["remove-cell"]})]


def write(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the notebook of a page, and give its address to the page's template."""
    if doctree is None or page in app.config.notebooks_exclude:
        return
    cells = enumerate(source(app, page))
    codes = {index: code(cell) for index, cell in cells if cell.cell_type == "code"}
    if not codes:
        return
    prose = Prose(doctree, cast(StandaloneHTMLBuilder, app.builder), set(codes))
    doctree.walkabout(prose)
    parts = MARK.split(prose.astext())  # texts, and between them the numbers of cells
    notebook = new_notebook(
        cells=opening(app, page, list(codes.values())),
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    for text, index in zip_longest(parts[::2], map(int, parts[1::2])):
        if text.strip():
            notebook.cells.append(new_markdown_cell(text.strip()))
        if index is not None:
            notebook.cells.append(codes[index])
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # nbformat draws ids at random
    file = Path(app.outdir, address(page))
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, file)
    context["notebook"] = context["pathto"](address(page), resource=True)
    if repository := app.config.notebooks_repository:
        context["colab"] = COLAB.format(repository, page)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.setup_extension("sphinx_markdown_builder")  # for the settings of its translator
    app.add_config_value("notebooks_package", "", "html", types=frozenset({str}))
    app.add_config_value("notebooks_repository", "", "html", types=frozenset({str}))
    app.add_config_value("notebooks_extras", {}, "html", types=frozenset({dict}))
    app.add_config_value("notebooks_exclude", [], "html", types=frozenset({list}))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
