"""A measurement in a fork gives its row, or says how it ended."""

import multiprocessing
import os
import time

import pytest

from atlas.forks import Row, forked


def measure(first: int, second: int) -> Row:
    return {"sum": first + second, "process": os.getpid()}


def test_a_row_comes_from_another_process() -> None:
    row = forked(measure, 1, 2, seconds=20)
    assert row["sum"] == 3
    assert row["process"] != os.getpid()


def crash() -> Row:
    os._exit(7)


def hang() -> Row:
    while True:
        time.sleep(1)


def test_a_crash_is_said_with_its_exit_code() -> None:
    with pytest.raises(ChildProcessError, match=r"^the process ended with 7$"):
        forked(crash, seconds=20)


def test_a_hang_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"^more than 0\.1 seconds$"):
        forked(hang, seconds=0.1)
    assert not multiprocessing.active_children()
