"""Keep things that are made once: each is there whole, or not at all.

A file or a folder is made as a draft, under a name with the number of the process that makes it,
and is renamed when it is whole. So another build never reads half of it, nor does a later one if
this one is killed. A draft that was not changed for an hour belongs to no process any more, and is
removed.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

DRAFT = ".draft-"  # before the number of the process
ABANDONED = 3600  # seconds without a change after which a draft is removed
DIGEST = 64  # characters of the digest at the front of a file


def name(source: object) -> str:
    """Return a short name for something that JSON can hold."""
    return sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:20]


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """Give a path for a new file or folder, which takes the place of ``target`` at the end.

    If an error comes first, ``target`` stays as it is. A folder takes the place of another in two
    steps, between which there is none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"*{DRAFT}*"):
        with suppress(OSError):  # another build removes it as well
            if time.time() - left.stat().st_mtime > ABANDONED:
                remove(left)
    made = target.with_name(f"{target.name}{DRAFT}{os.getpid()}")
    remove(made)  # of a dead process with this one's number
    try:
        yield made
        if made.is_dir():
            remove(target)
        made.replace(target)
    except BaseException:
        remove(made)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Store:
    """A folder that keeps bytes under the name of their source, the newest ones only."""

    def __init__(self, folder: Path, most: int = 500) -> None:
        self.folder, self.most = folder, most

    def get(self, source: object) -> bytes | None:
        """Return the bytes made from a source, which JSON can hold, or None if there are none."""
        return whole(self.folder / name(source))

    def put(self, source: object, made: bytes) -> None:
        """Keep the bytes made from a source, and remove the oldest file if there are too many."""
        with draft(self.folder / name(source)) as file:
            file.write_bytes(sha256(made).hexdigest().encode() + made)
        for old in self.files()[self.most :]:
            old.unlink(missing_ok=True)

    def all(self) -> Iterator[bytes]:
        """Yield the bytes of all sources, the newest first."""
        yield from (made for file in self.files() if (made := whole(file)) is not None)

    def files(self) -> list[Path]:
        """Return the files of the folder but drafts, the newest first."""
        ages: dict[Path, int] = {}
        for file in self.folder.glob("*"):
            with suppress(FileNotFoundError):  # another build has removed it
                if DRAFT not in file.name:
                    ages[file] = -file.stat().st_mtime_ns
        return sorted(ages, key=lambda file: (ages[file], file.name))


def whole(file: Path) -> bytes | None:
    """Return the bytes that a file keeps, or None if it is not there or is damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    made = content[DIGEST:]
    return made if sha256(made).hexdigest().encode() == content[:DIGEST] else None
