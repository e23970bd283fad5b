"""A Sphinx extension: each page links to itself in the other languages.

The setting ``languages`` gives each language its name and the folder of its edition, seen from that
of the whole site. A page's links keep the place: they lead to the same page. Where the site's
address is known, they stand in the head too, so that search engines show readers their language.
"""

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import is_site


def share_outputs(app: Sphinx) -> None:
    """Let MyST-NB keep what cells made in one folder for all languages, outside the site."""
    if is_site(app) and (folder := app.config.languages[app.config.language][1]):
        site = Path(app.outdir).parents[len(Path(folder).parts) - 1]
        environment: Any = app.env  # MyST-NB keeps its settings there
        settings = environment.mystnb_config
        kept = site.parent / Path(settings.output_folder).name
        environment.mystnb_config = settings.copy(output_folder=str(kept))


def link(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the template the tag, the name and the address of the page in each other language."""
    here = app.config.languages[app.config.language][1]
    depth = len(Path(here, page).parts) - 1
    context["other_languages"] = [
        (language.replace("_", "-"), name, "../" * depth + Path(folder, f"{page}.html").as_posix())
        for language, (name, folder) in app.config.languages.items()
        if language != app.config.language and page in app.env.found_docs
    ]
    if address_here := context["pageurl"]:
        context["metatags"] = context.get("metatags", "") + "".join(
            f'\n    <link rel="alternate" hreflang="{tag}" '
            f'href="{escape(urljoin(address_here, address))}" />'
            for tag, _, address in context["other_languages"]
        )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("languages", {"en": ("English", "")}, "html", types=frozenset({dict}))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
