"""Keep the files that the lab's page loads in one archive, made again if its sources have changed.

``python -m bookbuild.lab.archive _build/lab.zip node_modules 2`` makes it, with two processes. A
build that has opened the file reads it to its end, even if another build replaces it meanwhile.
Every ``make html`` runs this, so PyTorch is imported only if the file has to be made.
"""

import sys
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from bookbuild.tools.progress import Progress
from bookbuild.tools.store import draft

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parents[1] / "zeroinit"
MODULES = "data", "functional", "initialization", "lab", "networks"  # of the package
COMPILERS = "torch", "onnx", "onnxscript"
NPM = "onnxruntime-web", "uplot"


def sources(packages: Path) -> list[Path]:
    """Return the files from which the archive is made."""
    own = [PACKAGE / f"{module}.py" for module in MODULES]
    own += [FOLDER / name for name in ("build.py", "onnx_export.py", "LICENSE.onnxruntime")]
    return [*own, Path(__file__), *(packages / name / "package.json" for name in NPM)]


def digest(packages: Path) -> bytes:
    """Return a digest of the sources, and of the versions of the compilers."""
    parts = [file.read_bytes() for file in sources(packages)]
    parts += [version(package).encode() for package in COMPILERS]
    return sha256(b"\0".join(parts)).hexdigest().encode()


def make(target: Path, packages: Path, jobs: int) -> None:
    """Make the archive if it is not there or was made from other sources."""
    made_from = digest(packages)
    if target.exists():
        with ZipFile(target) as archive:
            if archive.comment == made_from:
                return
    with (
        Progress("Files of the lab made") as progress,
        draft(target) as file,
        ZipFile(file, "w") as archive,
    ):
        progress.tell("training steps, compiled")
        from bookbuild.lab import build

        archive.comment = made_from
        for name, content in build.files(packages, jobs):
            archive.writestr(ZipInfo(name), content)
            progress.tell(name, None)


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    except KeyboardInterrupt:
        sys.exit(130)  # as of a program that is stopped; who stops it knows why
    except OSError as error:
        sys.exit(f"The files of the lab's page could not be made: {error}")
