"""A Sphinx extension: each page of the site has a content security policy.

The scripts that Sphinx copies have to obey it, too.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools import edition
from bookbuild.tools.content_policy import secured
from bookbuild.tools.store import draft

# Sphinx's scripts make a function of a text, which no policy but the loosest allows.
CATALOGUE, CALL = "_static/translations.js", "Documentation.addTranslations("
PLURAL = re.compile(r'"plural_expr": "([^"]*)"')


def write(app: Sphinx) -> None:
    """Write the policy into each page that has none yet."""
    if not app.config.content_policy:
        return
    for file in edition.pages(app):
        html = file.read_text("utf-8")
        if (made := secured(html)) != html:
            with draft(file) as whole:
                whole.write_text(made, "utf-8")
    catalogue = Path(app.outdir, CATALOGUE)
    if catalogue.exists():
        text = catalogue.read_text("utf-8")
        if plural := PLURAL.search(text):
            made = (
                f"((told) => Object.assign(Documentation, {{TRANSLATIONS: told.messages, "
                f"LOCALE: told.locale, PLURAL_EXPR: (n) => {plural[1]}}}))("
            )
            catalogue.write_text(text.replace(CALL, made), "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("content_policy", True, "html", types=frozenset({bool}))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
