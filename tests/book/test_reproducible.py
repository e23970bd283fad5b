"""The book is the same, byte for byte, wherever and whenever it is built."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("conf.py", "book", "src", "tests", "benchmarks")

# The files that may differ: run times are on one, and which widths a machine parts on the other.
MACHINE = {
    "colophon.html",
    "the-proof-meets-the-machine.html",
    "notebooks/the-proof-meets-the-machine.ipynb",
}


def build(folder: Path, jobs: int, **environment: str) -> dict[str, str]:
    """Build a copy of the book in a folder, and return a digest of every file of the site."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", f"-j{jobs}", "-c", ".", "book", "_build/html"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")} | environment,
        check=True,
    )
    site = folder / "_build/html"
    return {
        file.relative_to(site).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in site.rglob("*")
        if file.is_file() and ".doctrees" not in file.parts
    }


def test_two_builds_give_the_same_site(tmp_path: Path) -> None:
    # The one takes the outputs of the book's last build, if any; the other runs all cells.
    one, two = tmp_path / "one", tmp_path / "another/place"
    two.mkdir(parents=True)
    if (ROOT / "_build/cells").exists():
        shutil.copytree(ROOT / "_build/cells", one / "_build/cells")
    first = build(one, jobs=1)
    second = build(two, jobs=2, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="7")
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= MACHINE
