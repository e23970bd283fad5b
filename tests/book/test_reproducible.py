"""The book is the same, byte for byte, wherever and whenever it is built.

On another processor its words and digits are the same, but on pages that say that they differ.
"""

import os
import pickle
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).parents[2]
SOURCES = ("conf.py", "book", "locale", "src", "tests", "atlas", "benchmarks", "evidence")

SPHINX = (sys.executable, "-m", "sphinx", "-W", "-q", "-j1", "-c", ".")

# The files that may differ: run times are on one, and which widths a machine parts on the other.
MACHINE = {
    f"{edition}{name}"
    for edition in ("", "zh/")
    for name in (
        "colophon.html",
        "the-proof-meets-the-machine.html",
        "notebooks/the-proof-meets-the-machine.ipynb",
    )
}


# Arithmetic without the vector instructions of this machine, and on one core.
ANOTHER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OMP_NUM_THREADS": "1",
}


def copy_sources(folder: Path) -> None:
    """Copy what the site is made from, without what a build keeps."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    (folder / "_build").mkdir()
    (folder / "_build/lab.zip").symlink_to(ROOT / "_build/lab.zip")


def words(built: Path) -> dict[str, list[str]]:
    """Return the lines of each page that a build has read, and the words in its figures."""
    found = {}
    for file in sorted(built.glob("doctrees/*.doctree")):
        page = pickle.loads(file.read_bytes())
        figures = [
            built / "jupyter_execute" / Path(i["uri"]).name for i in page.findall(nodes.image)
        ]
        labels = [re.findall("<!-- (.*) -->", f.read_text("utf-8")) for f in figures if f.exists()]
        found[file.stem] = [*page.astext().splitlines(), *map(str, labels)]
    return found


def digests(site: Path) -> dict[str, str]:
    """Return a digest of every file of a site."""
    return {
        file.relative_to(site).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in site.rglob("*")
        if file.is_file() and ".doctrees" not in file.parts
    }


def test_a_build_elsewhere_gives_the_same_site(tmp_path: Path) -> None:
    # The one site is that of `make html`; the other is built from nothing, with other settings.
    # Only what that site was given by other commands is given to this one, too.
    one, folder = ROOT / "_build/html", tmp_path / "another/place"
    mistakes = ROOT / "_build/doctrees/mistakes"  # which a whole build leaves, empty if it has none
    assert mistakes.exists(), "run `make html` first: there is no whole site"
    assert not mistakes.read_text("utf-8"), "correct what `make html` says: there is no whole site"
    copy_sources(folder)
    for edition in (*one.glob("*.pdf"), *one.glob("*.epub")):
        shutil.copy(edition, folder / "_build")
    for language, made in (("en", "_build/html"), ("zh_CN", "_build/html/zh")):
        subprocess.run(
            [*SPHINX, "-d", f"_build/doctrees-{language}", "book", made],
            cwd=folder,
            env=os.environ
            | {"PYTHONPATH": str(folder / "src"), "BOOK_LANGUAGE": language}
            | {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"},
            check=True,
        )
    first, second = digests(one), digests(folder / "_build/html")
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= MACHINE


def test_another_processor_gives_the_same_digits(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    subprocess.run(
        [*SPHINX, "-d", "_build/doctrees", "-b", "dummy", "book", "_build/dummy"],
        cwd=tmp_path,
        env=os.environ | ANOTHER_PROCESSOR | {"PYTHONPATH": str(tmp_path / "src")},
        check=True,
    )
    one, other = words(ROOT / "_build"), words(tmp_path / "_build")
    assert one.keys() == other.keys()
    assert "[" in {line[:1] for line in one["index"]}  # the words of its figure
    silent = {
        name: sorted(set(one[name]) ^ set(other[name]))
        for name, lines in one.items()
        if not re.search(r"another\s+processor", "\n".join(lines), re.IGNORECASE)
    }
    assert {name: lines for name, lines in silent.items() if lines and name != "colophon"} == {}
