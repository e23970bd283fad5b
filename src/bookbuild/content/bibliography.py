"""A Sphinx extension: every build formats all references; this keeps them from the last build.

It adds the style ``alpha-kept`` for ``bibtex_default_style``. That is pybtex's own style ``alpha``,
which takes a fraction of a second for dozens of references.
"""

from typing import Any, ClassVar

import pybtex
from pybtex.database import BibliographyData, Entry
from pybtex.plugin import register_plugin
from pybtex.style import FormattedEntry
from pybtex.style.formatting.alpha import Style
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


class KeptStyle(Style):  # type: ignore[misc] # pybtex has no types
    """The style ``alpha``, with the references that it has formatted before."""

    kept: ClassVar[dict[tuple[str, ...], FormattedEntry]] = {}

    def format_entry(
        self, label: str, entry: Entry, bib_data: BibliographyData | None = None
    ) -> FormattedEntry:
        """Return a reference as it was formatted before, or format it."""
        what = (pybtex.__version__, label, str(entry.key), repr(entry))
        if what not in self.kept:
            self.kept[what] = super().format_entry(label, entry, bib_data)
        return self.kept[what]


def recall(app: Sphinx) -> None:
    """Take the references of the last build; Sphinx keeps them with its environment."""
    environment: Any = app.env
    KeptStyle.kept = environment.references = getattr(app.env, "references", {})


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    register_plugin("pybtex.style.formatting", "alpha-kept", KeptStyle, force=True)
    app.connect("builder-inited", recall)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
