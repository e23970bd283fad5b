"""The steps for each page of the site, and at the end of a build, in the order in which they run.

Sphinx writes the body of a page, and then emits its event ``html-page-context``: extensions and the
theme change the context of the page's template. A step for pages has the arguments of that event.
Several processes may write pages; one process runs the last steps, when all files are there.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bookbuild import live, progress
from bookbuild.checks import warnings
from bookbuild.content import films, names, predictions
from bookbuild.editions import epub, notebooks, offer
from bookbuild.formulas import render
from bookbuild.lab import directive
from bookbuild.site import (
    accessibility,
    assets,
    dark_figures,
    figures,
    metadata,
    minify_svg,
    policy,
    search_index,
    source_pages,
    template_cache,
    versions,
)
from bookbuild.tools.edition import EPUB, SITE, is_site
from bookbuild.translation import switch, turns

PageStep = Callable[[Sphinx, str, str, dict[str, Any], nodes.document | None], None]
LastStep = Callable[[Sphinx], None]

BEFORE_THEME: tuple[PageStep, ...] = (
    progress.begin_page,
    assets.note_shared,  # before any page adds style sheets of its own
)
PAGE: tuple[PageStep, ...] = (
    accessibility.mend,
    figures.enlarge,
    films.load_script,
    predictions.load_script,
    directive.load_script,
    *live.load_scripts,
    render.write_title,
    render.link_style,
    notebooks.write,
    switch.link,
    metadata.describe,
)
AFTER_THEME: tuple[PageStep, ...] = (
    assets.choose,  # of all that was added
    progress.end_page,
)
EPUB_PAGE: tuple[PageStep, ...] = (
    progress.begin_page,
    accessibility.mend,
    render.write_title,
    epub.mend,
    progress.end_page,
)
BEFORE_INDEX = (search_index.restore,)  # all pages are written, and the search index is not
FINISH: tuple[LastStep, ...] = (
    directive.copy_files,
    offer.publish,
    minify_svg.shorten,
    policy.write,
    dark_figures.finish,  # after the drawings are shortened: its rules would slow that down
    assets.finish,  # after all that copy files
    versions.stamp,
    metadata.write,  # when only pages are left
)
CONCLUDE = (progress.end, warnings.conclude)  # at the end of any build, and last

# Sphinx calls the functions connected to an event in the order of these numbers. The theme has 500,
# and so do extensions that give no number.
FIRST, THEME, LAST = 0, 500, 999


def for_pages(step: PageStep, edition: str) -> PageStep:
    """Return a step that changes nothing on the pages of other editions."""

    @wraps(step)
    def run(
        app: Sphinx,
        page: str,
        template: str,
        context: dict[str, Any],
        doctree: nodes.document | None,
    ) -> None:
        if app.builder.name == edition:
            step(app, page, template, context, doctree)

    return run


def at_the_end(step: LastStep) -> Callable[[Sphinx, Exception | None], None]:
    """Return a step that runs if this is the site, and the build did not fail."""

    @wraps(step)
    def run(app: Sphinx, exception: Exception | None) -> None:
        if is_site(app) and exception is None:
            step(app)

    return run


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the steps to Sphinx, and the extensions that they need."""
    for folder in (
        "checks",
        "content",
        "editions",
        "formulas",
        "lab",
        "live",
        "progress",
        "translation",
    ):
        app.setup_extension(f"bookbuild.{folder}")
    for module in (assets, dark_figures, policy, source_pages, template_cache):
        app.setup_extension(module.__name__)
    for edition, steps, when in (
        (SITE, BEFORE_THEME, FIRST),
        (SITE, PAGE, THEME),
        (SITE, AFTER_THEME, LAST),
        (EPUB, EPUB_PAGE, LAST),
    ):
        for step in steps:
            app.connect("html-page-context", for_pages(step, edition), priority=when)
    app.connect("builder-inited", switch.share_outputs, priority=LAST)  # MyST-NB has its settings
    app.connect("env-get-updated", names.find, priority=LAST)  # all is numbered
    for before in ("env-before-read-docs", "doctree-resolved"):
        app.connect(before, turns.wait, priority=FIRST)
    for restore in BEFORE_INDEX:
        app.connect("html-collect-pages", restore)
    for last in FINISH:
        app.connect("build-finished", at_the_end(last), priority=LAST)
    for conclude in CONCLUDE:
        app.connect("build-finished", conclude, priority=LAST)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
