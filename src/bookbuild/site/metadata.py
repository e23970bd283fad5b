"""Descriptions of pages for search engines and for previews of shared links, and a sitemap.

Each page has a description (``html_meta`` in its front matter), and the picture that the first page
glued as ``preview``. If ``html_baseurl`` says where the site is, pages
name their own addresses, and ``sitemap.xml`` lists them.
"""

import base64
import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.tools import edition
from bookbuild.tools.words import phrase

PICTURE = "_images/preview.png"
DESCRIPTION = re.compile(r'<meta content="([^"]*)"[^>]*name="description"')
SITEMAP = """\
<?xml version="1.0" encoding="utf-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{}</urlset>
"""
UNTITLED = {
    "404": phrase("A page that is not there"),
    "genindex": phrase("Index"),
    "search": phrase("Search"),
}
UNLISTED = {"404", "search"}  # no search engine should list them


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add a page's description and preview to its head."""
    if page in app.env.titles:
        title = app.env.titles[page].astext()
    else:
        title = str(UNTITLED.get(page, "")) or re.sub(
            r"<[^>]*>", "", unescape(context.get("title") or context["indextitle"])
        )
    written = context.get("metatags", "")
    said = DESCRIPTION.search(written)
    text = (
        unescape(said[1])
        if said
        else phrase("{title}, in “{book}”.").format(title=title, book=app.config.project)
    )
    base = app.config.html_baseurl
    properties = {
        "og:type": "article" if doctree else "website",
        "og:site_name": app.config.project,
        "og:title": title,
        "og:description": text,
    }
    if base:
        properties["og:url"] = context["pageurl"]
    if picture := preview(app):
        properties["og:image"] = urljoin(base, PICTURE) if base else context["pathto"](PICTURE, 1)
        properties["og:image:alt"] = picture["metadata"]["image/png"]["alt"]
    tags = [
        f'<meta property="{name}" content="{escape(value)}" />'
        for name, value in properties.items()
    ]
    tags.append('<meta name="twitter:card" content="summary_large_image" />')
    if not said:
        tags.append(f'<meta name="description" content="{escape(text)}" />')
    context["metatags"] = written + "".join(f"\n    {tag}" for tag in tags)


def preview(app: Sphinx) -> dict[str, Any]:
    """Return the picture that the first page glued, as MyST-NB keeps it; empty if there is none."""
    environment: Any = app.env  # MyST-NB keeps its settings there
    glued = Path(environment.mystnb_config.output_folder, f"{app.config.root_doc}.glue.json")
    return dict(json.loads(glued.read_text("utf-8")).get("preview", {})) if glued.exists() else {}


def write(app: Sphinx) -> None:
    """Write the preview, ``robots.txt`` and the sitemap."""
    site, base = Path(app.outdir), app.config.html_baseurl
    if picture := preview(app):
        (site / PICTURE).parent.mkdir(exist_ok=True)
        (site / PICTURE).write_bytes(base64.b64decode(picture["data"]["image/png"]))
    rules = ["User-agent: *", "Allow: /"]
    if base:
        pages = [file.relative_to(site).as_posix() for file in edition.pages(app)]
        listed = [page for page in pages if page.removesuffix(".html") not in UNLISTED]
        entries = "".join(
            f"<url><loc>{escape(urljoin(base, quote(page)))}</loc></url>\n" for page in listed
        )
        (site / "sitemap.xml").write_text(SITEMAP.format(entries), "utf-8")
        for _, folder in app.config.languages.values():
            rules.append(f"Sitemap: {urljoin(base, Path(folder, 'sitemap.xml').as_posix())}")
    (site / "robots.txt").write_text("\n".join(rules) + "\n", "utf-8")
