"""Which pages import a module of the package, themselves or through its other modules.

``python -m benchmarks.imports torch`` prints the CPU seconds in which a new Python imports torch,
``python -m benchmarks.imports zeroinit`` those for all public names of the package.
"""

import ast
import json
import os
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure
from benchmarks.builds import ROOT, code, notebooks

PACKAGE = ROOT / "src/zeroinit"
PROGRAMS = {"torch": "import torch", "zeroinit": "from zeroinit import *"}


@cache
def users(name: str, *, calls: bool = False) -> set[str]:
    """Return the pages that import a module, such as ``zeroinit.figures.tiles``.

    With ``calls`` also those that may: modules that they import do so in a function.
    """
    return {page for page, modules in pages(calls).items() if name in modules}


@cache
def pages(calls: bool) -> dict[str, set[str]]:
    """Return for each page with cells the modules of the package that it imports in the end."""
    texts = {page.stem: "\n".join(code(book)) for page, book in notebooks(ROOT / "book")}
    return {page: reached(text, calls) for page, text in texts.items()}


def reached(text: str, calls: bool) -> set[str]:
    """Return the modules that a program imports, with all that these import."""
    found: set[str] = set()
    rest = named(text, calls)
    while rest:
        name = rest.pop()
        found.add(name)
        rest |= named(source(name).read_text("utf-8"), calls) - found
    return found


def named(text: str, calls: bool) -> set[str]:
    """Return the modules that a program imports itself, some by ``zeroinit.name``."""
    tree = ast.parse(text)
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = {home for name, home in homes().items() if f"zeroinit.{name}" in used}
    for node in ast.walk(tree) if calls else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zeroinit"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if source(inner).exists():
                    found.add(inner)
                elif node.module == "zeroinit":
                    found.add(homes()[alias.name])
                else:
                    found.add(str(node.module))
    return found


@cache
def homes() -> dict[str, str]:
    """Return the modules of the public names, which the package imports when they are used."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def source(name: str) -> Path:
    """Return the file that a module has, if it is one."""
    return ROOT.joinpath("src", *name.split(".")).with_suffix(".py")


def module(file: Path) -> str:
    """Return the module of a file."""
    return ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)


def main(what: str) -> None:
    """Measure an import."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PROGRAMS[what]]
        cost = measure.run(command, ROOT, os.environ, Path(folder, "log"))
    print(json.dumps(cost._asdict()))


if __name__ == "__main__":
    main(sys.argv[1])
