"""``make serve`` shows edits of pages, modules and extensions, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Page

First words.

:::{exercise} Title
:name: exercise-one
:::

```{code-cell}
import zeroinit
print("the value is", zeroinit.VALUE)
```

```{eval-rst}
.. autofunction:: zeroinit.function
```
"""


MODULE = '''\
VALUE = 1

def function():
    """Old words."""
'''


def answers(port: int) -> bool:
    """Tell whether a server listens."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def watches(process: int) -> bool:
    """Tell whether a process asks Linux for changes of files; elsewhere nothing tells."""
    held = Path(f"/proc/{process}/fd")
    return not held.exists() or any("inotify" in os.readlink(entry) for entry in held.iterdir())


def test_edits_are_shown_until_it_is_stopped(
    book: "Book", wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    def edit(name: str, old: str, new: str, shown: str) -> None:
        text = book.text(name)
        assert old in text
        book.write(name, text.replace(old, new))
        assert any("Built in" in line for line in said)  # so that no edit falls into a build
        wait_until(lambda: shown in book.text("_build/serve/page.html"))

    book.write("conf.py", book.text("conf.py") + "\nassert Path(__file__).is_absolute()\n")
    book.write("book/page.md", PAGE)
    book.write("book/other.md", "# Other\n")
    other = book.folder / "_build/serve/other.html"
    book.write("src/zeroinit/__init__.py", MODULE)
    options = "--port 0 -q -c . -d _build/doctrees --watch src --watch conf.py book _build/serve"
    server = subprocess.Popen(
        [sys.executable, "-m", "bookbuild.execution.serve", *options.split()],
        cwd=book.folder,
        env=os.environ | {"PYTHONPATH": str(book.folder / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    with server.stdout as said:
        try:
            port = next(found[1] for line in said if (found := re.search(r"127.0.0.1:(\d+)", line)))
            wait_until(lambda: answers(int(port)))
            wait_until(lambda: watches(server.pid))
            time.sleep(1)  # until it has gone through the folders
            assert "the value is 1" in book.text("_build/serve/page.html")
            written = other.stat().st_mtime_ns
            edit("book/page.md", "First words", "Second words", "Second words")
            assert other.stat().st_mtime_ns == written
            edit("src/zeroinit/__init__.py", "VALUE = 1", "VALUE = 2", "the value is 2")
            edit("src/zeroinit/__init__.py", "Old words", "New words", "New words")
            wait_until(lambda: "New words" in book.text("_build/serve/_modules/zeroinit.html"))
            edit(
                "src/bookbuild/content/theorems.py",
                "Link to this",
                "Address of this",
                "Address of this",
            )
            family = psutil.Process(server.pid).children(recursive=True)
            assert family  # the warm process at least
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family))
