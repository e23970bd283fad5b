"""A command costs the CPU seconds of every process that it leads to, however they are related.

A process that ends passes its CPU seconds, and those of the children that it waited for, to whoever
waits for it. Kernels run in sessions of their own, and a process that nobody waited for would
escape. So this process adopts all orphans among its descendants (Linux does that for who asks),
waits until the last has ended, and adds up.
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
    """Run a command with all that it says going to a file, and return what it cost.

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
        except ChildProcessError:  # the last one has ended
            break
        cpu += usage.ru_utime + usage.ru_stime
        if pid == process.pid:
            wall = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, log.read_text("utf-8"))
    return Cost(cpu, wall)
