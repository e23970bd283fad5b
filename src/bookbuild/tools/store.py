"""Keep what is made once: it is there whole, or it is not there.

A file or a folder is made under another name, which holds the number of the process that makes it,
and is renamed when it is whole. A build that reads meanwhile, or one that is killed, meets no part
of it. A draft that nobody has touched for an hour has lost its process, and is removed.
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
ABANDONED = 3600  # seconds after which nobody works on a draft
DIGEST = 64  # characters in front of what is kept


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
    """A folder of what was made, each named after what it was made from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, source: object) -> bytes | None:
        """Return what was made from a source, which JSON can hold, or None if it is not kept."""
        return whole(self.folder / name(source))

    def put(self, source: object, made: bytes) -> None:
        """Keep what was made from a source."""
        with draft(self.folder / name(source)) as file:
            file.write_bytes(sha256(made).hexdigest().encode() + made)

    def all(self) -> Iterator[bytes]:
        """Yield all that is kept."""
        for file in sorted(self.folder.glob("*")):
            if DRAFT not in file.name and (made := whole(file)) is not None:
                yield made


def whole(file: Path) -> bytes | None:
    """Return what a file of a store keeps, or None if it is not there or is damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    made = content[DIGEST:]
    return made if sha256(made).hexdigest().encode() == content[:DIGEST] else None
