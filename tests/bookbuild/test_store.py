"""What is kept is there whole or not at all, whoever writes, reads or dies meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bookbuild.tools.store import ABANDONED, DRAFT, Store, draft

SRC = Path(__file__).parents[2] / "src"
SIZE = 4_000_000  # bytes: a write takes long enough to be met halfway

# Each writer keeps bytes of one kind under the same source; a reader may see either kind.
RACE = f"""
import sys, time
from pathlib import Path
from bookbuild.tools.store import Store
store, end = Store(Path(sys.argv[1])), time.monotonic() + 2
while time.monotonic() < end:
    store.put("source", sys.argv[2].encode() * {SIZE})
"""
# A process that says when it has written half of a file, and then waits to be killed.
KILLED = f"""
import sys, time
from pathlib import Path
from bookbuild.tools.store import Store
def write_half(file, content):
    with file.open("wb") as stream:
        stream.write(content[: len(content) // 2])
        stream.flush()
        print("half", flush=True)
        time.sleep(60)
Path.write_bytes = write_half
Store(Path(sys.argv[1])).put("source", b"x" * {SIZE})
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_put_is_got_and_nothing_else_is(tmp_path: Path) -> None:
    store = Store(tmp_path / "not/there/yet")
    assert store.get("source") is None
    assert list(store.all()) == []
    store.put(["source", 1], b"made")
    store.put({"b": 1, "a": 2}, b"")
    assert store.get(["source", 1]) == b"made"
    assert store.get({"a": 2, "b": 1}) == b""
    assert store.get(["source", 2]) is None
    assert sorted(store.all()) == [b"", b"made"]
    store.put(["source", 1], b"made anew")
    assert store.get(["source", 1]) == b"made anew"


def test_the_newest_stay(tmp_path: Path) -> None:
    store = Store(tmp_path, most=3)
    draft_of_another = tmp_path / f"a{DRAFT}1"
    draft_of_another.touch()
    for k, made in enumerate((b"0", b"1", b"2", b"3", b"4")):
        store.put(k, made)
        (newest,) = (file for file in tmp_path.iterdir() if file.read_bytes().endswith(made))
        os.utime(newest, ns=(0, 10**18 + k))  # a file system's clock may count in larger steps
        assert list(store.all()) == [b"%d" % j for j in range(k, max(k - 3, -1), -1)]
    assert store.get(1) is None
    assert store.get(2) == b"2"
    store.put(2, b"2 again")
    assert list(store.all()) == [b"2 again", b"4", b"3"]
    assert draft_of_another.exists()


def test_two_builds_that_race_never_show_half_a_file(
    tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    store = Store(tmp_path)
    builds = [start(RACE, str(tmp_path), kind) for kind in "xy"]
    wait_until(lambda: store.get("source") is not None)
    seen: set[bytes] = set()
    while any(build.poll() is None for build in builds):
        made = store.get("source")
        assert made is not None
        assert len(made) == SIZE
        seen |= {made[:1], made[-1:]}
        assert list(store.all()) in ([b"x" * SIZE], [b"y" * SIZE])
    assert [build.communicate()[0] for build in builds] == ["", ""]
    assert [build.returncode for build in builds] == [0, 0]
    assert seen == {b"x", b"y"}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_build_leaves_is_a_miss_and_goes_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(3):
        build = start(KILLED, str(tmp_path))
        assert build.stdout
        with build.stdout as said:
            assert said.readline() == "half\n"
        build.send_signal(signal.SIGKILL)
        build.wait()
    left = list(tmp_path.iterdir())
    assert len(left) == 3
    assert all(DRAFT in file.name for file in left)
    assert store.get("source") is None
    assert list(store.all()) == []
    store.put("source", b"made")
    assert store.get("source") == b"made"
    assert set(left) < set(tmp_path.iterdir())  # they might be of builds at work

    hour = time.time() - ABANDONED - 1
    for file in left:
        os.utime(file, (hour, hour))
    store.put("other", b"made")
    assert len(list(tmp_path.iterdir())) == 2
    assert store.get("source") == b"made"


@pytest.mark.parametrize("size", [0, 10, 64, 70, -1])
def test_a_file_that_is_cut_short_is_a_miss(tmp_path: Path, size: int) -> None:
    store = Store(tmp_path)
    store.put("source", b"some bytes")
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    assert store.get("source") is None
    assert list(store.all()) == []
    store.put("source", b"some bytes")
    assert store.get("source") == b"some bytes"


def test_a_folder_takes_the_place_of_another_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def make(name: str) -> None:
        with draft(folder) as made:
            made.mkdir()
            (made / name).write_text(name, "utf-8")
            if name == "wrong":
                raise ValueError(name)

    make("old")
    with pytest.raises(ValueError, match="wrong"):
        make("wrong")
    assert [file.name for file in folder.iterdir()] == ["old"]
    make("new")
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
