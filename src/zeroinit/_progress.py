"""A line that says how far a long run is, on a terminal only."""

import sys
import time
from types import TracebackType

PATIENCE = 3.0  #: seconds before the line appears


class progress:  # noqa: N801, used like a function
    """Rewrite one line of stderr at each step of a run that takes longer than a few seconds.

    The line is cleared at the end. A log, a notebook and a quick run get nothing.

    Parameters
    ----------
    total : int
        How many steps the run takes at least.
    shown : bool, default True
        Whether this process is the one that writes, of those that share a terminal.
    """

    def __init__(self, total: int, shown: bool = True) -> None:
        self.total, self.begin, self.width = total, time.monotonic(), 0
        self.shown = shown

    def __enter__(self) -> "progress":
        return self

    def __call__(self, step: int) -> None:
        """Say that a step begins."""
        spent = time.monotonic() - self.begin
        if self.shown and spent > PATIENCE and sys.stderr.isatty():
            rest = f" of {self.total} or more" if step <= self.total else ""
            self._write(f"audit: step {step}{rest}, {spent:.0f} s")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.width:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self.width))
        sys.stderr.flush()
        self.width = len(line)
