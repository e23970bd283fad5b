"""A Sphinx extension: MyST-NB runs a page only if something that the page runs on has changed.

It takes the place of MyST-NB's cache, and so works where ``nb_execution_mode`` is ``"cache"``. A
record holds the outputs of a page's cells and their sources: the cells and the kernel, every file
below ``cache_root`` that the page imported or opened, with a digest, and every package that it
used, with its version. Cached outputs are reused until one of these changes. Prose, captions and
the tags that hide a cell are no sources. Sphinx is told of the files, and reads the page again when
one changes. The newest ``KEPT`` records of each page stay, below ``nb_execution_cache_path``.

When a cell of a page starts, the event ``cell-started`` is emitted, with the name of the page, the
number of the cell and how many cells the page has.
"""

import json
import os
import re
import sys
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from urllib.parse import quote

import myst_nb.core.execute
import myst_nb.core.utils
from jupyter_cache.executors.utils import single_nb_execution  # type: ignore[import-untyped]
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, get_kernel_spec
from myst_nb.core.execute.base import ExecutionError, NotebookClientBase
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode, from_dict
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

from ..tools.store import Store, name
from . import access_log, failures
from .access_log import digest
from .dependencies import fresh, providers, trace

KEPT = 10  # records of a page
RUN_TAGS = {"raises-exception", "skip-execution"}  # the tags that change what a cell gives
# MyST-NB's own pattern begins anywhere, and so looks through a long line again from each letter.
OVERWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
WATCH = "__import__('runpy').run_path({file!r})['watch'](get_ipython(), {log!r}, {root!r})"


