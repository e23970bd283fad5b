"""Build the site in English and in other languages: ``python -m bookbuild.translation.turns``.

The arguments are the languages, ``--``, and options of Sphinx. All builds begin together, because
most of them find nothing to do. An edition that has a page to read or to write waits until the
English one is built, whose outputs of cells it takes. The exit status is that of the English build,
or 3 where it succeeded and another one did not.
"""

import os
import signal
import sys

from sphinx.application import Sphinx
from sphinx.cmd.build import main

TURN = "BOOK_TURN"  # where a pipe ends from which an edition reads nothing if it may go on
STOP = b"stop" * 100  # each process of an edition that writes pages may read a byte


def build(options: list[str], language: str = "en") -> int:
    """Build an edition, and return the exit status of Sphinx."""
    ends, folder = ("", "") if language == "en" else (f"-{language}", language.partition("_")[0])
    os.environ["BOOK_LANGUAGE"] = language
    places = ["-d", f"_build/doctrees{ends}", "-b", "html", "book", f"_build/html/{folder}"]
    return main([*options, *places])


def begin(options: list[str], language: str, turn: tuple[int, int]) -> int:
    """Begin to build an edition in a process of its own, and return the process's number."""
    if process := os.fork():
        return process
    mine, others = turn
    os.close(others)
    os.environ[TURN] = str(mine)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the English build says that it is stopped
    status = build(options, language)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def wait_for(process: int) -> int:
    """Wait for a process, and return how it ended; a stop of both is for it to tell."""
    while True:
        try:
            return os.waitpid(process, 0)[1]
        except KeyboardInterrupt:
            continue


def build_all(languages: list[str], options: list[str]) -> int:
    """Build all editions, and return the exit status."""
    mine, others = turn = os.pipe()
    editions = {language: begin(options, language, turn) for language in languages}
    status = build(options)
    if status and editions:
        os.write(others, STOP)
    os.close(others)
    os.close(mine)
    for language, process in editions.items():
        if wait_for(process) and not status:
            said = f"The edition in {language} was not built, for the reason above."
            print(said, "The English one was.", file=sys.stderr)
            status = 3
    return status


def wait(app: Sphinx, _: object, pages: object) -> None:
    """Wait for the turn of this edition, if it has pages to read or to write."""
    if pages and (turn := os.environ.get(TURN)):
        if os.read(int(turn), 1):
            os._exit(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(build_all(sys.argv[1:split], sys.argv[split + 1 :]))
