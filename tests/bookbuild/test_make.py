"""``make html`` says what is missing, leaves nothing half-made, and sets up ``.venv`` once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

# A Python with one thing changed, whose environments hold a pip that does as it is told.
FAKE = """\
#!{executable}
import shutil, sys, types
from pathlib import Path

{setting}
match sys.argv[1:]:
    case ["-V"]:
        print("Python", ".".join(map(str, sys.version_info[:3])))
    case ["-c", code]:
        exec(code)
    case ["-m", "venv", *options, folder]:
        print("venv", *options)
        python = Path(folder, "bin/python")
        python.parent.mkdir(parents=True, exist_ok=True)
        {venv}
        python.write_text("#!/bin/sh\\n{pip}\\n")
        python.chmod(0o755)
"""
NO_NETWORK = "echo Could not find a version; exit 1"


def fake(book: "Book", setting: str = "", venv: str = "", pip: str = "") -> str:
    """Write such a Python, and return its path."""
    file = book.folder / "fake-python"
    file.write_text(
        FAKE.format(executable=sys.executable, setting=setting, venv=venv, pip=pip), "utf-8"
    )
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"setting": "sys.version_info = (3, 9, 1)"}, ["is Python 3.9.1", "Python 3.11 or newer"]),
        (
            {"setting": "shutil.disk_usage = lambda _: types.SimpleNamespace(free=2 << 30)"},
            ["Less than 3 GB", "make room"],
        ),
        ({"venv": "sys.exit('ensurepip is not available')"}, ["ensurepip", "python3-venv"]),
        ({"pip": NO_NETWORK}, ["Could not find a version", "network", "disk"]),
    ],
    ids=["too-old", "disk-full", "no-ensurepip", "no-network"],
)
def test_a_failed_setup_says_what_is_missing(
    book: "Book", changed: dict[str, str], said: list[str]
) -> None:
    done = book.make("html", f"PYTHON={fake(book, **changed)}")
    assert done.returncode != 0
    for words in said:
        assert words in done.stdout + done.stderr
    assert not (book.folder / ".venv/ready").exists()


def test_no_such_python(book: "Book") -> None:
    done = book.make("html", "PYTHON=/no/such/python")
    assert done.returncode != 0
    assert "There is no /no/such/python" in done.stderr
    assert "3.11" in done.stderr


def test_an_environment_is_made_once(book: "Book") -> None:
    ready, python = ".venv/ready", fake(book)
    first = book.make(ready, f"PYTHON={python}")
    assert (first.returncode, "venv --clear" in first.stdout) == (0, True), first.stderr
    assert "venv.sh" not in book.make("-n", "html").stdout

    later = (book.folder / ready).stat().st_mtime + 1
    os.utime(book.folder / "constraints.txt", (later, later))
    assert "venv.sh" in book.make("-n", "html").stdout
    renewed = book.make(ready, f"PYTHON={python}")
    assert (renewed.returncode, "venv --clear" in renewed.stdout) == (0, False), renewed.stderr


def test_what_is_half_made_is_made_anew(book: "Book") -> None:
    ready = ".venv/ready"
    assert book.make(ready, f"PYTHON={fake(book)}").returncode == 0
    os.utime(book.folder / ready, (0, 0))
    assert book.make(ready, f"PYTHON={fake(book, pip=NO_NETWORK)}").returncode != 0
    assert not (book.folder / ready).exists()
    assert "venv --clear" in book.make(ready, f"PYTHON={fake(book)}").stdout


def test_a_full_disk_is_named_when_the_book_is_not_built(book: "Book") -> None:
    for name, answer in (("python", "exit 1"), ("df", "printf 'Available\\n- - - 2048 -\\n'")):
        book.write(f"bin/{name}", f"#!/bin/sh\n{answer}\n")
        Path(book.folder, "bin", name).chmod(0o755)
    book.write(".venv/ready", "")
    done = book.make("html", "BIN=bin", PATH=f"{book.folder}/bin:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "The book was not built" in done.stderr
    assert "make room" in done.stderr


UNLISTED = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# A page that no toctree names

```{code-cell}
:mystnb:
:  figure:
:    name: fig_a
:    caption: A drawing.
:  image:
:    alt: Nothing.
from IPython.display import SVG
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
```

See {numref}`fig_a`.
"""


def test_what_is_not_there_fails_the_build(book: "Book") -> None:
    roles = ("doc", "ref", "numref", "cite:p", "glue:text", "py:func")
    missing = [f"{{{role}}}`none{k}`" for k, role in enumerate(roles)]
    missing += ["{unknown}`x`", "[](#none-page)", "![](none.png)"]
    book.write("book/page.md", "\n".join(["# Page", *missing]))
    book.write("book/index.md", "# Index\n\n```{toctree}\npage\n```\n")
    book.write("book/unlisted.md", UNLISTED)
    book.write("conf.py", book.text("conf.py") + "\nwarm_modules = []\n")
    done = book.html()
    assert done.returncode != 0
    for name in (*(f"none{k}" for k in range(len(roles))), "unknown", "none-page", "none.png"):
        assert name in done.stderr
    of_the_other = [line for line in done.stderr.splitlines() if "unlisted.md" in line]
    assert len(of_the_other) == 1
    assert (
        "document isn't included in any toctree: name it in that of book/index" in of_the_other[0]
    )
    assert "Traceback" not in done.stderr
    assert "\nThe pages are written to _build/html, and what is wrong with them" in done.stderr
    assert "The book was not built" not in done.stderr
    assert "A page that no toctree names" in book.text("_build/html/unlisted.html")
