"""Steps for the web site only, in the order of ``pipeline``."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the pipeline to Sphinx."""
    app.setup_extension(f"{__name__}.pipeline")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
