"""The words that code writes into the book, in the language of the edition.

The catalogue ``locale/<language>/LC_MESSAGES/book.po`` has them. Templates have the function
``phrase``, too, and so have scripts (``translation/phrase.js``).
"""

from pathlib import Path
from typing import cast

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import get_translation, init

DOMAIN = "book"
phrase = get_translation(DOMAIN)


def catalogue(app: Sphinx, name: str = DOMAIN) -> Path:
    """Return the file of the messages of a page, or of the code, in the language of an edition."""
    return Path(app.confdir, "locale", app.config.language, "LC_MESSAGES", f"{name}.po")


def speak(site: Path) -> str:
    """Say phrases in the language of a built site, and return the tag of this language."""
    page = BeautifulSoup((site / "index.html").read_text("utf-8"), "html.parser")
    tag = str(cast(Tag, page.html)["lang"])
    init(["locale"], tag.replace("-", "_"), DOMAIN)
    return tag


def written(node: nodes.Element) -> nodes.Element:
    """Return a part of a page that code has written: its words are no messages of the page."""
    for part in node.findall(nodes.TextElement):
        part["translatable"] = False
    return node
