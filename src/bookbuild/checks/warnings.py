"""A Sphinx extension: of one mistake one warning, and a name that is near one that is not there.

It sees each warning before Sphinx prints it. A warning that follows from another is left out: a
failed cell glues nothing, say. The build ends with a sentence that says where to begin, and a list
of the pages that have mistakes: the next build reads these again.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from logging import Filter, LogRecord, getLogger
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.utils import get_source_line
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import NAMESPACE, WarningStreamHandler, is_suppressed_warning
from sphinx.util.typing import ExtensionMetadata


class Warned(NamedTuple):
    """A warning: its page, empty if it has none, and what is printed of it."""

    page: str
    line: int
    kind: str
    said: str


def cells(env: Any, page: str) -> dict[str, Any]:
    """Return what MyST-NB has noted of the cells of a page."""
    return dict(getattr(env, "nb_metadata", {}).get(page, {}))


def has_failed(env: BuildEnvironment, page: str) -> bool:
    """Return whether a cell of a page failed."""
    return not cells(env, page).get("exec_data", {"succeeded": True})["succeeded"]


def labels(env: BuildEnvironment, page: str) -> Iterable[str]:
    """Return all that may be referred to."""
    return env.domains.standard_domain.anonlabels


def terms(env: BuildEnvironment, page: str) -> Iterable[str]:
    """Return the terms of the glossary."""
    return [name for kind, name in env.domains.standard_domain.objects if kind == "term"]


def keys(env: Any, page: str) -> Iterable[str]:
    """Return what may be cited."""
    return [str(key) for key in env.get_domain("cite").bibdata.data.entries]


UNKNOWN: dict[str, Callable[[BuildEnvironment, str], Iterable[str]]] = {
    r"undefined label: '(.+)'": labels,
    r"'myst' cross-reference target not found: '(.+)'": labels,
    r"unknown document: '(.+)'": lambda env, page: env.found_docs,
    r"py:\w+ reference target not found: (.+)": lambda env, page: env.domains.python_domain.objects,
    r"term not in glossary: '(.+)'": terms,
    r'could not find bibtex key "(.+)"': keys,
    r"No key '(.+)' found in glue data for this document": lambda env, page: cells(env, page).get(
        "glue", ()
    ),
}


class Mistakes(Filter):
    """The mistakes of a build: a filter of Sphinx's warnings that keeps count."""

    def __init__(self, app: Sphinx) -> None:
        super().__init__()
        self.app = app
        self.pages: set[str] = set()
        self.shown: list[str] = []
        self.unlisted: set[str] = set()
        self.kinds: set[str] = set()

    def filter(self, record: LogRecord) -> bool:
        """Return whether a warning is to be printed, and complete what it says."""
        kind = getattr(record, "type", ""), getattr(record, "subtype", "")
        if is_suppressed_warning(*kind, self.app.config.suppress_warnings):
            return False
        page, file, line = place(self.app, record)
        said = re.sub(r" \[mystnb\.\w+\]$", "", record.getMessage())  # Sphinx says it again
        warned = Warned(page, line, ".".join(map(str, kind)), said)
        self.pages.add(page)
        self.kinds.add(warned.kind)
        if warned.kind == "toc.not_included":
            self.unlisted.add(page)
        if self.follows(warned):
            return False
        record.msg, record.args = said + self.remedy(warned), ()
        self.shown.append(os.path.relpath(file) + (f":{line}" if line else "") if file else said)
        return True

    def remedy(self, warned: Warned) -> str:
        """Return what to add to a warning of another library."""
        if warned.kind == "toc.not_included":
            index = self.app.env.doc2path(self.app.config.root_doc)
            return f": name it in that of {os.path.relpath(index)}"
        for pattern, names in UNKNOWN.items():
            if found := re.match(pattern, warned.said):
                others = set(names(self.app.env, warned.page)) - {found[1]}
                near = get_close_matches(found[1], sorted(others), n=1)
                return f"; did you mean {near[0]!r}?" if near else ""
        return ""

    def follows(self, warned: Warned) -> bool:
        """Return whether a warning follows from another."""
        env = self.app.env
        match warned.kind:
            case "mystnb.glue":
                return has_failed(env, warned.page)
            case "bibtex.key_not_found":
                return "bibtex.syntax" in self.kinds
            case "ref.ref" | "ref.numref" | "myst.xref_missing":
                name = re.escape(re.sub(".*: |['\"]", "", warned.said))
                files = [env.doc2path(page) for page in env.found_docs if has_failed(env, page)]
                texts = [Path(file).read_text("utf-8") for file in files]
                return any(re.search(rf"\bname: *{name}$", text, re.M) for text in texts)
        if warned.said.endswith("[myst-nb.cell_config]"):
            return warned.line in env.metadata.get(warned.page, {}).get("without_alt", ())
        if warned.said.endswith("[myst-nb.lexer]"):  # a kernel that did not start has no language
            return has_failed(env, warned.page)
        if warned.said.startswith("Failed to create a cross reference. Any number"):
            anchor = warned.said.rpartition(" ")[2]
            places = env.domains.standard_domain.anonlabels.values()
            return any((page, anchor) in places for page in self.unlisted)
        return False


def place(app: Sphinx, record: LogRecord) -> tuple[str, str, int]:
    """Return the page, the file and the line of a warning; each is empty if there is none."""
    env: BuildEnvironment | None = getattr(app, "env", None)
    location = getattr(record, "location", None) or ""
    if isinstance(location, nodes.Node):
        location = get_source_line(location)
    elif isinstance(location, str):
        file, _, number = location.rpartition(":")
        location = (file, int(number)) if number.isdigit() else (location.rstrip(":"), 0)
    file, line = str(location[0] or ""), location[1] or 0
    if env is None:
        return "", file, line
    page = file if file in env.found_docs else env.path2doc(file)
    if page in env.found_docs:
        return page, str(env.doc2path(page)), line
    return "", file, line


def printer() -> WarningStreamHandler:
    """Return what prints the warnings of Sphinx."""
    (found,) = (h for h in getLogger(NAMESPACE).handlers if isinstance(h, WarningStreamHandler))
    return found


def listed(app: Sphinx) -> Path:
    """Return the list of pages that have mistakes, in a file that a whole build leaves."""
    return Path(app.doctreedir, "mistakes")


def watch(app: Sphinx, config: Config) -> None:
    """Look at every warning of the build from here on."""
    printer().filters.insert(0, Mistakes(app))  # before Sphinx counts


def again(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> Iterable[str]:
    """Have the pages read again that had mistakes; all of them if the last build was cut short."""
    file = listed(app)
    pages = file.read_text("utf-8").splitlines() if file.exists() else [""]
    file.unlink(missing_ok=True)
    return env.all_docs if "" in pages else pages


def conclude(app: Sphinx, exception: Exception | None) -> None:
    """At the end of a build, list the pages that have mistakes, and say where to begin."""
    if exception:
        return
    (mistakes,) = (f for f in printer().filters if isinstance(f, Mistakes))
    listed(app).write_text("".join(f"{page}\n" for page in sorted(mistakes.pages)), "utf-8")
    if mistakes.shown:
        print(
            f"The pages are written to {os.path.relpath(app.outdir)}, and what is wrong with them "
            f"is named above ({len(mistakes.shown)}).\nBegin with the first: {mistakes.shown[0]}",
            file=sys.stderr,
        )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("config-inited", watch)
    app.connect("env-get-outdated", again)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
