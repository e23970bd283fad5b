"""Which edition of the book a build makes."""

from sphinx.application import Sphinx

SITE, EPUB = "html", "epub"  # as Sphinx names the builders


def is_site(app: Sphinx) -> bool:
    """Tell whether a build makes the web site, and not the EPUB or another edition."""
    return bool(app.builder.name == SITE)
