"""A Sphinx extension: every build formats all references; this keeps them from the last build.

A mistake in a file of references is a warning with file and line. The extension adds the style
``alpha-kept`` for ``bibtex_default_style``. That is pybtex's own style ``alpha``, which takes a
fraction of a second for dozens of references.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

import pybtex
import sphinxcontrib.bibtex.bibfile
from pybtex.database import BibliographyData, Entry
from pybtex.database.input.bibtex import Parser
from pybtex.plugin import register_plugin
from pybtex.scanner import PybtexSyntaxError
from pybtex.style import FormattedEntry
from pybtex.style.formatting.alpha import Style
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

LOG = logging.getLogger(__name__)


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


class WarningParser(Parser):  # type: ignore[misc]
    """The parser of files of references: where it stumbles it warns, and keeps what it has read."""

    wrong: ClassVar[set[Path]] = set()

    def parse_file(self, file: Path, file_suffix: str | None = None) -> BibliographyData:
        """Return all references so far."""
        try:
            return super().parse_file(file, file_suffix)
        except PybtexSyntaxError as error:
            self.wrong.add(file)
            LOG.warning(
                "%s: a comma or a brace is missing here or on the line before",
                error.args[0],
                location=f"{file}:{error.lineno}",
                type="bibtex",
                subtype="syntax",
            )
            return self.data


def recall(app: Sphinx) -> None:
    """Take the references of the last build; Sphinx keeps them with its environment."""
    environment: Any = app.env
    KeptStyle.kept = environment.references = getattr(app.env, "references", {})
    files = environment.get_domain("cite").bibdata.bibfiles
    for file in WarningParser.wrong:  # the next build is to read it again
        files[file] = files[file]._replace(mtime=-math.inf)
    WarningParser.wrong.clear()


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    sphinxcontrib.bibtex.bibfile.Parser = WarningParser  # type: ignore[attr-defined]
    register_plugin("pybtex.style.formatting", "alpha-kept", KeptStyle, force=True)
    app.connect("builder-inited", recall)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
