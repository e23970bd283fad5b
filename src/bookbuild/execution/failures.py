"""What an author is told of a page that cannot be run: its line, its error, and no more."""

import os
import re
from pathlib import Path

from myst_nb.core.execute.base import NotebookClientBase
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

LOG = logging.getLogger(__name__)
COLOURS = re.compile(r"\x1b\[[\d;]*m")
DIED = "the kernel's process was killed, crashed or ran out of memory in this cell:"
TIMED_OUT = re.compile(r"CellTimeoutError: .*")
FASTER = "\nMake the cell faster, or raise nb_execution_timeout in conf.py."


def tell(env: BuildEnvironment, client: NotebookClientBase, started: int, error: str) -> None:
    """Warn of the cell that failed: the last of those that the kernel has started.

    ``error`` is what is known of it; if the kernel said more, that is told.
    """
    runnable = [
        (number, cell)
        for number, cell in enumerate(client.notebook.cells)
        if cell.cell_type == "code"
        and cell.source.strip()
        and "skip-execution" not in cell.metadata.get("tags", [])
    ]
    number, cell = runnable[max(started, 1) - 1]
    line, more = 0, ""
    if found := TIMED_OUT.search(error):
        error, more = found[0], FASTER
    for output in cell.outputs:
        if output.output_type == "error":
            told = COLOURS.sub("", "\n".join(output.traceback))
            error = told.strip().splitlines()[-1]
            if found := re.search(rf"Cell In\[{cell.execution_count}\], line (\d+)", told):
                line = int(found[1]) - 1
            more = f"\nThe whole traceback is in {os.path.relpath(keep(env, told))}."
    lines = cell.source.splitlines()
    where = first_line(Path(env.doc2path(env.docname)), client.cell_line(number), lines) + line
    code = "".join(f"\n    {text}" for text in lines[max(line - 1, 0) :][:2])
    LOG.warning(
        "%s%s%s",
        *(error, code, more),
        location=(env.docname, where),
        type="execution",
        subtype="cell",
    )


def keep(env: BuildEnvironment, traceback: str) -> Path:
    """Write a traceback into a file, outside of the site."""
    file = Path(env.doctreedir, "tracebacks", f"{env.docname}.txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(traceback + "\n", "utf-8")
    return file


def first_line(page: Path, fence: int, code: list[str]) -> int:
    """Return the line of a page where the code of a cell begins, below its fence and options."""
    lines = page.read_text("utf-8").splitlines()
    places = range(fence - 1, len(lines))
    return next((at + 1 for at in places if lines[at : at + len(code)] == code), fence)
