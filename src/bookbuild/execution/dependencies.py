"""The sources of a page's outputs: files below a folder, and packages with their versions.

A kernel logs what it opens (``access_log.py``). A package that was imported before the page began
is known from the import statements of the page and of its files, with all that it needs itself.
"""

import ast
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from .access_log import digest


class Sources(TypedDict):
    """The digests of files by their path from the root, and the versions of packages by name."""

    files: dict[str, str | None]
    packages: dict[str, str | None]


def fresh(root: Path, sources: Sources) -> bool:
    """Tell whether files and packages are as they were."""
    return all(digest(root / file) == known for file, known in sources["files"].items()) and all(
        version(package) == known for package, known in sources["packages"].items()
    )


def trace(root: Path, lines: list[dict[str, Any]], cells: list[str]) -> Sources:
    """Return a page's sources, from the log of its kernel and the import statements."""
    files = {os.path.relpath(at["file"], root): at["digest"] for at in lines if "file" in at}
    texts = [
        (root / file).read_text("utf-8")
        for file, known in files.items()
        if file.endswith(".py") and known  # a page may try a module that is not there
    ]
    texts += [TransformerManager().transform_cell(cell) for cell in cells]
    modules = {"ipykernel"}.union(*map(imported, texts))
    opened = {line["package"] for line in lines if "package" in line}
    modules |= {entry.partition(".")[0] for entry in opened}
    asked = {entry.partition("-")[0] for entry in opened if entry.endswith(".dist-info")}
    packages = needed([*asked, *(p for module in modules for p in providers().get(module, []))])
    return {"files": files, "packages": {package: version(package) for package in packages}}


@cache  # pages import the same files
def imported(code: str) -> set[str]:
    """Return the first names of the modules that import statements name."""
    names: set[str] = set()
    with suppress(SyntaxError):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


@cache
def providers() -> Mapping[str, list[str]]:
    """Return the installed packages by the names of their modules."""
    return metadata.packages_distributions()


@cache
def version(package: str) -> str | None:
    """Return a package's version, or None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def needed(packages: Iterable[str]) -> set[str]:
    """Return packages with all that they need, and that is installed."""
    found: set[str] = set()
    rest = [canonicalize_name(package) for package in packages]
    while rest:
        package = rest.pop()
        if package in found or version(package) is None:
            continue
        found.add(package)
        rest += required(package)
    return found


@cache
def required(package: str) -> list[NormalizedName]:
    """Return the packages that a package itself needs here."""
    requirements = map(Requirement, metadata.requires(package) or [])
    return [
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
