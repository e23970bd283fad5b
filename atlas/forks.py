"""A measurement in a process of its own, so that a crash or a hang of a library ends it alone."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Row = dict[str, Any]


def forked(measure: Callable[..., Row], *arguments: Any, seconds: float) -> Row:
    """Return the row that a function gives in a fork of this process.

    Raises
    ------
    TimeoutError
        If there is none after so many seconds.
    ChildProcessError
        If the fork ends without one; it names the exit code.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, measure, *arguments))
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            raise TimeoutError(f"more than {seconds} seconds")
        row: Row = here.recv()
    except EOFError:
        process.join()
        raise ChildProcessError(f"the process ended with {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    return row


def _send(there: Connection, measure: Callable[..., Row], *arguments: Any) -> None:
    there.send(measure(*arguments))
