"""Measure the CPU seconds of a command and of every process that it starts, directly or not.

The parent that waits for a process is told its CPU seconds, and those of the children for which
that process waited. Kernels run in sessions of their own, and may outlive their parents. So this
process becomes the parent of all orphans among its descendants (``PR_SET_CHILD_SUBREAPER`` of
Linux), waits until the last has ended, and adds up.
"""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36


class Cost(NamedTuple):
    """CPU seconds of all processes, and wall seconds until the command itself ended."""

    cpu: float
    wall: float


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command, with its output in a file, and return its cost.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with log.open("w") as said:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
    cpu = wall = 0.0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:  # the last process has ended
            break
        cpu += usage.ru_utime + usage.ru_stime
        if pid == process.pid:
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, log.read_text("utf-8"))
    return Cost(cpu, wall)
