"""Which edition of the book a build makes, and where all of them keep what they make."""

from pathlib import Path

from sphinx.application import Sphinx

SITE, EPUB = "html", "epub"  # as Sphinx names the builders


def pages(app: Sphinx) -> list[Path]:
    """Return the HTML files of a site, without those of editions in folders below it."""
    site = Path(app.outdir)
    others = [site / folder for _, folder in app.config.languages.values() if folder]
    files = sorted(site.rglob("*.html"))
    return [file for file in files if not any(file.is_relative_to(other) for other in others)]


def place(app: Sphinx, kind: str) -> Path:
    """Return the folder in which builds of every language and edition keep what they make."""
    return Path(app.confdir, "_build/kept", kind)


def is_site(app: Sphinx) -> bool:
    """Tell whether a build makes the web site, and not the EPUB or another edition."""
    return bool(app.builder.name == SITE)


def lists_messages(app: Sphinx) -> bool:
    """Tell whether a build lists the messages of the book for its translators."""
    return bool(app.builder.name == "gettext")
