"""The folders of the build are what their README says: who imports whom, and what stays light."""

import ast
import os
import re
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

BUILD = Path(__file__).parents[2] / "src/bookbuild"
ROW = re.compile(r"^\| `(\w+)/` \|.*\|([^|]*)\|$", re.M)


def imported(file: Path) -> set[str]:
    """Return the folders of the build, and ``zeroinit``, that a file imports something from."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            said = "." * node.level + (node.module or "")
            module = resolve_name(said, f"bookbuild.{file.parent.name}")
            names |= (
                {f"bookbuild.{a.name}" for a in node.names} if module == "bookbuild" else {module}
            )
    first = {tuple(name.split(".")[:2]) for name in names}
    return {name[-1] for name in first if name[0] in ("bookbuild", "zeroinit")}


def test_folders_import_what_the_readme_says() -> None:
    rows = ROW.findall((BUILD / "README.md").read_text("utf-8"))
    said = {folder: set(re.findall(r"`(\w+)`", cell)) for folder, cell in rows}
    assert set(said) == {file.parent.name for file in BUILD.glob("*/__init__.py")}
    found = {
        folder: set().union(*map(imported, (BUILD / folder).glob("*.py"))) - {folder}
        for folder in said
    }
    assert found == said


def test_tools_are_connected_to_no_event() -> None:
    texts = [file.read_text("utf-8") for file in (BUILD / "tools").glob("*.py")]
    assert not [text for text in texts if ".connect(" in text or "def setup(" in text]


def test_no_file_beside_the_server_of_kernels_hides_a_standard_module() -> None:
    beside = {path.stem for path in (BUILD / "execution").iterdir()}
    assert "warm" in beside
    assert not beside & sys.stdlib_module_names


def test_a_kernels_client_imports_nothing_that_takes_time() -> None:
    shown = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, bookbuild.execution.warm; print(*sys.modules)"],
        env=os.environ | {"PYTHONPATH": str(BUILD.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    others = {name.partition(".")[0] for name in shown} - sys.stdlib_module_names - {"__main__"}
    assert others == {"bookbuild"}
    assert [name for name in shown if name.startswith("bookbuild.")] == [
        "bookbuild.execution",
        "bookbuild.execution.warm",
    ]
