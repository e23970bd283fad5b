"""Say where a task stands: on a terminal in one line that is drawn anew, in a log in a few lines.

``Progress`` tells a second process what is done and what is in hand, and that process draws. So the
time goes on while the task computes, and forks of the task can tell it as well. What is over within
a second shows nothing.

``python progress.py follow TITLE COMMAND`` runs pip, and shows the package that it comes to. It
needs nothing but Python: the packages are not there yet.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
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
        source, self.target = os.pipe()
        command = [sys.executable, "-IS", __file__, "draw", json.dumps([title, total])]
        sys.stdout.flush()
        self.drawer = subprocess.Popen(command, stdin=source)
        os.close(source)

    def tell(self, piece: str, at: str | None = "") -> None:
        """Say that a piece is begun, or what it is at; None says that it is done."""
        self.send([piece, at])

    def send(self, said: list[str | None] | None) -> None:
        """Send the drawer a line; None ends it."""
        with suppress(BrokenPipeError):  # nobody reads what it draws any more
            os.write(self.target, json.dumps(said).encode() + b"\n")

    def close(self) -> None:
        """Have the last line drawn. Forks may still hold the pipe, so its end is said."""
        self.send(None)
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


def draw(title: str, total: int | None, source: int) -> None:
    """Draw what comes from a pipe, until it is said to be the end or all writers are gone."""
    now = begin = time.monotonic()
    line, due, rest, more = Line(title, total, now), begin + PATIENCE, b"", True
    terminal = on_terminal()
    while more:
        ready, _, _ = select.select([source], [], [], max(due - now, 0))
        now = time.monotonic()
        if ready:
            data = os.read(source, 65536)
            *lines, rest = (rest + data).split(b"\n")
            told = [json.loads(one) for one in lines]
            more = bool(data) and None not in told
            for piece, at in filter(None, told):
                line.hear(piece, at, now)
        if now >= due and more:
            due = now + (TERMINAL if terminal else LOG)
            shown = line.text(now)
            if terminal:  # the next one to print begins where this line does
                shown = f"{ERASE}{shown[: shutil.get_terminal_size().columns - 1]}\r"
            print(shown, end="" if terminal else "\n", flush=True)
    line.hand.clear()
    if now - begin >= PATIENCE:
        print(f"{ERASE if terminal else ''}{line.text(now)}", flush=True)


def follow(title: str, command: list[str]) -> int:
    """Run pip, show the package that it comes to, and return its exit status."""
    with (
        Progress(title) as progress,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip,
    ):
        assert pip.stdout
        last = ""
        for said in pip.stdout:
            match said.split():
                case ["Collecting", package, *_]:
                    if last:
                        progress.tell(last, None)
                    progress.tell(last := package)
                case ["Installing", "collected", *_] if last:
                    progress.tell(last, None)
                    progress.tell("installing them")
    return pip.returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["draw", task]:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its task
            title, total = json.loads(task)
            with suppress(BrokenPipeError):
                draw(title, total, sys.stdin.fileno())
        case ["follow", title, *command]:
            signal.signal(signal.SIGINT, lambda *_: None)  # it ends with pip
            sys.exit(follow(title, command))
