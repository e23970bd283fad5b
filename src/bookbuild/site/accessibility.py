"""Correct HTML of docutils, MyST-NB and the theme that hinders screen readers."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.tools.words import phrase

MENDED = {
    # docutils: these roles are deprecated, and a list of such entries is no list without items
    r' role="doc-biblioentry"': "",
    r'<div role="list" class="citation-list">': '<div class="citation-list">',
    # MyST-NB: the name of a fold is its text, not this label
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    # tables: a header cell without text is no header
    r'<th(?: class="head"| scope="col")*>(?:<p></p>)?</th>': "<td></td>",
}


TABLE = '<div class="pst-scrollable-table-container">'


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mend the body of a page, and name the regions of its tables, which may scroll."""
    body = context.get("body", "")
    for pattern, better in MENDED.items():
        body = re.sub(pattern, better, body)
    for number in range(1, body.count(TABLE) + 1):
        name = phrase("Table {number}").format(number=number)
        body = body.replace(TABLE, f'{TABLE[:-1]} role="region" aria-label="{name}">', 1)
    if body:
        context["body"] = body
