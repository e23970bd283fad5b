"""Write down which files and packages a kernel reads.

The kernel runs this file by its path, and then calls ``watch``. From then on it appends a line of
JSON to a log when it first opens a file below a folder, ``{"file": path, "digest": of the contents
at that moment}``, when it first opens a file of an installed package, ``{"package": its name in
site-packages}``, and when a cell starts, ``{"cell": source}``.

An import opens a file, too. A file that is only written is left out. A file that compiled code or
another program opens is not seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from importlib.util import source_from_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]([^/\\]+)(.*)")


def digest(path: str | Path) -> str | None:
    """Return the SHA-256 of a file's contents, or None if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def reads(mode: str | None, flags: int) -> bool:
    """Tell whether a call of ``open``, or of ``os.open`` without a mode, can read."""
    return "r" in mode or "+" in mode if mode else not flags & os.O_WRONLY


def watch(shell: InteractiveShell, log: str, root: str) -> None:
    """Log what this process and its forks read from now on, of files those below ``root``."""
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    seen: set[str] = set()

    def write(kind: str, name: str, **more: str | None) -> None:
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
                return  # tools list all packages; a program that asks for a version reads METADATA
            if name not in seen:
                seen.add(name)
                write("package", name)
        elif path.startswith(root + os.sep):
            write("file", path, digest=digest(path))

    sys.addaudithook(hook)
    shell.events.register("pre_run_cell", lambda info: write("cell", info.raw_cell))
