"""Parts of a page in every edition: theorems, films, numbers, predictions and references."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the parts of this folder to Sphinx."""
    for part in ("bibliography", "films", "numbering", "predictions", "theorems"):
        app.setup_extension(f"{__name__}.{part}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
