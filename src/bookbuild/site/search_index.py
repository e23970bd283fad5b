"""Keep the index entries of the search in an incremental build, and in the order of pages.

Sphinx takes words and titles of pages that it does not write again from the index of the last
build, but not their index entries (its issue 12599). Without these a search finds no function of
the API.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder


def restore(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """Give the index the entries of pages that this build did not write; add no page."""
    if not isinstance(app.builder, StandaloneHTMLBuilder) or app.builder.indexer is None:
        return []  # an EPUB has no search
    index = app.builder.indexer._index_entries
    file = Path(app.outdir, app.builder.searchindex_filename)
    if file.exists():
        with file.open(encoding="utf-8") as stream:
            last = app.builder.indexer_format.load(stream)
        entries: dict[str, list[tuple[str, str, str]]] = {}
        for entry, places in last["indexentries"].items():
            for number, place, main in places:
                page = last["docnames"][number]
                entries.setdefault(page, []).append((entry, place, "main" if main else ""))
        for page in entries.keys() & app.env.found_docs:
            index.setdefault(page, entries[page])
    for page in sorted(index):
        index[page] = index.pop(page)
    return []
