"""An author's mistake is one message: the page, the line, what is wrong and what to do.

Each mistake is made on a page of its own, in one small book. What is printed of a page is all that
follows from its mistake.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.bookbuild.conftest import ROOT, Book

EXECUTION = re.findall(r'"(bookbuild\.execution[\w.]*)"', (ROOT / "conf.py").read_text("utf-8"))
CONF = f"""\
EXECUTION = {EXECUTION}
import os
from bookbuild.checks import warnings

extensions = ["myst_nb", "sphinxcontrib.bibtex", "bookbuild.checks", "bookbuild.content"]
extensions += EXECUTION
bibtex_bibfiles = ["book/references.bib"]
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "cache"
nb_execution_cache_path = os.path.abspath("_build/cells")
nb_execution_timeout = 2
warm_modules = ["json"]
numfig = True
html_theme = "basic"

def setup(app):
    app.connect("build-finished", warnings.conclude)
"""
HEAD = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# The page

"""
FIGURE = """\
```{{code-cell}}
:mystnb:
:  figure:
:    name: figure-{0}
:    caption: A drawing.
{1}from IPython.display import SVG
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
```

See {{numref}}`figure-{0}`.
"""
ALT = ":  image:\n:    alt: Nothing.\n"
GLUE = """\
```{code-cell}
from myst_nb import glue
glue("loss", 1, display=False)
```

The loss is {glue:text}`loss`.

"""
RAISES = "```{code-cell}\n:tags: [hide-input]\na = 1\nb = a / 0\n```\n\n"
NO_ALT = """\
this figure has no alternative text: write below :mystnb: in its cell
:  image:
:    alt: what there is to see [checks.alt]
"""
TRACEBACK = "The whole traceback is in _build/doctrees/tracebacks/{}.txt. [execution.cell]\n"
REFERENCE = "@misc{glorot2010,\n author = {Glorot, X.},\n title = {T},\n year = {2010}\n}\n"

# Of each page what it holds, and what is printed: the line, and the message.
MISTAKES: dict[str, tuple[str, *tuple[tuple[int, str], ...]]] = {
    "raises": (
        HEAD + RAISES + GLUE + FIGURE.format("lost", ALT) + "\nAnd {ref}`figure-lost`.\n",
        (12, "ZeroDivisionError: division by zero\n    a = 1\n    b = a / 0\n" + TRACEBACK),
    ),
    "syntax": (
        HEAD + "```{code-cell}\na = 1\n```\n\n```{code-cell}\nb = 2\nc = (\n```\n",
        (15, "SyntaxError: incomplete input\n    b = 2\n    c = (\n" + TRACEBACK),
    ),
    "late": (
        HEAD + "```{code-cell}\nimport time\ntime.sleep(99)\n```\n",
        (
            10,
            "CellTimeoutError: A cell timed out while it was being executed, after 2 seconds.\n"
            "    import time\n    time.sleep(99)\n"
            "Make the cell faster, or raise nb_execution_timeout in conf.py. [execution.cell]\n",
        ),
    ),
    "no-alt": (
        HEAD
        + FIGURE.format("a", "")
        + FIGURE.format("b", ":  image:\n:    width: 9px\n")
        + FIGURE.format("c", ":  image:\n:    alt:\n")
        + FIGURE.format("d", ":  image:\n"),
        *((line, NO_ALT) for line in (11, 21, 33, 45)),
    ),
    "no-alt-of-a-picture": (
        "# Page\n\n![](a.svg)\n",
        (
            3,
            "this image has no alternative text: say between its brackets what there is to see"
            " [checks.alt]\n",
        ),
    ),
    "unlisted": (
        HEAD + FIGURE.format("unlisted", ALT),
        (
            0,
            "document isn't included in any toctree: name it in that of book/index.md"
            " [toc.not_included]\n",
        ),
    ),
    "near-label": (
        "(label-one)=\n# Page\n\nSee {ref}`label-on`.\n",
        (4, "undefined label: 'label-on'; did you mean 'label-one'? [ref.ref]\n"),
    ),
    "near-figure": (
        "# Page\n\nSee {numref}`figur-unlisted`.\n",
        (3, "undefined label: 'figur-unlisted'; did you mean 'figure-unlisted'? [ref.numref]\n"),
    ),
    "near-page": (
        "# Page\n\nSee {doc}`near-lable`.\n",
        (3, "unknown document: 'near-lable'; did you mean 'near-label'? [ref.doc]\n"),
    ),
    "near-key": (
        "# Page\n\nSee {cite:p}`glorot2011`.\n",
        (
            3,
            "could not find bibtex key \"glorot2011\"; did you mean 'glorot2010'?"
            " [bibtex.key_not_found]\n",
        ),
    ),
    "near-value": (
        HEAD + GLUE.replace("text}`loss", "text}`los"),
        (
            14,
            "No key 'los' found in glue data for this document."
            " (use `path::key`, to glue from another document); did you mean 'loss'?"
            " [mystnb.glue]\n",
        ),
    ),
    "near-term": (
        "# Page\n\n:::{glossary}\ntwins\n  Two.\n:::\n\nA {term}`twin`.\n",
        (8, "term not in glossary: 'twin'; did you mean 'twins'? [ref.term]\n"),
    ),
    "far": (
        "# Page\n\nSee {ref}`nothing`.\n",
        (3, "undefined label: 'nothing' [ref.ref]\n"),
    ),
    "before-a-new-page": (
        "# Page\n\n**The way on.** {doc}`fine` asks more; {doc}`new` too.\n",
        (
            3,
            "the next page of the contents is 'new': let the way on lead there first"
            " [checks.way_on]\n",
        ),
    ),
}
FINE = {
    "new": "# New\n\n**The way on.** {doc}`fine` asks more.\n",
    "fine": "# Fine\n\nSee {cite:p}`glorot2010`.\n\n```{bibliography}\n```\n",
}


