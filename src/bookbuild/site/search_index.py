"""Keep the index entries of the search in an incremental build.

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
    file = Path(app.outdir, app.builder.searchindex_filename)
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as stream:
        last = app.builder.indexer_format.load(stream)
    entries: dict[str, list[tuple[str, str, str]]] = {}
    for entry, places in last["indexentries"].items():
        for number, place, main in places:
            page = last["docnames"][number]
            entries.setdefault(page, []).append((entry, place, "main" if main else ""))
    for page in entries.keys() & app.env.found_docs:
        app.builder.indexer._index_entries.setdefault(page, entries[page])
    return []
