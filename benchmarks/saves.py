"""Measure the wall seconds from an author's save until the served page shows it."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.builds import Copy, edit

SERVE = (
    "-m bookbuild.execution.serve -q -c . -d _build/serve-doctrees --port 0 --watch src "
    "--watch conf.py --ignore */__pycache__/* book _build/serve"
)
PAGE = "symmetry"
PATIENCE = 300


class Saves(NamedTuple):
    """Seconds from a save to the page that shows it, and how long that page's cells ran."""

    prose: float
    cell: float
    cells: float


def measure(copy: Copy) -> Saves:
    """Serve a copy that is built, save a page twice, and return how long it took to show.

    Raises
    ------
    TimeoutError
        If it takes minutes.
    """
    with copy.log.open("w") as log:
        server = subprocess.Popen(
            [copy.variant.python, *SERVE.split()],
            cwd=copy.folder,
            env=copy.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await_builds(copy.log, 1)
        prose = save(copy, "**The question.**", "**The question, saved.**", "The question, saved.")
        await_builds(copy.log, 2)
        cell = save(copy, "\nimport torch\n", "\nimport torch  # saved\n", "# saved")
        await_builds(copy.log, 3)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    (times,) = copy.runs().values()
    cells = sum(end - begin for begin, end in zip(times[::2], times[1::2], strict=True))
    return Saves(prose, cell, cells)


def save(copy: Copy, old: str, new: str, shown: str) -> float:
    """Edit a page, and return the seconds until the built page shows a text."""
    built = copy.folder / f"_build/serve/{PAGE}.html"
    begin = time.perf_counter()
    edit(copy.folder / f"book/{PAGE}.md", old, new)
    wait_until(lambda: shown in built.read_text("utf-8"))
    return time.perf_counter() - begin


def await_builds(log: Path, builds: int) -> None:
    """Wait until the server has finished a number of builds, and watches again."""
    wait_until(lambda: log.read_text("utf-8").count("Built in") == builds)
    time.sleep(2)


def wait_until(condition: Callable[[], bool]) -> None:
    """Check a condition a hundred times a second until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the server has not built what was saved")
        time.sleep(0.01)
