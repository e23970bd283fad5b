"""Run the cells of pages and keep their outputs, in any book that MyST-NB builds.

The Sphinx extension of this name is ``warm`` and ``cache`` with the kernel that both need, which is
beside this file. A kernel's client imports this file for every page: it imports little.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.util.typing import ExtensionMetadata

KERNEL = "book"  # in kernels/book


def offer_kernel() -> None:
    """Have Jupyter find the kernel, in this process and in those that it starts."""
    os.environ["JUPYTER_PATH"] = os.path.dirname(__file__)


def use_kernel(app: Sphinx, config: Config) -> None:
    """Run the cells of pages that ask for Python in the kernel, unless conf.py names another."""
    config.nb_kernel_rgx_aliases = {"python3": KERNEL, **config.nb_kernel_rgx_aliases}


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    import atexit
    import gc

    from nbclient import NotebookClient

    NotebookClient.shutdown_kernel.default_value = "immediate"  # a kernel has nothing to save
    gc.set_threshold(100_000)  # a build makes many objects, and few of them wait for the collector
    atexit.register(gc.freeze)  # the end of the process frees what is left
    offer_kernel()
    app.connect("config-inited", use_kernel)
    app.setup_extension("bookbuild.execution.warm")
    app.setup_extension("bookbuild.execution.cache")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
