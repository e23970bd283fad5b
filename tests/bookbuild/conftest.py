"""A small book in a temporary folder, built by the real Makefile, conf.py and extensions."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bookbuild.execution import warm

ROOT = Path(__file__).parents[2]
WARM_SPHINX = Path(__file__).with_name("warm_sphinx.py")
IMPORTED = (  # what every build imports, but our own extensions
    *("sphinx.cmd.build", "sphinx.builders.html", "sphinx_book_theme", "myst_nb.sphinx_ext"),
    *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"),
    *("sphinx_design.extension", "sphinxcontrib.bibtex", "sphinx_markdown_builder.translator"),
    *("bs4", "fontTools.subset", "tinycss2"),
)


class Book:
    """A folder that ``make`` takes for the repository; its package ``zeroinit`` is one line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        for name in (
            "Makefile",
            "conf.py",
            "pyproject.toml",
            "package-lock.json",
        ):
            shutil.copy(ROOT / name, folder)
        for name in ("src/bookbuild", "book/_static", "book/_templates", "requirements"):
            shutil.copytree(ROOT / name, folder / name)
        for style in ROOT.glob("src/zeroinit/*.mplstyle"):
            self.write(f"src/zeroinit/{style.name}", style.read_text("utf-8"))
        self.write("src/zeroinit/__init__.py", "VALUE = 1\n")
        self.write("book/references.bib", "")
        self.write("book/index.md", "# Index\n\n```{toctree}\n:glob:\n*\n```\n")

    def write(self, name: str, text: str) -> None:
        """Write a file, and the folders it needs."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def text(self, name: str) -> str:
        """Return a file's text, empty if there is no such file."""
        file = self.folder / name
        return file.read_text("utf-8") if file.exists() else ""

    def prepare(self, *command: object) -> None:
        """Make an environment whose Python is this one, and no packages of npm but what is there.

        What stands before the arguments of Python is a command of its own, if one is given.
        """
        self.write(".venv/ready", "")
        words = " ".join(map(str, (sys.executable, *command)))
        self.write(".venv/bin/python", f'#!/bin/sh\nexec {words} "$@"\n')
        Path(self.folder, ".venv/bin/python").chmod(0o755)
        self.write("node_modules/.package-lock.json", "")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``make`` in the folder, in a group of processes of its own."""
        own = ("MAKE", "MFLAGS", warm.ADDRESS)  # what this run of make and its build set
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        return subprocess.Popen(
            ["make", *arguments],
            cwd=self.folder,
            env=inherited
            | {"PYTHONPATH": f"{self.folder}/src:{self.folder}/site-packages"}
            | {"TORCH": ""}  # that of this run of make
            | self.environment
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``make`` in the folder, and keep what it prints."""
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def html(self, *arguments: str, target: str = "html") -> subprocess.CompletedProcess[str]:
        """Run ``make html``, or make another target, in the environment that runs this test."""
        self.prepare(WARM_SPHINX)
        return self.make(target, *arguments)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """A function that waits for a condition, for a minute at most."""

    def wait_until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "nothing happened for a minute"
            time.sleep(0.05)

    return wait_until


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """Have Python run a command that makes forks while the block runs; give its address."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,  # it ends when this is closed
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests
    ) as server:
        assert server.stdout
        yield server.stdout.readline().strip()


@pytest.fixture(scope="session")
def warm_sphinx() -> Iterator[str]:
    with serving(str(WARM_SPHINX), "import", *IMPORTED) as address:
        yield address


@pytest.fixture(scope="session")
def warm_kernels() -> Iterator[str]:
    """A process whose kernels know what every kernel imports, and nothing of torch."""
    with serving(warm.__file__, "serve", "[]", json.dumps(warm.RESEED)) as address:
        yield address


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What small books keep for each other: templates, compiled, and style sheets, cut."""
    folder = tmp_path_factory.mktemp("kept")
    for name in ("templates", "styles"):
        (folder / name).mkdir()
    return folder


@pytest.fixture
def book(tmp_path: Path, warm_sphinx: str, kept: Path) -> Book:
    book = Book(tmp_path)
    (book.folder / "_build/kept").mkdir(parents=True)
    for folder in kept.iterdir():
        (book.folder / "_build/kept" / folder.name).symlink_to(folder)
    book.environment["WARM_SPHINX"] = warm_sphinx
    return book
