"""Serve the book and rebuild it on every save: sphinx-autobuild, with builds that start quickly.

``python -m PACKAGE.execution.serve ARGUMENTS`` takes the arguments of sphinx-autobuild, and runs in
the folder of conf.py. The first build runs in the serving process, which has then imported Sphinx
and its extensions. Every later build is a fork of that process, and imports only the modules below
the current folder anew. The server that forks kernels (``warm.py``) runs as long as this one.
Without ``fork`` this is plain sphinx-autobuild.
"""

import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import sphinx_autobuild.__main__ as autobuild
from jupyter_client.manager import KernelManager
from sphinx.cmd.build import main as build
from sphinx.pycode import ModuleAnalyzer
from sphinx_autobuild.build import Builder
from sphinx_autobuild.utils import show_message

from . import warm


class WarmBuilder(Builder):  # type: ignore[misc]
    """A builder whose builds are forks of the serving process, and so find its imports done."""

    def __call__(self, *, changed_paths: Sequence[Path]) -> None:
        """Build; in a fork if something has been built before."""
        begin = time.monotonic()
        sys.stdout.flush()
        if not changed_paths:
            build(self.sphinx_args)
        elif fork := os.fork():
            os.waitpid(fork, 0)
        else:
            forget_own_modules()
            build(self.sphinx_args)
            sys.stdout.flush()
            os._exit(0)
        show_message(f"Built in {time.monotonic() - begin:.1f} s. Serving on {self.uri}")
        sys.stdout.flush()  # a program that reads the output may wait for that line


def forget_own_modules() -> None:
    """Have the modules below the current folder imported anew, but not an environment's."""
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or sys.prefix)
        if file.is_relative_to(Path.cwd()) and not file.is_relative_to(sys.prefix):
            del sys.modules[name]
    ModuleAnalyzer.cache.clear()  # Sphinx's own cache of sources


def warm_up() -> None:
    """Start the server of kernels as conf.py has it, and one kernel that makes it import."""
    settings = runpy.run_path(str(Path("conf.py").absolute()))  # as Sphinx names it
    if modules := settings.get("warm_modules"):
        warm.start(modules, settings.get("warm_reseed", warm.RESEED))
        warm.offer_kernel()
        kernel = KernelManager(kernel_name=warm.KERNEL)
        kernel.start_kernel(extra_arguments=["--version"])


if __name__ == "__main__":
    if hasattr(os, "fork"):
        multiprocessing.set_start_method("fork")
        autobuild.Builder = WarmBuilder
        warm_up()
    autobuild.main()
