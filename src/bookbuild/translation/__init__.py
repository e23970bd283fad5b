"""The book in another language, by Sphinx's gettext: see "Translate" in CONTRIBUTING.md."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the parts of this folder to Sphinx."""
    for part in ("code", "figures", "messages", "search", "switch"):
        app.setup_extension(f"{__name__}.{part}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
