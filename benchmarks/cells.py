"""The lower limit: one process runs the cells of all pages, and imports everything once.

``python cells.py FOLDER`` runs the cells of the notebooks in a folder: each notebook in an empty
namespace, every cell by IPython, its results formatted and its figures drawn to SVG as in a kernel,
and all output thrown away.
"""

import json
import os
import sys
from pathlib import Path

import matplotlib
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib_inline import backend_inline
from traitlets.config import Config

INLINE = "module://matplotlib_inline.backend_inline"


def run(shell: InteractiveShell, notebook: Path) -> None:
    """Run the cells of a notebook.

    Raises
    ------
    RuntimeError
        If a cell fails.
    """
    shell.reset()
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or not source:
            continue
        with capture_output():
            result = shell.run_cell(source, store_history=True)
        if not result.success and "raises-exception" not in cell["metadata"].get("tags", []):
            raise RuntimeError(f"a cell of {notebook.name} failed:\n{source}") from (
                result.error_in_exec or result.error_before_exec
            )


if __name__ == "__main__":
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    matplotlib.use(INLINE)
    matplotlib.interactive(True)  # a figure is drawn when its cell ends, as in a kernel
    backend_inline.configure_inline_support(shell, INLINE)
    backend_inline.set_matplotlib_formats("svg")
    os.chdir(sys.argv[1])  # where kernels run, too
    for notebook in sorted(Path().glob("*.ipynb")):
        run(shell, notebook)
