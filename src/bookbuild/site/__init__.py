"""What only the web site gets, in the order of ``pipeline``."""

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the parts of this folder to Sphinx."""
    for part in (
        "accessibility",
        "assets",
        "dark_figures",
        "figures",
        "metadata",
        "minify_svg",
        "search_index",
        "template_cache",
    ):
        app.setup_extension(f"{__name__}.{part}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
