"""A Sphinx extension: templates are compiled once, and kept below ``_build``.

Jinja compiles every template anew in every process, about forty for a page, which is a fifth of the
time in which one changed page is built. It checks what it kept: a file cut short is a miss.
"""

from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from sphinx.application import Sphinx
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.util.typing import ExtensionMetadata


def keep(app: Sphinx) -> None:
    """Have Jinja keep what it compiles."""
    templates = getattr(app.builder, "templates", None)
    if isinstance(templates, BuiltinTemplateLoader):
        folder = Path(app.confdir, "_build/templates")
        folder.mkdir(parents=True, exist_ok=True)
        templates.environment.bytecode_cache = FileSystemBytecodeCache(str(folder))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", keep)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