class CachedClient(NotebookClientBase):  # type: ignore[misc]
    """MyST-NB's client for one page: it runs the page only if no record is fresh."""

    def __init__(self, *arguments: Any, env: BuildEnvironment, root: Path, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.env, self.root = env, root
        self.code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def start_client(self) -> None:
        """Give every cell its outputs."""
        if not self.code:
            return
        named = self.notebook.metadata.get("kernelspec", {}).get("name")
        kernel = get_kernel_spec(named or NATIVE_KERNEL_NAME)  # as nbclient chooses
        key = self.key(kernel)
        folder = Path(self.nb_config.execution_cache_path, quote(self.env.docname, safe=""))
        records = Store(folder, most=KEPT)
        for record in map(json.loads, records.all()):
            if record["key"] == key and fresh(self.root, record["sources"]):
                self.restore(record)
                break
        else:
            record = {"key": key, **self.run()}
            succeeded = self.exec_metadata["succeeded"]
            if succeeded:
                records.put([key, record["sources"]], json.dumps(record).encode())
            if not (succeeded and fresh(self.root, record["sources"])):
                self.env.note_reread()  # it failed, or a file changed while it ran: try again
        for file in record["sources"]["files"]:
            self.env.note_dependency(self.root / file)
        if (spec := Path(kernel.resource_dir, "kernel.json")).exists():
            self.env.note_dependency(spec)
        if self.nb_config.merge_streams:
            for cell in self.code:
                cell.outputs = merged(cell.outputs)

    def key(self, kernel: KernelSpec) -> str:
        """Return a name for the cells, and for how they are run."""
        cells = [[c.source, sorted(RUN_TAGS & set(c.metadata.get("tags", [])))] for c in self.code]
        how = [kernel.argv, kernel.env, sys.version, self.nb_config.execution_allow_errors]
        where = self.nb_config.execution_in_temp or os.path.relpath(self.path.parent, self.root)
        return name([cells, how, where, self.notebook.metadata.get("execution")])

    def restore(self, record: dict[str, Any]) -> None:
        """Take the outputs of a record."""
        for cell, kept in zip(self.code, record["cells"], strict=True):
            cell.update(from_dict(kept))
        self.notebook.metadata.update(from_dict(record["metadata"]))
        self.exec_metadata = record["run"]
        self.logger.info("The outputs are fresh")

    def run(self) -> dict[str, Any]:
        """Run the page, and return all of a record but its key."""
        with TemporaryDirectory() as folder:
            log = Path(folder, "log")
            Thread(target=providers).start()  # it takes a while, and a kernel leaves time for it
            failure: str | None
            try:
                failure = self.execute(
                    WATCH.format(file=access_log.__file__, log=str(log), root=str(self.root))
                )
            except DeadKernelError:
                failure = failures.DIED
            except RuntimeError as error:  # of nbclient: the kernel did not start
                failure = f"{error}: the machine may be busy, so build again"
            if failure:
                log.touch()
            elif not log.exists():
                raise ExtensionError(
                    f"{self.path}: the kernel does not log what it reads, and so its outputs cannot"
                    f" be kept: let the page name a kernel of IPython, or remove {__name__} from"
                    " the extensions in conf.py"
                )
            lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        if failure:
            failures.tell(self.env, self, sum("cell" in line for line in lines), failure)
            self.note_run(None, failure)
        told = self.notebook.metadata.keys() & {"language_info", "widgets"}
        return {
            "sources": trace(self.root, lines, [cell.source for cell in self.code]),
            "cells": [{k: cell[k] for k in ("execution_count", "outputs")} for cell in self.code],
            "metadata": {key: self.notebook.metadata[key] for key in told},
            "run": self.exec_metadata,
        }

    def execute(self, first: str) -> str | None:
        """Run a line of code, and then the cells; return the error of a cell that failed."""
        config = self.nb_config

        def started(cell: NotebookNode, cell_index: int) -> None:
            number = next(n for n, one in enumerate(self.code, 1) if one is cell)
            self.env.events.emit("cell-started", self.env.docname, number, len(self.code))

        here = nullcontext(self.path.parent)
        with TemporaryDirectory() if config.execution_in_temp else here as folder:
            result = single_nb_execution(
                self.notebook,
                cwd=os.path.abspath(folder),
                timeout=config.execution_timeout,
                allow_errors=config.execution_allow_errors,
                extra_arguments=[f"--IPKernelApp.exec_lines={first}"],
                startup_timeout=600,  # imports take long where much else runs
                shutdown_kernel="immediate",  # a kernel has nothing to save
                on_cell_execute=started,
            )
        if result.err is not None:
            if config.execution_raise_on_error:
                raise ExecutionError(str(self.path)) from result.err
            return str(result.exc_string)
        self.logger.info(f"Executed notebook in {result.time:.2f} seconds")
        self.note_run(result.time, None)
        return None

    def note_run(self, seconds: float | None, error: str | None) -> None:
        """Have MyST-NB know how the run ended. It would write a traceback into the site."""
        self.exec_metadata = {
            "mtime": datetime.now().timestamp(),
            "runtime": seconds,
            "method": self.nb_config.execution_mode,
            "succeeded": error is None,
            "error": error,
            "traceback": None,
        }


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return a cell's outputs with each stream in one piece, as it was printed.

    A kernel sends a stream in pieces whose ends depend on time. MyST-NB joins them too, but drops
    the blanks at their ends.
    """
    streams: dict[str, NotebookNode] = {}
    kept = []
    for output in outputs:
        if output.output_type == "stream" and output.name in streams:
            streams[output.name].text += output.text
            continue
        if output.output_type == "stream":
            streams[output.name] = output
        kept.append(output)
    return kept


def root_of(config: Config, confdir: Path) -> Path:
    """Return the folder whose files are sources of pages."""
    return Path(os.path.abspath(confdir / config.cache_root))


def note_environment(app: Sphinx, config: Config) -> None:
    """Have Sphinx read every page again when a package or an extension of this book has changed."""
    found = [p.name for entry in sys.path for p in Path(entry).glob("*.dist-info")]
    packages = {extension.partition(".")[0] for extension in app.extensions}
    root = root_of(config, app.confdir)
    own = {
        file
        for module_name, module in sys.modules.items()
        if module_name.partition(".")[0] in packages
        and (file := getattr(module, "__file__", None))
        and Path(file).is_relative_to(root)
        and not Path(file).is_relative_to(sys.prefix)
    }
    config.cache_environment = name([sorted(found), *map(digest, sorted(own))])


def take_over(app: Sphinx) -> None:
    """Have MyST-NB make this client where it would make the client of its own cache."""
    root = root_of(app.config, app.confdir)
    myst_nb.core.utils._RGX_CARRIAGERETURN = OVERWRITTEN
    myst_nb.core.execute.NotebookClientCache = partial(CachedClient, env=app.env, root=root)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("cache_root", "", "env", types=frozenset({str}))
    app.add_config_value("cache_environment", "", "env", types=frozenset({str}))
    app.add_event("cell-started")
    app.connect("config-inited", note_environment)
    app.connect("builder-inited", take_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
