"""A Sphinx extension: compiled templates are kept below ``_build``.

Without it Jinja compiles every template in every process, about forty for a page: a fifth of the
time of a build after one changed page. Jinja compiles a template again if its file is damaged.
"""

from jinja2 import FileSystemBytecodeCache
from sphinx.application import Sphinx
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import place


def keep(app: Sphinx) -> None:
    """Make Jinja keep the templates that it compiles."""
    templates = getattr(app.builder, "templates", None)
    if isinstance(templates, BuiltinTemplateLoader):
        folder = place(app, "templates")
        folder.mkdir(parents=True, exist_ok=True)
        templates.environment.bytecode_cache = FileSystemBytecodeCache(str(folder))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", keep)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
