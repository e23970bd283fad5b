"""The archive for the lab is made once, and is there whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from bookbuild.lab import archive, build

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

Files = list[tuple[str, bytes]]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a folder in which npm has installed the lab's packages."""
    for name in archive.NPM:
        file = tmp_path / "node_modules" / name / "package.json"
        file.parent.mkdir(parents=True)
        file.write_text('{"version": "1"}', "utf-8")
    return tmp_path / "node_modules"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "made/lab.zip"


def held(target: Path) -> Files:
    """Return the files in the archive."""
    with ZipFile(target) as made:
        return [(name, made.read(name)) for name in made.namelist()]


def test_it_is_made_again_if_a_source_or_a_compiler_has_changed_and_only_then(
    packages: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def files(packages: Path, jobs: int) -> Iterator[tuple[str, bytes]]:
        made.append(jobs)
        yield "graphs/1.onnx", b"graph"

    monkeypatch.setattr(build, "files", files)

    def makes() -> bool:
        """Tell whether the next call makes the file; the one after it does not."""
        made.clear()
        for _ in range(2):
            archive.make(target, packages, 3)
        return made == [3]

    assert makes()
    assert held(target) == [("graphs/1.onnx", b"graph")]
    first = target.read_bytes()
    assert not makes()
    (packages / "uplot/package.json").write_text('{"version": "2"}', "utf-8")
    assert makes()
    monkeypatch.setattr(archive, "version", lambda package: "another")
    assert makes()
    target.unlink()
    assert makes()
    assert target.read_bytes() != first  # it says what it was made from
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_a_build_that_reads_meanwhile_meets_no_half(
    packages: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = ([(name, text) for name in "abc"] for text in (b"old", b"new"))
    seen: list[Files] = []

    def files(packages: Path, jobs: int) -> Iterator[tuple[str, bytes]]:
        for file in new:
            yield file
            seen.append(held(target))

    monkeypatch.setattr(build, "files", lambda packages, jobs: iter(old))
    archive.make(target, packages, 1)
    monkeypatch.setattr(build, "files", files)
    monkeypatch.setattr(archive, "version", lambda package: "another")
    with ZipFile(target) as reader:
        started = [("a", reader.read("a"))]
        archive.make(target, packages, 1)
        assert started + [(name, reader.read(name)) for name in "bc"] == old
    assert seen == [old] * 3
    assert held(target) == new


def test_an_error_leaves_the_file_as_it_was(
    packages: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(packages: Path, jobs: int) -> Iterator[tuple[str, bytes]]:
        yield "a", b"new"
        raise OSError("No space left on device")

    monkeypatch.setattr(build, "files", lambda packages, jobs: iter([("a", b"old")]))
    archive.make(target, packages, 1)
    monkeypatch.setattr(build, "files", files)
    monkeypatch.setattr(archive, "version", lambda package: "another")
    with pytest.raises(OSError, match="No space left"):
        archive.make(target, packages, 1)
    assert held(target) == [("a", b"old")]
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_an_error_of_the_disk_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bookbuild.lab.archive", "lab.zip", "no_packages", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(archive.FOLDER.parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The files of the lab's page could not be made: [Errno 2]")
    assert done.stderr.count("\n") == 1


def test_to_see_that_nothing_has_changed_imports_little() -> None:
    shown = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, bookbuild.lab.archive; print(*sys.modules)"],
        env=os.environ | {"PYTHONPATH": str(archive.FOLDER.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    others = {name.partition(".")[0] for name in shown} - sys.stdlib_module_names - {"__main__"}
    assert others == {"bookbuild"}


def test_every_build_of_the_site_asks(book: "Book") -> None:
    for name in (".venv/ready", "node_modules/.package-lock.json", "_build/lab.zip"):
        book.write(name, "")
    for target in ("html", "serve"):
        assert "bookbuild.lab.archive _build/lab.zip" in book.make("-n", target).stdout