def build(book: Book) -> str:
    """Build the book as ``make html`` does, and return what is printed."""
    options = "-m sphinx -W --keep-going -n -q -j 2 -c . -d _build/doctrees book _build/html"
    done = subprocess.run(
        [sys.executable, *options.split()],
        cwd=book.folder,
        env=os.environ | {"PYTHONPATH": str(book.folder / "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == (" WARNING: " in said), said
    return said


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, str]:
    """A book with every mistake, and what its build prints."""
    book = Book(tmp_path_factory.mktemp("wrong"))
    book.write("conf.py", CONF)
    book.write("book/references.bib", REFERENCE)
    book.write("book/a.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
    for page, text in [*FINE.items(), *((page, text) for page, (text, *_) in MISTAKES.items())]:
        book.write(f"book/{page}.md", text)
    pages = "\n".join(page for page in (*MISTAKES, *FINE) if page != "unlisted")
    book.write("book/index.md", f"# Index\n\n```{{toctree}}\n{pages}\n```\n")
    return book, build(book)


@pytest.mark.parametrize("page", MISTAKES)
def test_a_mistake_is_one_message(wrong: tuple[Book, str], page: str) -> None:
    book, said = wrong
    name = f"{book.folder}/book/{page}.md"
    of_page = re.escape(name) + r"[:\d]*: .*?(?=^/|^The pages are|\Z)"
    found = re.findall(of_page, said, re.DOTALL | re.MULTILINE)
    assert found == [
        f"{name}{f':{line}' if line else ''}: WARNING: {message.format(page)}"
        for line, message in MISTAKES[page][1:]
    ]
    assert all(message.count("\n") <= 5 for message in found)


def test_at_the_end_it_is_said_where_to_begin(wrong: tuple[Book, str]) -> None:
    book, said = wrong
    first, *_ = re.findall(rf"^{book.folder}/(\S+): WARNING", said, re.MULTILINE)
    count = said.count(" WARNING: ")
    assert count == sum(len(mistake) - 1 for mistake in MISTAKES.values())
    assert said.endswith(
        "The pages are written to _build/html, and what is wrong with them is named above"
        f" ({count}).\nBegin with the first: {first}\n"
    )
    assert not [line for line in said.splitlines() if line.startswith(("Traceback", "Sphinx"))]


def test_a_site_holds_no_report_of_a_cell_that_failed(wrong: tuple[Book, str]) -> None:
    book, _ = wrong
    assert "raises.html" in os.listdir(book.folder / "_build/html")
    assert not list(book.folder.glob("_build/html/**/*.log"))
    assert "ZeroDivisionError" in book.text("_build/doctrees/tracebacks/raises.txt")


def test_the_next_build_reads_what_has_mistakes_and_no_more(wrong: tuple[Book, str]) -> None:
    book, _ = wrong
    doctrees = book.folder / "_build/doctrees"

    def read() -> dict[str, int]:
        return {file.stem: file.stat().st_mtime_ns for file in doctrees.glob("*.doctree")}

    for page in MISTAKES.keys() - {"far"}:
        book.write(f"book/{page}.md", "# Page\n")
    book.write("book/index.md", book.text("book/index.md").replace("far", "far\nunlisted"))
    said = f"{book.folder}/book/far.md:3: WARNING: undefined label: 'nothing' [ref.ref]"
    assert build(book).splitlines()[:-2] == [said]
    before = read()
    book.write("book/references.bib", REFERENCE.replace("{T},", "{T}"))
    said = f"{book.folder}/book/references.bib:4: WARNING: '}}' expected: a comma or a brace is"
    said += " missing here or on the line before [bibtex.syntax]"
    book.write("book/far.md", "# Page\n")
    assert build(book).splitlines()[:-2] == [said]
    again = {page for page, when in read().items() if when != before[page]}
    assert again == {"far", "fine"}  # the list of references is on the page "fine"
    assert build(book).splitlines()[:-2] == [said]


@pytest.fixture
def slow(book: Book) -> Book:
    """A book whose kernels wait for an import of some seconds."""
    book.write("conf.py", CONF.replace('"json"', '"slowly"'))
    book.write("src/slowly.py", "import time\ntime.sleep(2)\n")
    warm = book.text("src/bookbuild/execution/warm.py")
    book.write("src/bookbuild/execution/warm.py", warm.replace("SLOW = 30", "SLOW = 1"))
    book.write("book/index.md", HEAD + "```{code-cell}\nimport slowly\n```\n")
    return book


def test_a_kernel_that_starts_slowly_is_given_time(slow: Book) -> None:
    assert build(slow) == "Imports take more than 1 seconds; pages wait for them.\n"


def test_a_kernel_that_does_not_start_is_one_message(slow: Book) -> None:
    for file in (slow.folder / "src/bookbuild/execution").glob("*.py"):
        file.write_text(re.sub("startup_timeout=600", "startup_timeout=1", file.read_text("utf-8")))
    assert build(slow).splitlines()[:-2] == [
        "Imports take more than 1 seconds; pages wait for them.",
        f"{slow.folder}/book/index.md:10: WARNING: Kernel didn't respond in 1 seconds:"
        " the machine may be busy, so build again",
        "    import slowly [execution.cell]",
    ]
