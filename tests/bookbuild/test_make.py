"""``make html`` says what is missing, sets up ``.venv`` once, and goes on where it was stopped."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

# A Python with one thing changed. Its environments hold a pip that notes what it is to install, and
# does as it is told.
FAKE = """\
#!{executable}
import os, shutil, sys, types
from pathlib import Path

{setting}
version = "Python " + ".".join(map(str, sys.version_info[:3]))
match sys.argv[1:]:
    case ["-V"]:
        print(version)
    case ["-c", code]:
        exec(code)
    case ["-m", "venv", *options, folder]:
        print("venv", *options)
        python = Path(folder, "bin/python")
        python.parent.mkdir(parents=True, exist_ok=True)
        {venv}
        python.write_text(f'''#!/bin/sh
case "$*" in
    -V) echo {{version}};;
    "-m pip --version") ;;
    *) echo "$@" >> asked; {pip}
esac
''')
        python.chmod(0o755)
    case program:
        os.execv(sys.executable, [sys.executable, *program])
"""
NO_NETWORK = "echo Could not find a version >&2; exit 1"
# Ctrl-C, as a terminal sends it, to make and all that runs for it
INTERRUPT = "echo Collecting torch; kill -INT 0; sleep 9"


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


def asked(book: "Book") -> list[str]:
    """Return what pip was asked to install since the last call."""
    lines = book.text("asked").splitlines()
    book.write("asked", "")
    return [line.removeprefix("-m pip install ") for line in lines]


def due(name: str, torch: str = "") -> list[str]:
    """Return what pip is to install for a list of packages."""
    return [
        f"{torch}-r requirements/torch.txt",
        f"--no-deps --require-hashes -r requirements/{name}.txt",
        "--no-deps --no-build-isolation --editable .",
    ]


def test_an_environment_is_made_once(book: "Book") -> None:
    ready, python = ".venv/ready", fake(book)
    first = book.make(ready, f"PYTHON={python}")
    assert (first.returncode, "venv --clear" in first.stdout) == (0, True), first.stderr
    assert "venv.sh" not in book.make("-n", "html").stdout

    later = (book.folder / ready).stat().st_mtime + 1
    os.utime(book.folder / "requirements/book.txt", (later, later))
    assert "venv.sh" in book.make("-n", "html").stdout
    renewed = book.make(ready, f"PYTHON={python}")
    assert (renewed.returncode, "venv" in renewed.stdout.replace(".venv", "")) == (0, False)
    assert asked(book) == due("book") * 2


def test_the_book_needs_less_than_its_tests(book: "Book") -> None:
    assert book.make(".venv/ready", f"PYTHON={fake(book)}").returncode == 0
    assert asked(book) == due("book")
    for target in ("html", "epub", "serve"):
        assert "venv.sh" not in book.make("-n", target).stdout
    for target in ("test", "lint", "doctest", "bench", "mutants", "lighthouse"):
        assert book.make("-n", target).stdout.count("venv.sh") == 1
    assert book.make(".venv/whole", f"PYTHON={fake(book)}").returncode == 0
    assert asked(book) == due("test")
    assert "venv.sh" not in book.make("-n", "test").stdout


def test_pytorch_without_cuda_comes_from_its_own_index_and_nothing_else_does(book: "Book") -> None:
    assert book.make(".venv/ready", f"PYTHON={fake(book)}", "TORCH=cpu").returncode == 0
    index = "https://download.pytorch.org/whl/cpu"
    assert asked(book) == due("book", f"--no-deps --index-url {index} ")
    done = book.make(".venv/whole", f"PYTHON={fake(book)}", "TORCH=cuda")
    assert done.returncode != 0
    assert "There is no TORCH=cuda: write TORCH=cpu" in done.stderr


def test_a_set_up_that_was_cut_short_goes_on(book: "Book") -> None:
    ready = ".venv/ready"
    assert book.make(ready, f"PYTHON={fake(book, pip='test ! -e no-network')}").returncode == 0
    os.utime(book.folder / ready, (0, 0))
    book.write("no-network", "")
    assert book.make(ready, f"PYTHON={fake(book)}").returncode != 0
    assert not (book.folder / ready).exists()
    (book.folder / "no-network").unlink()
    packages = ".venv/lib/python3/site-packages"
    book.write(f"{packages}/whole-1.dist-info/INSTALLER", "pip")
    book.write(f"{packages}/half-1.dist-info/RECORD", "")
    done = book.make(ready, f"PYTHON={fake(book)}")
    assert (done.returncode, "venv --clear" in done.stdout) == (0, False), done.stderr
    assert [*(book.folder / packages).iterdir()] == [book.folder / packages / "whole-1.dist-info"]
    assert (book.folder / ready).exists()


@pytest.mark.parametrize(
    "python",
    ["echo Python 3.10.1", f'[ "$*" = -V ] && echo Python {platform.python_version()}'],
    ids=["of another Python", "without pip"],
)
def test_what_is_no_environment_of_this_python_is_made_anew(book: "Book", python: str) -> None:
    book.write(".venv/bin/python", f"#!/bin/sh\n{python}\n")
    Path(book.folder, ".venv/bin/python").chmod(0o755)
    done = book.make(".venv/ready", f"PYTHON={fake(book)}")
    assert (done.returncode, "venv --clear" in done.stdout) == (0, True), done.stderr


def test_nothing_is_removed_behind_a_link(book: "Book") -> None:
    (book.folder / ".venv").symlink_to("elsewhere")
    book.write("elsewhere/mine", "")
    done = book.make(".venv/ready", f"PYTHON={fake(book)}")
    assert done.returncode != 0
    assert ".venv is a link, and what it leads to is no environment" in done.stderr
    assert (book.folder / "elsewhere/mine").exists()

    (book.folder / "elsewhere/mine").unlink()
    done = book.make(".venv/ready", f"PYTHON={fake(book)}")
    assert (done.returncode, "venv --clear" in done.stdout) == (0, False), done.stderr
    assert (book.folder / "elsewhere/ready").exists()


def interrupted(book: "Book", *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``make`` in a group of its own, which Ctrl-C is for."""
    return subprocess.run(
        ["make", *arguments],
        cwd=book.folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))},
        start_new_session=True,
        capture_output=True,
        text=True,
    )


def test_ctrl_c_ends_a_set_up_with_a_sentence_and_the_next_goes_on(book: "Book") -> None:
    done = interrupted(book, ".venv/ready", f"PYTHON={fake(book, pip=INTERRUPT)}")
    assert done.returncode != 0
    said = "The set-up was stopped. Run the same command again: it goes on from what is installed."
    assert said in done.stderr
    assert not [word for word in ("Traceback", "no network", "torch") if word in done.stderr]
    assert not (book.folder / ".venv/ready").exists()
    python = book.folder / ".venv/bin/python"
    python.write_text(python.read_text("utf-8").replace(INTERRUPT, ""), "utf-8")
    done = book.make(".venv/ready", f"PYTHON={fake(book)}")
    assert (done.returncode, "venv --clear" in done.stdout) == (0, False), done.stderr


def test_ctrl_c_ends_a_build_with_a_sentence(book: "Book") -> None:
    book.write("bin/python", f"#!/bin/sh\n{INTERRUPT}\n")
    Path(book.folder, "bin/python").chmod(0o755)
    for name in (".venv/ready", "node_modules/.package-lock.json"):
        book.write(name, "")
    done = interrupted(book, "html", "BIN=bin")
    assert done.returncode != 0
    assert done.stderr.startswith("Stopped. What is done is kept: the next run goes on from there.")
    assert "The book was not built" not in done.stderr


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
