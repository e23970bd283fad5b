"""An edit of a module runs the pages that import it, itself or through others, and no others."""

import pickle
from pathlib import Path

import pytest

from benchmarks.builds import notebooks
from benchmarks.imports import PACKAGE, module, users

ROOT = Path(__file__).parents[2]
MODULES = sorted(module(file) for file in PACKAGE.rglob("*.py") if file.stem != "__init__")

# How many pages an edit may run.
MOST = {
    "zeroinit.auditing": 3,
    "zeroinit.figures.curves": 13,
    "zeroinit.figures.dots": 11,
    "zeroinit.figures.film": 11,
    "zeroinit.figures.networks": 11,
    "zeroinit.figures.planes": 11,
    "zeroinit.figures.style": 22,
    "zeroinit.figures.tiles": 11,
    "zeroinit.symmetry": 15,
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, set[str]]:
    """Return by module the pages that opened it when they ran, as the last build has recorded."""
    environment = pickle.loads((ROOT / "_build/doctrees/environment.pickle").read_bytes())
    dependencies: dict[str, set[str]] = environment.dependencies
    found: dict[str, set[str]] = {name: set() for name in MODULES}
    for page, _ in notebooks(ROOT / "book"):
        for file in ((ROOT / "book" / path).resolve() for path in dependencies[page.stem]):
            if file.is_relative_to(PACKAGE) and file.suffix == ".py":
                found.setdefault(module(file), set()).add(page.stem)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_the_pages_that_opened_a_module_are_those_that_import_it(
    name: str, recorded: dict[str, set[str]]
) -> None:
    assert users(name) <= recorded[name] <= users(name, calls=True)


@pytest.mark.parametrize("name", MOST)
def test_an_edit_runs_few_pages(name: str, recorded: dict[str, set[str]]) -> None:
    assert 0 < len(recorded[name]) <= MOST[name]
