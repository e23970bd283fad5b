"""Which edition of the book a build makes, and where all of them keep what they make."""

import os
from pathlib import Path

from sphinx.application import Sphinx

SITE, EPUB = "html", "epub"  # as Sphinx names the builders


def pages(app: Sphinx) -> list[Path]:
    """Return the HTML files of a site, without looking into the folders of other editions."""
    others = {Path(app.outdir, folder) for _, folder in app.config.languages.values() if folder}
    found = []
    for place, folders, files in os.walk(app.outdir):
        folders[:] = [name for name in folders if Path(place, name) not in others]
        found += [Path(place, name) for name in files if name.endswith(".html")]
    return sorted(found)


def place(app: Sphinx, kind: str) -> Path:
    """Return the folder in which builds of every language and edition keep what they make."""
    return Path(app.confdir, "_build/kept", kind)


def is_site(app: Sphinx) -> bool:
    """Tell whether a build makes the web site, and not the EPUB or another edition."""
    return bool(app.builder.name == SITE)


def lists_messages(app: Sphinx) -> bool:
    """Tell whether a build lists the messages of the book for its translators."""
    return bool(app.builder.name == "gettext")
