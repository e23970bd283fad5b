"""What an author is told of a mistake: the page, the line, and what to do; once, and no more."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the parts of this folder to Sphinx."""
    for part in ("alternatives", "warnings", "way_on"):
        app.setup_extension(f"{__name__}.{part}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
