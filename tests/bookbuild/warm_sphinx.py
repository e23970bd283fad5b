"""A Python for small books: Sphinx and what it needs are imported before a build begins.

``python warm_sphinx.py import MODULES`` imports modules, and prints an address. With that in the
variable ``WARM_SPHINX``, ``python warm_sphinx.py -m MODULE ARGUMENTS`` does as ``python -m MODULE
ARGUMENTS``, in a fork of that process. No extension of ours is imported there: books change them.
"""

import os
import runpy
import socket
import sys
from pathlib import Path


def run(arguments: list[str]) -> None:
    """Do as ``python -m MODULE ARGUMENTS``."""
    _, module, *sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main(arguments: list[str]) -> None:
    """Be the process that waits for builds, a fork of it, or the client that asks for one."""
    # Not as a part of ``bookbuild``, which a fork imports from its book.
    sys.path[0] = str(Path(__file__).parents[2] / "src/bookbuild/execution")
    import warm  # type: ignore[import-not-found]

    sys.path[0] = os.getcwd()  # as ``python -m`` has it
    if arguments[0] == "import":
        warm.KERNEL_MODULES = ()  # builds import none of them
        server = warm.Server(arguments[1:], [])
        print(f"{server.folder}/socket", flush=True)
        os.dup2(2, 1)  # the starter reads that line only
        if given := server.run():
            run(given)
        return
    address = os.environ.pop("WARM_SPHINX")
    if not hasattr(os, "fork"):
        run(arguments)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        warm.relay(server, arguments)
    sys.exit("The process that imports Sphinx for small books is of another Python.")


if __name__ == "__main__":
    main(sys.argv[1:])
