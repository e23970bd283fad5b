"""Each notebook of the site runs where the package is installed, and says what its page says.

The tests look at ``_build/html/notebooks``, which ``make html`` writes; ``make test`` does that
first.
"""

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from bookbuild.execution import warm
from bookbuild.lab.links import wrong

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
PAGES = [
    page.stem for page in sorted(ROOT.glob("book/*.md")) if "{code-cell}" in page.read_text("utf-8")
]
EXCLUDED = re.search(r"notebooks_exclude = (\[[^]]*\])", (ROOT / "conf.py").read_text("utf-8"))
assert EXCLUDED
for page in ast.literal_eval(EXCLUDED[1]):
    PAGES.remove(page)
NEEDED = {"IPython", "matplotlib", "numpy", "peft", "torch", "transformers", "zeroinit"}


def notebook(page: str) -> Any:
    file = SITE / f"notebooks/{page}.ipynb"
    assert file.is_file(), f"run `make html` first: there is no {file.relative_to(ROOT)}"
    return nbformat.read(file, as_version=4)


def codes(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def proses(book: Any) -> list[str]:
    """Return the Markdown cells without the code in them."""
    return [
        re.sub(r"(?ms)^```.*?^```$|`[^`\n]+`", "", c.source)
        for c in book.cells
        if c.cell_type == "markdown"
    ]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder to run in; the package is installed elsewhere, and nothing of the book is."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "src/zeroinit", folder / "packages/zeroinit")
    kernel = {
        "display_name": "Python 3",
        "language": "python",
        "argv": [
            *(sys.executable, warm.__file__, "-f", "{connection_file}"),
            *("--log-level=ERROR", "--HistoryManager.enabled=False"),
        ],
        "env": {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    }
    (folder / "kernels/python3").mkdir(parents=True)
    (folder / "kernels/python3/kernel.json").write_text(json.dumps(kernel))
    (folder / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("PYTHONPATH", str(folder / "packages"))
        patch.setenv(warm.ADDRESS, "")
        patch.setattr(NotebookClient.shutdown_kernel, "default_value", "immediate")
        warm.start(["torch", "matplotlib.pyplot"])
        yield folder / "empty"


@pytest.mark.parametrize("page", PAGES)
def test_it_runs_and_gives_what_the_page_shows(page: str, installed: Path) -> None:
    run = notebook(page)
    where = {"metadata": {"path": str(installed)}}
    NotebookClient(run, timeout=300, resources=where, coalesce_streams=True).execute()
    html = BeautifulSoup((SITE / f"{page}.html").read_text("utf-8"), "html.parser")
    cells = [cell for cell in codes(run) if "remove-cell" not in cell.metadata.tags]
    for cell, shown in zip(cells, html.select("div.cell"), strict=True):
        places = shown.select(".cell_output pre, .cell_output .text_html")
        words = "".join(place.get_text() for place in places)
        assert given(cell) == (lines(words), len(shown.select(".cell_output img"))), cell.source


def given(cell: Any) -> tuple[list[str], int]:
    """Return the words that a cell gives, and the number of its pictures."""
    words, pictures = "", 0
    for output in cell.outputs:
        if output.output_type == "stream":
            words += output.text
        elif any(kind.startswith("image/") for kind in output.data):
            pictures += 1
        elif "text/html" in output.data:
            words += BeautifulSoup(output.data["text/html"], "html.parser").get_text()
        elif "text/markdown" not in output.data:
            words += output.data["text/plain"] + "\n"
    return lines(words), pictures


def lines(words: str) -> list[str]:
    """Return lines of output, without the blanks at their ends that a page does not keep."""
    return [line.rstrip() for line in words.strip().splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_it_needs_nothing_that_builds_the_book(page: str) -> None:
    python = TransformerManager().transform_cell  # of the cell that installs
    trees = [ast.parse(python(cell.source)) for cell in codes(notebook(page))]
    found = {
        name.partition(".")[0]
        for tree in trees
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert found - sys.stdlib_module_names <= NEEDED


@pytest.mark.parametrize("page", PAGES)
def test_its_prose_is_plain_markdown(page: str) -> None:
    prose = proses(notebook(page))
    assert prose[0].startswith("The page ")
    left = [
        m
        for text in prose
        for m in re.findall(r"(?<![\\\w^_}])\{[a-z:]{2,}\}|^:::.*|^%.*|@@.*|<svg", text, re.M)
    ]
    assert not left
    assert not any("<wbr>" in cell.source for cell in notebook(page).cells)
    assert sum(text.count("<details>") for text in prose) == sum(
        text.count("</details>") for text in prose
    )


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_into_the_site(page: str) -> None:
    bad: list[str] = []
    for text in proses(notebook(page)):
        for address in re.findall(r"\]\(([^)]*)\)", text):
            parts = urlsplit(address)
            file = SITE / "notebooks" / parts.path
            if file.name == "lab.html" and file.is_file() and "=" in parts.fragment:
                bad += wrong(parts.fragment)
            elif not parts.scheme and not (file.is_file() and parts.fragment in anchors(file)):
                bad.append(address)
    assert not bad


@cache
def anchors(file: Path) -> set[str]:
    """Return the anchors of a page, and the empty one."""
    return {"", *re.findall(r'\bid="([^"]+)"', file.read_text("utf-8"))}


@pytest.mark.parametrize("page", PAGES)
def test_its_page_links_to_it(page: str) -> None:
    html = BeautifulSoup((SITE / f"{page}.html").read_text("utf-8"), "html.parser")
    assert [a["href"] for a in html.select("a.notebook[download]")] == [f"notebooks/{page}.ipynb"]


def test_a_notebook_keeps_no_outputs_and_names_its_cells_in_order() -> None:
    for page in PAGES:
        book = notebook(page)
        nbformat.validate(book)
        assert not any(cell.outputs or cell.execution_count for cell in codes(book))
        assert [cell.id for cell in book.cells] == [f"cell-{n}" for n in range(len(book.cells))]
