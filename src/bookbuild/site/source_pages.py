"""Whether the pages that show a module's source are up to date is seen without importing it.

Sphinx's viewcode asks it in every build, and imports the module to learn where its file is
(Sphinx's issue 8894). With this book's package it imports PyTorch, which takes as long as all the
rest of a build in which nothing has changed.
"""

from importlib.machinery import PathFinder
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext import viewcode
from sphinx.util.typing import ExtensionMetadata

by_import = viewcode.get_module_filename


def source_of(module: str) -> Path | None:
    """Return the source file of a module or package, or None if it has none, or is not there."""
    path = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}".strip(".")
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def without_import(app: Sphinx, module: str) -> Path | None:
    """Return the source file of a module; import it only if nothing else finds that."""
    return source_of(module) or by_import(app, module)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Have viewcode ask here."""
    setattr(viewcode, "get_module_filename", without_import)  # noqa: B010 - it is not ours
    return {"parallel_read_safe": True, "parallel_write_safe": True}
