"""The progress line: on a terminal, when a run is long, and gone at the end."""

import io
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
import torch.nn.functional as F
from nbclient import NotebookClient

from zeroinit import MLP, _progress, half_plane
from zeroinit._progress import progress
from zeroinit.auditing import audit

SLOW = """
import time
from zeroinit import _progress
_progress.PATIENCE = {patience}
with _progress.progress(2) as tick:
    for step in (1, 2, 3):
        tick(step)
        time.sleep(0.05)
    {then}
"""


def screen(shown: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def on_a_terminal(patience: float, then: str = "pass") -> str:
    """Run a slow loop with a terminal for its stderr, and return what it wrote there."""
    ours, theirs = pty.openpty()
    code = SLOW.format(patience=patience, then=then)
    env = os.environ | {"PYTHON_COLORS": "0"}  # from Python 3.13 on a traceback has colours
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=env) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # how Linux says that the other end is closed
            pass
        process.wait()
    os.close(ours)
    return shown.decode()


def test_a_long_run_on_a_terminal_shows_its_steps_and_clears_them() -> None:
    shown = on_a_terminal(patience=-1)
    for line in ("\raudit: step 1 of 2 or more, 0 s", "\raudit: step 2 of 2 or more, 0 s"):
        assert line in shown
    assert "\raudit: step 3, 0 s   " in shown  # the line before was longer
    assert screen(shown) == [""]


def test_the_line_is_cleared_before_an_error_is_shown() -> None:
    lines = screen(on_a_terminal(patience=-1, then="raise RuntimeError('stop')"))
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == ["RuntimeError: stop", ""]


def test_a_quick_run_shows_nothing() -> None:
    assert on_a_terminal(patience=60) == ""


def test_a_log_gets_nothing(
    # In this order, so that the stream of capfd is not put back when that is closed.
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", -1.0)
    for stream in (log := io.StringIO(), sys.stderr):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress(1) as tick:
            tick(1)
    assert log.getvalue() == capfd.readouterr().err == ""


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ((3.0, 3.0, 3.0, 3.0), ""),
        (
            (3.0, 3.1, 3.6, 61.2),
            "\raudit: step 2 of 2 or more, 3 s"
            "\raudit: step 3, 4 s             "
            "\raudit: step 4, 61 s"
            "\r                   \r",
        ),
    ],
)
def test_the_line_comes_after_three_seconds_and_covers_the_one_before(
    times: tuple[float, ...], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((100.0, *(100.0 + t for t in times)))
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=clock.__next__))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(2) as tick:
        for step in range(1, 5):
            tick(step)
    assert terminal.getvalue() == shown


def test_an_audit_says_each_of_its_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    data = half_plane()
    audit(MLP([2, 4, 2]), lambda model: F.cross_entropy(model(data.x), data.y), steps=2)
    shown = capsys.readouterr().err
    assert re.findall(r"step \d[^,]*", shown) == ["step 1 of 2 or more", "step 2 of 2 or more"]
    assert screen(shown) == [""]


def test_a_notebook_gets_nothing() -> None:
    code = SLOW.format(patience=-1, then="print('done')")
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(page, kernel_name="python3", timeout=60).execute()
    assert [output.text for output in page.cells[0].outputs] == ["done\n"]
