"""Test the package with other versions: ``python -m tests.matrix [ROW ...]``.

A row is an environment below ``_build/matrix``, with one set of versions for one Python. The lowest
versions are the bounds in ``pyproject.toml``, the pinned ones are those of ``requirements/``, and
the newest are whatever the package index has. In ``bare`` there is PyTorch alone, and no extra. In
each environment the wheel of ``make dist`` is installed, and the tests and examples of its sdist
run against it. A run prints a row for each: what was installed, and how the tests ended.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIST = ROOT / "_build/dist"
SETS = ("pinned", "bare", "lowest", "newest")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SHOWN = ("torch", "numpy", "matplotlib", "transformers", "peft", "lightning")
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "sybil")
# What the tests use beside the package and its extras.
TESTED_WITH = ("nbclient", "nbformat", "ipykernel", "diffusers")
OPTIONS = (
    *("-q", "-n", "2", "-p", "conftest", "-p", "no:cacheprovider"),
    *("-o", "pythonpath=tests/zeroinit", "-o", "filterwarnings=default"),
)
# What is published of other libraries is of the pinned versions.
PUBLISHED = "--ignore=tests/zeroinit/test_audit_architectures.py"
EXTRAS = ("figures", "integrations")  # folders of the package that need an extra; so do plots


def wanted() -> list[str]:
    """Return what the package and its extras require, but the book's and the tests' own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    parts = [extras[name] for name in ("plots", "lora", "lightning", "transformers")]
    return sorted({*project["dependencies"], *(name for part in parts for name in part)})


def installs(versions: str) -> list[list[str]]:
    """Return the arguments of each call of pip that installs a set of versions."""
    pinned = ["-r", str(ROOT / "requirements/torch.txt")]
    if versions == "bare":
        return [[*pinned, "numpy", *TOOLS]]
    if versions == "pinned":
        hashed = ["--no-deps", "--require-hashes", "-r", str(ROOT / "requirements/test.txt")]
        return [pinned, hashed]
    bound = "==" if versions == "lowest" else ">="
    return [[*(name.replace(">=", bound) for name in wanted()), *TOOLS, *TESTED_WITH]]


def rows() -> dict[str, tuple[str, str]]:
    """Return the rows that this machine can run by name: a Python each, and a set of versions."""
    found = {v: path for v in PYTHONS if (path := shutil.which(f"python{v}")) and works(path)}
    return {f"{set_}-{v}": (path, set_) for v, path in found.items() for set_ in SETS}


def triangle(names: list[str]) -> list[str]:
    """Return the rows that run where none are named: every set once, and every Python once."""
    oldest = names[0].partition("-")[2]
    return [name for name in names if name.startswith("pinned-") or name.endswith(oldest)]


def works(python: str) -> bool:
    """Tell whether a Python runs and makes environments."""
    return subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode == 0


def run(name: str, python: str, versions: str) -> bool:
    """Make an environment, test in it, and print its row; return whether all passed."""
    folder = ROOT / "_build/matrix" / name
    log = folder.with_name(f"{name}.log")
    inside = str(folder / "bin/python")
    pip = [inside, "-m", "pip", "install", "--quiet"]
    spared = ["-k", "not plot", *(f"--ignore-glob={folder}/*/{part}/*" for part in EXTRAS)]
    tests = spared if versions == "bare" else ["tests/zeroinit"]
    tests += [] if versions == "pinned" else [PUBLISHED]
    (wheel,), (sources,) = DIST.glob("*.whl"), DIST.glob("zeroinit-*/")
    steps = [
        [python, "-m", "venv", "--clear", str(folder)],
        *([*pip, *arguments] for arguments in installs(versions)),
        [*pip, "--no-deps", str(wheel)],
        [inside, "-m", "pytest", *OPTIONS, "--pyargs", "zeroinit", *tests],
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    ended = 0
    with log.open("w", encoding="utf-8") as output:
        for step in steps:
            ended = (
                ended
                or subprocess.run(
                    step, cwd=sources, stdout=output, stderr=subprocess.STDOUT, env=environment()
                ).returncode
            )
    said = log.read_text("utf-8").strip().rpartition("\n")[2].strip("= ")
    print(f"| {name} | {' | '.join(versions_in(inside))} | {said} |", flush=True)
    return ended == 0


def environment() -> dict[str, str]:
    """Return the variables of this process, without those that would show the source tree."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def versions_in(python: str) -> list[str]:
    """Return the versions of the packages that a row shows, empty for one that is not there."""
    done = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True)
    found = {p["name"]: p["version"] for p in json.loads(done.stdout or b"[]")}
    return [found.get(name, "") for name in SHOWN]


def main(asked: list[str]) -> int:
    """Run the rows that are asked for, or all; return 1 if one failed."""
    known = rows()
    if unknown := set(asked) - known.keys():
        sys.exit(f"There is no row {', '.join(sorted(unknown))}: choose of {', '.join(known)}.")
    print(f"| row | {' | '.join(SHOWN)} | tests |")
    print("| --- " * (len(SHOWN) + 2) + "|", flush=True)
    chosen = asked or triangle([*known])
    failed = [name for name in chosen if not run(name, *known[name])]
    for name in failed:
        print(f"{name} failed: _build/matrix/{name}.log says how.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
