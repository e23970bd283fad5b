"""An IPython extension: write down which files and packages a kernel reads.

Name it in kernel.json: ``--ext=bookbuild.execution.footprint``. If the environment variable
``FOOTPRINT`` is the name of a file, the kernel adds a line of JSON to that file when it first opens
a file below the folder ``FOOTPRINT_ROOT``, ``{"file": path, "digest": of what the file holds at
that moment}``, and when it first opens a file of an installed package, ``{"package": its name in
site-packages}``.
To import is to open. A file that is only written is left out, and one that compiled code or another
program opens is not seen. Every cell is reported when it starts, ``{"cell": source}``.
"""

import hashlib
import json
import os
import re
import sys
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]([^/\\]+)(.*)")


def digest(path: str | Path) -> str | None:
    """Return a name for a file's contents, or None if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def reads(mode: str | None, flags: int) -> bool:
    """Tell whether a call of ``open``, or of ``os.open`` without a mode, can read."""
    return "r" in mode or "+" in mode if mode else not flags & os.O_WRONLY


def watch(shell: InteractiveShell, report: str, root: str) -> None:
    """Report what this process and its forks read from now on."""
    lines = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    seen: set[str] = set()

    def note(kind: str, name: str, **more: str | None) -> None:
        os.write(lines, (json.dumps({kind: name, **more}) + "\n").encode())

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or isinstance(arguments[0], int) or not reads(*arguments[1:]):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.endswith(".pyc") and "__pycache__" in path:
            path = source_from_cache(path)
        if path in seen:
            return
        seen.add(path)
        if installed := INSTALLED.search(path):
            name, rest = installed.groups()
            if name.endswith(".dist-info") and not rest.endswith("METADATA"):
                return  # tools look through all packages; who asks for a version reads METADATA
            if name not in seen:
                seen.add(name)
                note("package", name)
        elif path.startswith(root + os.sep):
            note("file", path, digest=digest(path))

    sys.addaudithook(hook)
    shell.events.register("pre_run_cell", lambda info: note("cell", info.raw_cell))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Start to watch, if somebody asks for it."""
    if report := os.environ.pop("FOOTPRINT", None):
        watch(shell, report, os.environ.pop("FOOTPRINT_ROOT"))
