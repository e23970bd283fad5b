"""A Sphinx extension: the site holds the files and the style rules that its pages use, and no more.

For a theme built on pydata-sphinx-theme, and templates that link what ``bundle`` and ``scripts``
name. One style sheet holds the sheets that every page links, cut to the rules that pages use. Its
icons come from a cut font, not from a script. A script is loaded on pages that need it. Code that
looks like plain text has no tags. Files below ``_static`` that nothing links are removed.
"""

import json
import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from posixpath import normpath
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.token import Token
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.builders.html._assets import _JavaScript
from sphinx.highlighting import PygmentsBridge
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools import edition, fonts
from bookbuild.tools.store import Store

BUNDLE = "_static/site.css"
# Linked by the theme's own templates: Sphinx does not list them.
THEME_STYLES = ["_static/basic.css", "_static/styles/pydata-sphinx-theme.css"]
THEME_SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
ICONS = "_static/vendor/fontawesome/webfonts/fa-solid-900.woff2"
FETCHES = ("_static/mathjax/", "_static/lab/")  # scripts load these files
MODULES = "_static/lab/*.js"  # imported by lab.js; they use classes and custom properties, too
NEEDED_FOR = {  # a page needs the script if its HTML holds the text
    "_static/design-tabs.js": "data-sync-id",
    "_static/clipboard.min.js": "<pre",
    "_static/copybutton.js": "<pre",
    "_static/filter.js": "filter-rows",
}
PLAIN = {Token.Name, Token.Punctuation, Token.Text.Whitespace, Token.Name.Namespace}
PURGE = Path(__file__).with_name("purge_css.py")  # imported only by a build that cuts a style sheet
WORD = re.compile(r"[\w-]+")
WORDS = re.compile(r"<([a-z][\w-]*)|\b(?:class|id)=\"([^\"]*)\"")
LINKS = re.compile(r"<(?:link|script|img|source|object|a)\b[^>]*?\b(?:href|src|data)=\"([^\"]+)\"")


class PlainFormatter(HtmlFormatter):  # type: ignore[misc] # Pygments has no types
    """Writes no tag around code that looks like plain text in the theme's styles."""

    def _get_css_classes(self, ttype: object) -> str:
        return "" if ttype in PLAIN else super()._get_css_classes(ttype)


def note_shared(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Keep the names of the style sheets that every page links, before pages add their own."""
    context["shared"] = [str(css.filename) for css in context["css_files"]]


def choose(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the template the bundle, the page's own style sheets and the scripts that it needs."""
    body = str(context.get("body", ""))
    context["bundle"] = BUNDLE
    context["css_files"] = [
        c for c in context["css_files"] if str(c.filename) not in context["shared"]
    ]
    context["scripts"] = [
        js
        for js in [*context["script_files"], _JavaScript(THEME_SCRIPT)]
        if NEEDED_FOR.get(str(js.filename), "") in body
        and not str(js.attributes.get("body")).startswith("DOCUMENTATION_OPTIONS.")
    ]


def finish(app: Sphinx) -> None:
    """Write the bundle, and remove the files that no page links."""
    site = Path(app.outdir)
    shared = [str(css.filename) for css in cast(StandaloneHTMLBuilder, app.builder)._css_files]
    store = Store(edition.place(app, "styles"))
    files = (page for page in edition.pages(app) if "_static" not in page.parts)
    pages = look_through(store, files, in_page, app.config.language)
    linked = {
        normpath(page.parent.relative_to(site).joinpath(unquote(urlsplit(link).path)).as_posix())
        for page, found in pages.items()
        for link in found["links"]
    }
    named = [site / name for name in sorted(linked) if name.endswith(".js")]
    modules = sorted(site.glob(MODULES))
    scripts = look_through(store, [*named, *modules], in_script, app.config.language)
    used = {word for found in (*pages.values(), *scripts.values()) for word in found["words"]}
    bundle(store, site, shared, used)
    for style in sorted(site / name for name in linked if name.endswith(".css")):
        for link in re.findall(r"url\(\s*[\"']?([^\"')]+)", style.read_text("utf-8")):
            linked.add(normpath((style.parent.relative_to(site) / link).as_posix()))
    for script in sorted(site / name for name in linked if name.endswith(".js")):
        text = script.read_text("utf-8")
        if "//# sourceMappingURL" in text:
            script.write_text(re.sub(r"//# sourceMappingURL=.*", "", text), "utf-8")
    for path in sorted((site / "_static").rglob("*"), reverse=True):
        name = path.relative_to(site).as_posix()
        if path.is_file() and name not in linked and not name.startswith(FETCHES):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    (site / ".buildinfo.bak").unlink(missing_ok=True)  # Sphinx keeps it after a change of settings


def remove_cut(app: Sphinx) -> None:
    """Remove MyST-NB's style sheet: it is not written over what a full disk left of it."""
    for style in Path(app.outdir, "_static").glob("mystnb.*.css"):
        style.unlink()


def in_page(text: str) -> dict[str, list[str]]:
    """Return the elements, classes and ids of a page, and its links below ``_static``."""
    words = {w for tag, value in WORDS.findall(text) for w in (tag, *value.split())}
    links = {link for link in LINKS.findall(text) if "_static/" in link}
    return {"words": sorted(words), "links": sorted(links)}


def in_script(text: str) -> dict[str, list[str]]:
    """Return the words of a script: it may give elements any of them as class or id."""
    return {"words": sorted(set(WORD.findall(text)))}


def look_through(
    store: Store, files: Iterable[Path], find: Callable[[str], dict[str, list[str]]], language: str
) -> dict[Path, dict[str, list[str]]]:
    """Apply ``find`` to each file; for an unchanged file, return the result of an earlier build."""
    finder = [find.__name__, language, Path(__file__).read_text("utf-8")]
    before = json.loads(store.get(finder) or b"{}")
    texts = {file: file.read_text("utf-8") for file in files}
    names = {file: sha256(text.encode()).hexdigest() for file, text in texts.items()}
    found = {name: before.get(name) or find(texts[file]) for file, name in names.items()}
    if found.keys() != before.keys():
        store.put(finder, json.dumps(found).encode())
    return {file: found[name] for file, name in names.items()}


def bundle(store: Store, site: Path, shared: list[str], used: set[str]) -> None:
    """Write the style sheet of all pages, from those that Sphinx copied for this build."""
    sources = [site / name for name in THEME_STYLES + shared]
    if not all(source.exists() for source in sources):  # no page was written
        return
    style = "\n".join(source.read_text("utf-8") for source in sources)
    made_by = [Path(file).read_text("utf-8") for file in (PURGE, fonts.__file__)]
    made_of = [style, *sorted(used), *made_by]
    kept = store.get(made_of)
    if kept is None:
        from bookbuild.site import purge_css

        kept = purge_css.cut(style, used, site / ICONS).encode()
        store.put(made_of, kept)
    (site / BUNDLE).write_bytes(kept)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    PygmentsBridge.html_formatter = PlainFormatter
    app.connect("builder-inited", remove_cut)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
