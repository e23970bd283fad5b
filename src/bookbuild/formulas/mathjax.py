"""A Sphinx extension: the book serves MathJax itself, from the package that pip installed.

The PyPI package ``sphinx-mathjax-offline`` holds MathJax 3. Of its many files a page needs one
script and the fonts.
"""

from importlib.metadata import distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.config import Config
from sphinx.util.fileutil import copy_asset
from sphinx.util.typing import ExtensionMetadata

SCRIPT = "tex-chtml-full.js"
FONTS = "output/chtml/fonts/woff-v2"


def point_to_script(app: Sphinx, config: Config) -> None:
    """Let pages load MathJax from the book's own static folder."""
    config.mathjax_path = f"mathjax/{SCRIPT}"


def copy_mathjax(app: Sphinx, builder: Builder) -> None:
    """Copy the script and the fonts into the output folder."""
    if builder.format != "html":
        return
    files = distribution("sphinx-mathjax-offline").locate_file(
        "sphinx-mathjax-offline/static/mathjax"
    )
    target = Path(app.outdir, "_static", "mathjax")
    copy_asset(Path(str(files), SCRIPT), target)
    copy_asset(Path(str(files), FONTS), target / FONTS)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("config-inited", point_to_script)
    app.connect("write-started", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
