"""A Sphinx extension: the numbers of pages go on from one toctree of a page to the next.

So each part of the book is a toctree with a caption of its own. Sphinx begins each numbered toctree
at one; here it numbers the entries of all of them as those of the first.
"""

import functools
import inspect
from collections.abc import Callable

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util.typing import ExtensionMetadata

# Sphinx's own: a build that is a fork of another imports this module when it has replaced that.
assign_section_numbers: Callable[[TocTreeCollector, BuildEnvironment], list[str]] = inspect.unwrap(
    TocTreeCollector.assign_section_numbers
)


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

    env.get_doctree = get_doctree  # type: ignore[method-assign]
    try:
        return assign_section_numbers(self, env)
    finally:
        del env.get_doctree


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    TocTreeCollector.assign_section_numbers = go_on  # type: ignore[method-assign]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
