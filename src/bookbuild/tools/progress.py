"""Say where a task stands: on a terminal in one line that is drawn anew, in a log in a few lines.

``Progress`` tells a second process what is done and what is in hand, and that process draws. So the
time goes on while the task computes, and forks of the task can tell it as well. What is over within
a second shows nothing.

``python progress.py follow TITLE COMMAND`` runs pip, and shows the package that it comes to. It
needs nothing but Python: the packages are not there yet. The second process starts in every build,
and imports little.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

PATIENCE = 1.0  # seconds before the first line
TERMINAL = 0.5  # seconds from one drawing to the next
LOG = 30.0  # seconds from one line to the next
LONG = 10.0  # seconds after which it is said what a piece is at
ERASE = "\r\x1b[2K"  # has a terminal clear its line


def on_terminal() -> bool:
    """Tell whether the standard output can draw a line anew."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """A task of several pieces, some done and some in hand, shown on the standard output."""

    def __init__(self, title: str, total: int | None = None) -> None:
        import subprocess

        self.begin = time.monotonic()
        source, self.target = os.pipe()
        command = [sys.executable, "-IS", __file__, "draw", title, str(total or "")]
        sys.stdout.flush()
        self.drawer = subprocess.Popen(command, stdin=source)
        os.close(source)

    def tell(self, piece: str, at: str | None = "") -> None:
        """Say that a piece is begun, or what it is at; None says that it is done."""
        self.send(piece if at is None else f"{piece}\t{at}")

    def send(self, said: str) -> None:
        """Send the second process a line; an empty one ends it."""
        with suppress(BrokenPipeError):  # nobody reads what it draws any more
            os.write(self.target, f"{said}\n".encode())

    def close(self) -> None:
        """Have the last line drawn. Forks may still hold the pipe, so its end is said."""
        if time.monotonic() - self.begin < PATIENCE:
            self.drawer.kill()  # it has drawn nothing
        self.send("")
        os.close(self.target)
        self.drawer.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Line:
    """What is known of a task, in words."""

    def __init__(self, title: str, total: int | None, now: float) -> None:
        self.title, self.total, self.begin = title, total, now
        self.done = 0
        self.hand: dict[str, tuple[float, str]] = {}  # since when, and what each piece is at

    def hear(self, piece: str, at: str | None, now: float) -> None:
        """Take note of what ``Progress.tell`` was told."""
        since, _ = self.hand.pop(piece, (now, ""))
        if at is None:
            self.done += 1
        else:
            self.hand[piece] = since, at

    def text(self, now: float) -> str:
        """Return the line, as ``Pages read: 3 of 24, 1:05: chaos (cell 2 of 9), twins``."""
        minutes, seconds = divmod(int(now - self.begin), 60)
        done = f"{self.done}" if self.total is None else f"{self.done} of {self.total}"
        hand = (
            f"{piece} ({at})" if at and now - since > LONG else piece
            for piece, (since, at) in self.hand.items()
        )
        return f"{self.title}: {done}, {minutes}:{seconds:02}: {', '.join(hand)}".removesuffix(": ")


def put(text: str) -> None:
    """Write to the standard output, of which nothing waits in a buffer."""
    os.write(sys.stdout.fileno(), text.encode())


def draw(title: str, total: int | None, source: int) -> None:
    """Draw what comes from a pipe, until it is said to be the end or all writers are gone."""
    import shutil

    now = begin = time.monotonic()
    line, due, rest, more = Line(title, total, now), begin + PATIENCE, b"", True
    terminal = on_terminal()
    while more:
        ready, _, _ = select.select([source], [], [], max(due - now, 0))
        now = time.monotonic()
        if ready:
            data = os.read(source, 65536)
            *lines, rest = (rest + data).split(b"\n")
            more = bool(data) and b"" not in lines
            for said in filter(None, lines):
                piece, begun, at = said.decode().partition("\t")
                line.hear(piece, at if begun else None, now)
        if now >= due and more:
            due = now + (TERMINAL if terminal else LOG)
            shown = line.text(now)
            if terminal:  # what is printed next begins where this line does
                shown = f"{ERASE}{shown[: shutil.get_terminal_size().columns - 1]}\r"
            put(shown if terminal else f"{shown}\n")
    line.hand.clear()
    put(f"{ERASE if terminal else ''}{line.text(now)}\n")


def follow(title: str, command: list[str]) -> int:
    """Run pip, show the package that it comes to, and return its exit status.

    The last of what pip says is shown if it fails, and not if Ctrl-C ends it.
    """
    import re
    import subprocess
    from collections import deque

    said: deque[str] = deque(maxlen=20)
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    last = ""
    with (
        Progress(title) as progress,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip,
    ):
        assert pip.stdout
        for line in pip.stdout:
            said.append(line)
            if found := re.match(r"Collecting ([\w.-]+)|Installing collected", line):
                if last:
                    progress.tell(last, None)
                last = found[1] or ""
                progress.tell(last or "installing them")
    if pip.returncode and not stopped:
        sys.stderr.writelines(said)
    return pip.returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["draw", title, total]:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its task
            with suppress(OSError):  # nobody reads, or the disk is full
                draw(title, int(total) if total else None, sys.stdin.fileno())
        case ["follow", title, *command]:
            sys.exit(follow(title, command))
