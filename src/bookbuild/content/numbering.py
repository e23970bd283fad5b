"""A Sphinx extension: the numbers of pages go on from one toctree of a page to the next.

So each part of the book is a toctree with a caption of its own. Sphinx begins each numbered toctree
at one; here it numbers the entries of all of them as those of the first. And it loads every page to
number them where no page has changed, and a whole page for each reference to a number on it; here
numbers stand until a page changes, and a page is loaded once.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util.typing import ExtensionMetadata

Assign = Callable[[TocTreeCollector, BuildEnvironment], list[str]]

# Sphinx's own: a build that is a fork of another imports this module when it has replaced those.
assign_section_numbers: Assign = inspect.unwrap(TocTreeCollector.assign_section_numbers)
assign_figure_numbers: Assign = inspect.unwrap(TocTreeCollector.assign_figure_numbers)
changed: set[str] = set()  # the pages that this build reads or removes


@functools.wraps(assign_section_numbers)
def go_on(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
    """Number all sections as Sphinx does, and return the pages whose numbers are new."""

    def get_doctree(docname: str) -> nodes.document:
        page = type(env).get_doctree(env, docname)
        first, *others = [tree for tree in page.findall(toctree) if tree["numbered"]]
        for other in others:
            first["entries"] += other["entries"]
            other["numbered"] = 0
        return page

    if not changed:
        return []
    with patch.object(env, "get_doctree", get_doctree):
        return assign_section_numbers(self, env)


@functools.wraps(assign_figure_numbers)
def number_figures(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
    """Number all figures as Sphinx does, and return the pages whose numbers are new."""
    return assign_figure_numbers(self, env) if changed else []


def note(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Note that a page changes."""
    changed.add(docname)


class References(StandardDomain):
    """Sphinx's domain of references, which keeps the pages that it looks into for numbers."""

    def _resolve_numref_xref(self, env: BuildEnvironment, *what: Any) -> Any:
        """Return a reference to a number."""
        if not hasattr(self, "load"):
            self.load = functools.cache(env.get_doctree)
        with patch.object(env, "get_doctree", self.load):
            return super()._resolve_numref_xref(env, *what)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_domain(References, override=True)
    app.connect("env-purge-doc", note)
    changed.clear()
    TocTreeCollector.assign_section_numbers = go_on  # type: ignore[method-assign]
    TocTreeCollector.assign_figure_numbers = number_figures  # type: ignore[method-assign]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
