"""The words that code writes into the book, in the language of the edition.

The catalogue ``locale/<language>/LC_MESSAGES/book.po`` has them. Templates have the function
``phrase``, too, and so have scripts (``translation/phrase.js``).
"""

from docutils import nodes
from sphinx.locale import get_translation

DOMAIN = "book"
phrase = get_translation(DOMAIN)


def written(node: nodes.Element) -> nodes.Element:
    """Return a part of a page that code has written: its words are no messages of the page."""
    for part in node.findall(nodes.TextElement):
        part["translatable"] = False
    return node
