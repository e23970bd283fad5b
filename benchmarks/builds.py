"""Several tools build the book, each in a copy of the repository, with the same cells to run.

A round of a tool is a cold build, and then builds after nothing, an edit of a sentence, an edit of
the package. Every kernel records the cells that it runs: a cold build must run all of them. All
kernels draw figures to SVG, as this book's do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode

from benchmarks import measure

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "_build/peers"

# Lines for the end of a copy's conf.py.
STOCK = """
extensions.remove("bookbuild.execution.cache")
extensions.remove("bookbuild.execution.warm")
"""
NBSPHINX = """
ours = ("editions", "execution.cache", "execution.warm", "site")
of_myst_nb = {"myst_nb", *(f"bookbuild.{e}" for e in ours)}
extensions = ["myst_parser", "nbsphinx", *(e for e in extensions if e not in of_myst_nb)]
"""
# jupyter-book's program, and the files that it reads in place of conf.py.
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
CONFIG = """\
title: Why not start at zero?
author: The Zero Init maintainers
execute: {execute_notebooks: cache, timeout: 300}
parse:
  myst_enable_extensions: [amsmath, attrs_inline, colon_fence, deflist, dollarmath]
bibtex_bibfiles: [references.bib]
sphinx:
  extra_extensions:
  - sphinx.ext.autodoc
  - sphinx.ext.napoleon
  - sphinx.ext.viewcode
  - bookbuild.content.theorems
  config: {results_tests: ../tests/zeroinit}
"""
TOC = """\
format: jb-book
root: index
chapters:
- glob: "*"
"""

# IPython reads these settings and runs this code in every kernel.
SETTINGS = "c.InlineBackend.figure_formats = {'svg'}\n"
NOTE = """\
def note(_):
    import os, time
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{os.getpid()} {time.monotonic()}\\n")
for event in ("pre_run_cell", "post_run_cell"):
    get_ipython().events.register(event, note)
del event, note
"""


def append(text: str) -> Callable[[Path], None]:
    """Return a preparation that adds lines to conf.py."""

    def prepare(folder: Path) -> None:
        with (folder / "conf.py").open("a", encoding="utf-8") as conf:
            conf.write(text)

    return prepare


def convert(folder: Path) -> None:
    """Make a notebook without outputs of every page that has cells."""
    for page, notebook in notebooks(folder / "book"):
        nbformat.write(notebook, page.with_suffix(".ipynb"))
        page.unlink()


def prepare_nbsphinx(folder: Path) -> None:
    """Have nbsphinx read the pages with cells, and MyST-Parser the others."""
    append(NBSPHINX)(folder)
    convert(folder)


def prepare_jupyter_book(folder: Path) -> None:
    """Write the files that jupyter-book reads."""
    (folder / "book/_config.yml").write_text(CONFIG, "utf-8")
    (folder / "book/_toc.yml").write_text(TOC, "utf-8")


def notebooks(folder: Path) -> Iterator[tuple[Path, NotebookNode]]:
    """Yield the pages with cells, each with its notebook."""
    for page in sorted(folder.glob("*.md")):
        notebook = read_myst_markdown_notebook(page.read_text("utf-8"))
        if code(notebook):
            yield page, notebook


def code(notebook: NotebookNode) -> list[str]:
    """Return the code of a notebook's cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source]


