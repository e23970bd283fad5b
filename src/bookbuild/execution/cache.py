"""A Sphinx extension: MyST-NB runs a page when, and only when, what it runs on has changed.

It takes the place of MyST-NB's ``nb_execution_mode = "cache"``. Outputs are kept below
``nb_execution_cache_path``, in a folder named after the page's cells and kernel, with a list of
what they came from: every file below conf.py's folder that the page imported or opened, with a
digest, and every package that it used, with its version. They are good while all of that stays.
Prose, captions and the tags that hide a cell are not in the name. Sphinx is told of the files, so
that it reads the page again when one changes.

A kernel reports what it opens if its kernel.json names ``bookbuild.execution.footprint``.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, ClassVar

import myst_nb.core.execute
from jupyter_client.kernelspec import KernelSpec, get_kernel_spec
from myst_nb.core.execute.direct import NotebookClientDirect
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode, from_dict
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

from bookbuild.execution.dependencies import fresh, providers, trace
from bookbuild.execution.footprint import digest
from bookbuild.tools.store import Store, name

NOTHING_REPORTED = "the kernel reports nothing: see bookbuild.execution.footprint"
RUN_TAGS = {"raises-exception", "skip-execution"}  # the tags that change what a cell gives


class Page(NotebookClientDirect):  # type: ignore[misc]
    """MyST-NB's client for one page: it runs the page only if no kept outputs are fresh."""

    env: ClassVar[BuildEnvironment]
    root: ClassVar[Path]

    def start_client(self) -> None:
        """Give every cell its outputs."""
        self.code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        if not self.code:
            return
        kernel = get_kernel_spec(self.notebook.metadata.kernelspec.name)
        kept = Store(Path(self.nb_config.execution_cache_path, self.key(kernel)))
        for record in map(json.loads, kept.all()):
            if fresh(self.root, record["sources"]):
                self.restore(record)
                break
        else:
            record = self.run()
            if self.exec_metadata["succeeded"]:
                kept.put(record["sources"], json.dumps(record).encode())
            if not (self.exec_metadata["succeeded"] and fresh(self.root, record["sources"])):
                self.env.note_reread()  # it failed, or a file changed while it ran: try again
        for file in record["sources"]["files"]:
            self.env.note_dependency(self.root / file)
        self.env.note_dependency(Path(kernel.resource_dir, "kernel.json"))
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
        """Take kept outputs."""
        for cell, kept in zip(self.code, record["cells"], strict=True):
            cell.update(from_dict(kept))
        self.notebook.metadata.update(from_dict(record["metadata"]))
        self.exec_metadata = record["run"]
        self.logger.info("The outputs are fresh")

    def run(self) -> dict[str, Any]:
        """Run the page as MyST-NB does, and return all that there is to keep."""
        with TemporaryDirectory() as folder:
            report = Path(folder, "footprint")
            os.environ |= {"FOOTPRINT": str(report), "FOOTPRINT_ROOT": str(self.root)}
            dead = False
            Thread(target=providers).start()  # it takes a while, and a kernel leaves time for it
            try:
                super().start_client()
            except DeadKernelError:
                dead = True
            finally:
                del os.environ["FOOTPRINT"], os.environ["FOOTPRINT_ROOT"]
            if not report.exists():
                raise ExtensionError(
                    "the kernel reports nothing: see bookbuild.execution.footprint"
                )
            lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
        if dead:
            self.tell_death([line["cell"] for line in lines if "cell" in line])
        sources = trace(self.root, lines, [cell.source for cell in self.code])
        told = self.notebook.metadata.keys() & {"language_info", "widgets"}
        return {
            "sources": sources,
            "cells": [{k: cell[k] for k in ("execution_count", "outputs")} for cell in self.code],
            "metadata": {key: self.notebook.metadata[key] for key in told},
            "run": self.exec_metadata,
        }

    def tell_death(self, started: list[str]) -> None:
        """Say in which cell the kernel's process ended."""
        said = "The kernel's process was killed, crashed or ran out of memory in this cell:"
        said += f"\n{started[-1]}"
        index = [cell.source for cell in self.notebook.cells].index(started[-1])
        self.logger.warning(said, subtype="exec", line=self.cell_line(index))
        self.exec_metadata = {
            "mtime": datetime.now().timestamp(),
            "runtime": None,
            "method": self.nb_config.execution_mode,
            "succeeded": False,
            "error": "DeadKernelError",
            "traceback": said,
        }


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return a cell's outputs with what it printed in one piece, as it was printed.

    A kernel cuts it where a clock says. MyST-NB would put the pieces together, but without the
    blanks at their ends.
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


def note_environment(app: Sphinx, config: Config) -> None:
    """Have Sphinx read every page again when a package or an extension of this book has changed."""
    found = [p.name for entry in sys.path for p in Path(entry).glob("*.dist-info")]
    packages = {extension.partition(".")[0] for extension in app.extensions}
    own = {
        file
        for module_name, module in sys.modules.items()
        if module_name.partition(".")[0] in packages
        and (file := getattr(module, "__file__", None))
        and Path(file).is_relative_to(app.confdir)
        and not Path(file).is_relative_to(sys.prefix)
    }
    config.freshness_environment = name([sorted(found), *map(digest, sorted(own))])


def take_over(app: Sphinx) -> None:
    """Have MyST-NB ask here where it would ask its cache."""
    Page.env, Page.root = app.env, Path(app.confdir)
    myst_nb.core.execute.NotebookClientCache = Page


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("freshness_environment", "", "env", types=frozenset({str}))
    app.connect("config-inited", note_environment)
    app.connect("builder-inited", take_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
