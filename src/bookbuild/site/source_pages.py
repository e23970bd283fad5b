"""Find the source file of a module without importing it.

In every build Sphinx's viewcode checks whether its page on a module is up to date. It imports the
module to learn where its file is (Sphinx's issue 8894). This book's package imports PyTorch, which
takes as long as the rest of a build without changes.
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
    """Make viewcode call ``without_import``."""
    setattr(viewcode, "get_module_filename", without_import)  # noqa: B010 - not our attribute
    return {"parallel_read_safe": True, "parallel_write_safe": True}
