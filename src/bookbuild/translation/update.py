"""Bring the catalogues of a language up to date with the pages and the code.

``python -m bookbuild.translation.update TEMPLATES CATALOGUES`` takes the folder of the templates
that Sphinx's builder ``gettext`` has written, and that of the catalogues,
``locale/LANGUAGE/LC_MESSAGES``. A new message has no translation yet. One that was changed keeps
its old translation, marked as doubtful (``fuzzy``): the build asks for both. Messages that are gone
are removed.
"""

import sys
from pathlib import Path

from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po

from bookbuild.tools.store import draft
from bookbuild.tools.words import DOMAIN
from bookbuild.translation.code import messages


def update(file: Path, template: Catalog) -> int:
    """Bring a catalogue up to date, and return how many of its messages want a translation."""
    known: Catalog = Catalog(locale=file.parts[-3])
    if file.exists():
        with file.open("rb") as stream:
            known = read_po(stream, locale=file.parts[-3])
    known.update(template)
    with draft(file) as new, new.open("wb") as stream:
        write_po(stream, known, 0, omit_header=True, ignore_obsolete=True, include_lineno=False)
    return sum(bool(m.id) and (m.fuzzy or not m.string) for m in known)


def main(templates: Path, catalogues: Path) -> None:
    """Update every catalogue, and say which ones want translations."""
    wanted = {DOMAIN: messages(Path.cwd())}
    for template in sorted(templates.glob("*.pot")):
        with template.open("rb") as stream:
            wanted[template.stem] = read_po(stream)
    for file in catalogues.glob("*.po"):
        if file.stem not in wanted:
            file.unlink()
    for name, new in wanted.items():
        file = catalogues / f"{name}.po"
        if missing := update(file, new):
            print(f"{file}: {missing} messages want a translation")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
