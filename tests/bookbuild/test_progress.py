"""A task says where it stands: in one line on a terminal, in a few in a log, or not at all."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from bookbuild.execution import warm
from bookbuild.tools import progress

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

TEXT = Path(progress.__file__).read_text("utf-8")


def change(folder: Path, **constants: float) -> None:
    """Write a copy of the module with other numbers of seconds."""
    text = TEXT
    for name, seconds in constants.items():
        text, found = re.subn(rf"(?m)^({name}) = [\d.]+", rf"\1 = {seconds}", text)
        assert found == 1
    (folder / "progress.py").write_text(text, "utf-8")


def test_a_line_says_what_is_done_what_is_in_hand_and_the_time() -> None:
    line = progress.Line("Pages read", 24, 100.0)
    assert line.text(100.4) == "Pages read: 0 of 24, 0:00"
    line.hear("chaos", "", 101.0)
    line.hear("twins", "", 101.0)
    line.hear("chaos", "cell 2 of 9", 102.0)
    assert line.text(111.0) == "Pages read: 0 of 24, 0:11: twins, chaos"
    line.hear("twins", None, 112.0)
    assert line.text(165.5) == "Pages read: 1 of 24, 1:05: chaos (cell 2 of 9)"
    assert progress.Line("Pages written", None, 0.0).text(3601) == "Pages written: 0, 60:01"


# It ends when it is told to. A fork of it tells of a page as well, and may outlive it.
TASK = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from progress import Progress
with Progress("Pages read", 2) as shown:
    shown.tell("the page in hand")
    if not (fork := os.fork()):
        shown.tell("another page", None)
        os.close(2)
        signal.pause()
    sys.stdin.readline()
os.kill(fork, signal.SIGKILL)
"""


def start(folder: Path, out: int | IO[str]) -> "subprocess.Popen[str]":
    """Start the task."""
    return subprocess.Popen(
        [sys.executable, "-c", TASK.format(folder=str(folder))],
        stdin=subprocess.PIPE,
        stdout=out,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "40"},
    )


def test_on_a_terminal_it_is_one_line(tmp_path: Path) -> None:
    change(tmp_path, PATIENCE=0.0, TERMINAL=0.01)
    screen, terminal = pty.openpty()
    task = start(tmp_path, terminal)
    os.close(terminal)
    shown = ""
    while "1 of 2" not in shown:
        shown += os.read(screen, 1000).decode()
    task.communicate("\n", timeout=60)
    with suppress(OSError):  # Linux says so where a terminal ends
        while data := os.read(screen, 1000):
            shown += data.decode()
    os.close(screen)
    *drawn, last = shown.split(progress.ERASE)[1:]
    assert re.fullmatch(r"Pages read: 1 of 2, \d:\d\d\r\n", last)
    assert all(re.fullmatch(r"Pages read: [01] of 2[^\r\n]*\r", line) for line in drawn)
    assert re.fullmatch(r"Pages read: 1 of 2, \d:\d\d: the page in h\r", drawn[-1])
    assert len(drawn[-1]) == 39 + len("\r")  # and the terminal has 40 columns


@pytest.mark.parametrize(("patience", "least"), [(0.0, 1), (600.0, 0)], ids=["long", "short"])
def test_in_a_log_it_is_a_few_lines_and_none_of_what_is_soon_over(
    tmp_path: Path,
    patience: float,
    least: int,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    change(tmp_path, PATIENCE=patience, LOG=600)
    with open(tmp_path / "log", "w+") as log:
        task = start(tmp_path, log)
        wait_until(lambda: os.path.getsize(log.name) > 0 or not least)
        task.communicate("\n", timeout=60)
        log.seek(0)
        lines = log.read().splitlines()
    assert least <= len(lines) <= 2 * least
    assert all(re.fullmatch(r"Pages read: [01] of 2, \d:\d\d(: .*)?", line) for line in lines)


UNREAD = """
import sys
sys.path.insert(0, {folder!r})
from progress import Progress
with Progress("Pages read", 2) as shown:
    shown.drawer.wait()
    shown.tell("a page")
"""


def test_it_is_no_matter_if_nobody_looks(tmp_path: Path) -> None:
    change(tmp_path, PATIENCE=0.0)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", UNREAD.format(folder=str(tmp_path))],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


PIP = """\
seen() {
    until grep -q ": $1\\$" log; do sleep 0.01; done
}
echo "Collecting torch>=2.8 (from zeroinit)"; seen torch
echo Collecting numpy; echo "  Using cached numpy.whl"; seen numpy
echo Installing collected packages: numpy, torch; seen "installing them"
echo No space left on device >&2; exit 3
"""


def test_of_pip_it_shows_the_package_and_its_last_words_if_it_fails(tmp_path: Path) -> None:
    change(tmp_path, PATIENCE=0.0, LOG=0.01)
    with open(tmp_path / "log", "w+") as log:
        done = subprocess.run(
            [sys.executable, "progress.py", "follow", "Packages found", "sh", "-c", PIP],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        log.seek(0)
        lines = [re.sub(r" \d:\d\d", "", line) for line in log.read().splitlines()]
    assert done.returncode == 3
    assert done.stderr.endswith("\nNo space left on device\n")
    assert [line for line, _ in groupby(lines)][-4:] == [
        "Packages found: 0,: torch",
        "Packages found: 1,: numpy",
        "Packages found: 2,: installing them",
        "Packages found: 2,",
    ]


PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Page

```{code-cell}
print(1)
```

```{code-cell}
import time; time.sleep(1)
```
"""


def test_a_build_names_the_page_and_the_cell_and_shows_nothing_if_it_does_nothing(
    book: "Book", warm_kernels: str
) -> None:
    book.environment[warm.ADDRESS] = warm_kernels
    book.write("book/page.md", PAGE)
    change(book.folder / "src/bookbuild/tools", PATIENCE=0.0, LOG=0.05, LONG=0.0)
    done = book.html()
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Pages read: \d of 2, 0:\d\d: .*page \(cell 2 of 2\)", done.stdout, re.M)
    assert re.search(r"^Pages read: 2 of 2, 0:\d\d\nPages written: 0", done.stdout, re.M)
    pages = len([*book.folder.glob("_build/html/**/*.html")])
    *_, last, end = done.stdout.splitlines()
    assert re.fullmatch(rf"Pages written: {pages}, 0:\d\d", last)
    lab, *others = book.html().stdout.splitlines()
    assert "without its lab" in lab
    assert others == [end]
