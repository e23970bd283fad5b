"""Formulas, rendered by KaTeX while the book is built, or by MathJax in the reader's browser."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the parts of this folder to Sphinx."""
    app.setup_extension(f"{__name__}.render")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