# -- the steps of a round -------------------------------------------------------------------------


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text in a file once.

    Raises
    ------
    ValueError
        If it is not there.
    """
    text = file.read_text("utf-8")
    if old not in text:
        raise ValueError(f"{file.name} does not hold {old!r}: name a text that it holds")
    file.write_text(text.replace(old, new, 1), "utf-8")


def edit_sentence(folder: Path) -> None:
    """Edit the prose of the first page, in Markdown or in a notebook."""
    (page,) = folder.glob("book/index.*")
    edit(page, "**The question.**", "**The question, edited.**")


def edit_module(name: str) -> Callable[[Path], None]:
    """Return a step that adds a comment to the end of a module."""

    def step(folder: Path) -> None:
        with (folder / "src/zeroinit" / name).open("a", encoding="utf-8") as module:
            module.write("# an edit\n")

    return step


EDITED = ("figures/curves.py", "auditing.py")
STEPS: dict[str, Callable[[Path], None]] = {
    "cold": lambda folder: None,
    "no-op": lambda folder: None,
    "prose edit": edit_sentence,
    **{f"edit of {file}": edit_module(file) for file in EDITED},
}
LONG = [f"edit of {file}" for file in EDITED]


# -- the variants ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """A way to build the book, and how many of the steps it takes; ``once``: in one round only."""

    title: str
    command: tuple[str, ...]
    steps: int = 1
    prepare: Callable[[Path], None] = lambda folder: None
    peer: str | None = None
    kernels: bool = True
    once: bool = False

    @property
    def python(self) -> Path:
        """The Python of the environment that it runs in."""
        return PEERS / self.peer / "bin/python" if self.peer else Path(sys.executable)


def sphinx(*options: str) -> tuple[str, ...]:
    """Return the arguments of Python that build the book as ``make html`` does."""
    base = ["-m", "sphinx", "-n", "-q", "-c", ".", "-d", "_build/doctrees"]
    return (*base, *options, "book", "_build/html")


VARIANTS = {
    "off": Variant(
        "Sphinx with execution off",
        sphinx("-D", "nb_execution_mode=off"),
        steps=3,
        kernels=False,
    ),
    "cells": Variant(
        "all cells in one process",
        (str(ROOT / "benchmarks/cells.py"), "book"),
        prepare=convert,
        kernels=False,
    ),
    "ours": Variant("this book, one job", sphinx(), steps=5),
    "two jobs": Variant("this book, two jobs", sphinx("-j", "2"), once=True),
    "stock": Variant("MyST-NB, one thread", sphinx(), steps=4, prepare=append(STOCK), once=True),
    "jupyter-book": Variant(
        "jupyter-book 1",
        ("-c", JUPYTER_BOOK, "build", "book", "--path-output", "."),
        steps=3,
        prepare=prepare_jupyter_book,
        peer="jupyter-book",
        once=True,
    ),
    "nbsphinx": Variant(
        "nbsphinx", sphinx(), steps=3, prepare=prepare_nbsphinx, peer="nbsphinx", once=True
    ),
}  # fmt: skip


def pinned(peer: str) -> str:
    """Return the versions that a peer's environment holds."""
    return (ROOT / f"benchmarks/peers/{peer}.txt").read_text("utf-8")


def install(peer: str) -> None:
    """Make a peer's environment, if it is not there."""
    folder = PEERS / peer
    python, ready = folder / "bin/python", folder / "ready"
    if ready.exists() and ready.read_text("utf-8") == pinned(peer):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pins = ROOT / f"benchmarks/peers/{peer}.txt"
    subprocess.run([python, "-m", "pip", "install", "-qq", "-r", pins], check=True)
    for pandoc in folder.glob("lib/*/site-packages/pypandoc/files/pandoc"):
        (folder / "bin/pandoc").symlink_to(pandoc)
    ready.write_text(pinned(peer), "utf-8")


class Step(NamedTuple):
    """The cost of a step, and the numbers of pages and cells that ran in it."""

    cpu: float
    wall: float
    pages: int
    cells: int


class Copy:
    """A copy of the repository, in which one variant builds."""

    def __init__(self, folder: Path, variant: Variant) -> None:
        self.variant = variant
        self.folder, self.notes, self.log = folder / "book", folder / "notes", folder / "log"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "node_modules").symlink_to(ROOT / "node_modules")
        self.cells = [len(code(notebook)) for _, notebook in notebooks(self.folder / "book")]
        variant.prepare(self.folder)

        profile = folder / "ipython/profile_default"
        (profile / "startup").mkdir(parents=True)
        (profile / "startup/note.py").write_text(NOTE, "utf-8")
        (profile / "ipython_kernel_config.py").write_text(SETTINGS, "utf-8")
        self.environment = os.environ | {
            "IPYTHONDIR": str(folder / "ipython"),
            "NOTES": str(self.notes),
            "PATH": f"{variant.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "OMP_NUM_THREADS": "1",
        }

    def take(self, step: str) -> Step:
        """Take a step and build.

        Raises
        ------
        RuntimeError
            If a cold build does not run every cell of every page.
        """
        STEPS[step](self.folder)
        command = [str(self.variant.python), *self.variant.command]
        cost = measure.run(command, self.folder, self.environment, self.log)
        runs = self.runs()
        cells = sum(len(times) // 2 for times in runs.values())
        if step == "cold" and self.variant.kernels and cells != sum(self.cells):
            raise RuntimeError(f"{cells} of {sum(self.cells)} cells ran")
        return Step(cost.cpu, cost.wall, len(runs), cells)

    def runs(self) -> dict[str, list[float]]:
        """Return by kernel the times at which cells began and ended since the last call."""
        runs: dict[str, list[float]] = {}
        if self.notes.exists():
            for line in self.notes.read_text("utf-8").splitlines():
                kernel, moment = line.split()
                runs.setdefault(kernel, []).append(float(moment))
            self.notes.unlink()
        return runs
