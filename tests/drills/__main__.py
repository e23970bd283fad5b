"""Drills: a fault in the middle of a build, many times, after which the next build has to be right.

``python -m tests.drills [SEED]`` runs them on a small book, and prints a row for each kind: how
often the fault came, how often the build during it failed, and how often the site of the next build
was not, byte for byte, that of a build from nothing. The disk is a file system in memory, whose
mounting needs root; without, its drills are left out.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bookbuild.conftest import ROOT, Book

PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Page {number}

Words of state {state}. The slope is $\\frac{{{number}}}{{{state}}}$.

| a |
| --: |
| {state} |

```{{code-cell}}
:tags: [remove-input]
import zeroinit
print("the value is", zeroinit.VALUE)
{fault}
```

```{{code-cell}}
:mystnb:
:  image:
:    alt: a line
import matplotlib.pyplot as plt
plt.rcParams["svg.hashsalt"] = "drills"
fig, ax = plt.subplots()
ax.plot([{state}, zeroinit.VALUE]);
```
"""
STATES = (1, 2)
HANGS = 5  # seconds after which a cell is stopped
CELLS = {  # what a cell does, and whether the page fails for it
    "a cell that forks": ("import os, time\nif not os.fork(): time.sleep(2); os._exit(0)", False),
    "a cell that leaks threads": (
        "import threading, time\n"
        "for _ in range(50): threading.Thread(target=time.sleep, args=(9,)).start()",
        False,
    ),
    "a cell that prints megabytes": ("print('0123456789\\n' * 400_000)", False),
    "a cell that hangs": ("import time\ntime.sleep(999)", True),
    "a cell that ends its process": ("import os\nos._exit(1)", True),
}

Digests = dict[str, str]


def make_book(folder: Path) -> Book:
    """Return a small book with formulas and figures, and without the lab."""
    book = Book(folder)
    for package in ("katex", "svgo"):
        link = folder / "node_modules" / package
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(ROOT / "node_modules" / package)
    book.write("conf.py", book.text("conf.py") + f"nb_execution_timeout = {HANGS}\n")
    book.prepare()
    write(book, STATES[0])
    return book


def write(book: Book, state: int, fault: str = "") -> None:
    """Bring the pages and the package to a state; a cell of the first page may hold a fault."""
    book.write("src/zeroinit/__init__.py", f"VALUE = {state}\n")
    for number in (1, 2, 3):
        cell = fault if number == 1 else ""
        book.write(f"book/p{number}.md", PAGE.format(number=number, state=state, fault=cell))


def site(book: Book) -> Digests:
    """Return a digest of each file of the built site that it still uses.

    Sphinx leaves the pictures of an older state beside those of the new one; no page shows them.
    """
    folder = book.folder / "_build/html"
    shown = "".join(page.read_text("utf-8") for page in folder.rglob("*.html"))
    return {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and (file.parent.name != "_images" or file.name in shown)
    }


def build(book: Book) -> bool:
    """Build the book, and return whether make says that it is right."""
    return book.make("html").returncode == 0


def killed(book: Book, wait: float) -> bool:
    """Start a build, and kill all its processes after some seconds."""
    with book.start("html") as process:
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return process.returncode == 0


@contextmanager
def little_room(folder: Path, left: int) -> Iterator[None]:
    """Leave so many bytes of the disk free while the block runs."""
    free = shutil.disk_usage(folder).free
    filler = folder / "filler"
    subprocess.run(["fallocate", "-l", str(free - left), filler], check=True)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Forbid all writing while the block runs."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def age(folder: Path, days: float) -> None:
    """Move the times of all files, as a clock does that is set to another day."""
    for file in folder.rglob("*"):
        if not file.is_symlink():
            then = file.stat().st_mtime + 86400 * days
            os.utime(file, (then, then))


class Drill:
    """A book, the sites that it should become, and the count of what went wrong."""

    def __init__(self, folder: Path) -> None:
        self.book, self.due, self.state = make_book(folder), dict[int, Digests](), STATES[0]
        for state in STATES:
            with TemporaryDirectory() as clean:
                other = make_book(Path(clean))
                write(other, state)
                assert build(other), "the small book does not build"
                self.due[state] = site(other)
        assert self.due[1] != self.due[2]
        self.wrong = 0

    def turn(self) -> None:
        """Bring the book to its other state."""
        self.state = STATES[1] if self.state == STATES[0] else STATES[0]
        write(self.book, self.state)

    def run(self, name: str, times: int, fault: Callable[[int], bool]) -> None:
        """Cause a fault some times; each time build again, and compare the site."""
        failed = stale = 0
        for number in range(times):
            self.turn()
            failed += not fault(number)
            write(self.book, self.state)
            stale += not build(self.book) or site(self.book) != self.due[self.state]
        self.wrong += stale
        print(f"{name:32} {times:5} {failed:7} {stale:6}", flush=True)

    def cell(self, fault: str, fails: bool) -> bool:
        """Build with a fault in a cell, and return whether make says that the book is right."""
        write(self.book, self.state, fault)
        right = build(self.book)
        self.wrong += right == fails
        return right

    def together(self, _: int) -> bool:
        """Build twice at once, while the book is served."""
        with self.book.start("serve") as server:
            builds = [self.book.start("html") for _ in range(2)]
            for process in builds:
                process.communicate()
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()
        return all(process.returncode == 0 for process in builds)


def main(seed: int) -> int:
    """Run all drills, and return how many sites were wrong."""
    random.seed(seed)
    with TemporaryDirectory() as folder:
        disk = ["mount", "-t", "tmpfs", "-o", "size=300m", "drills", folder]
        mounted = subprocess.run(disk, capture_output=True).returncode == 0
        try:
            return drills(Path(folder), mounted)
        finally:
            if mounted:
                subprocess.run(["umount", "-l", folder], check=True)


def drills(folder: Path, mounted: bool) -> int:
    """Run the drills in a folder, those of its disk if it is one that is mounted for them."""
    drill = Drill(folder)
    book = drill.book
    begun = time.monotonic()
    assert build(book)
    whole = time.monotonic() - begun
    print(f"{'fault':32} {'times':>5} {'failed':>7} {'wrong':>6}")
    drill.run("kill -9", 40, lambda _: killed(book, random.uniform(0, whole)))

    def full(number: int) -> bool:
        with little_room(folder, 1 << 10 + 2 * number):  # from a kilobyte
            return build(book)

    def locked(_: int) -> bool:
        with read_only(folder):
            return build(book)

    if mounted:
        drill.run("the disk is full", 10, full)
        drill.run("nothing can be written", 5, locked)
    else:
        print("The drills of the disk are left out: only root can mount one.")

    def set_back(number: int) -> bool:
        age(folder / ("book" if number % 2 else "_build"), -2.0 if number % 2 else 2.0)
        return build(book)

    drill.run("the clock is set back", 10, set_back)
    drill.run("two builds and a serve at once", 5, drill.together)
    for name, (text, fails) in CELLS.items():
        drill.run(name, 6, lambda _, text=text, fails=fails: drill.cell(text, fails))  # type: ignore[misc]
    print(f"{drill.wrong} sites were wrong.")
    return drill.wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0) > 0)
