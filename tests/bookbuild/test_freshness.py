"""A page runs if, and only if, what it runs on has changed; and a page that fails, fails alone."""

import compileall
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookbuild.execution import warm
from bookbuild.execution.access_log import reads
from bookbuild.execution.cache import OVERWRITTEN
from bookbuild.execution.dependencies import imported

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book


@pytest.fixture
def book(book: "Book", warm_kernels: str) -> "Book":
    """A book whose pages wait for no import of torch, and not for a process of their own."""
    book.environment[warm.ADDRESS] = warm_kernels
    return book


# A page that shows a value, and leaves its name in a file whenever its cells run.
PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# The page {name}

```{{code-cell}} ipython3
:mystnb:
:  image:
:    alt: a picture
{code}
print("the value is", {value})
```

```{{code-cell}} ipython3
:tags: [remove-cell]
with open("../runs", "a") as runs:
    print("{name}", file=runs)
```
"""


ABSENT = """
for name in ("none.txt", "none.py"):
    try: open(name)
    except OSError: pass"""


def write_page(
    book: "Book", name: str, code: str = "import zeroinit", value: str = "zeroinit.VALUE"
) -> None:
    """Write a page that shows a value."""
    book.write(f"book/{name}.md", PAGE.format(name=name, code=code, value=value))


def change(book: "Book", name: str, old: str, new: str) -> None:
    """Change a file."""
    text = book.text(name)
    assert old in text
    book.write(name, text.replace(old, new))


def runs(book: "Book") -> set[str]:
    """Build the book, and return the pages whose cells ran."""
    book.write("runs", "")
    done = book.html()
    assert done.returncode == 0, done.stderr
    names = book.text("runs").split()
    assert len(names) == len(set(names))
    return set(names)


def shown(book: "Book", name: str) -> str:
    """Return the value that a built page shows."""
    (value,) = re.findall(r"the value is (\w+)", book.text(f"_build/html/{name}.html"))
    return str(value)


def test_pages_follow_what_they_run_on(book: "Book") -> None:
    book.write("src/zeroinit/part.py", "VALUE = 1\n")
    book.write("src/zeroinit/unused.py", "")
    book.write("book/data.txt", "1")
    write_page(book, "one")
    write_page(book, "two", "from zeroinit.part import VALUE", "VALUE")
    write_page(book, "three", "with open('data.txt') as data: read = data.read()", "read")
    write_page(book, "four", ABSENT, "4")
    for k in range(5):  # Sphinx reads pages in parallel if they are more than five
        book.write(
            f"book/plain{k}.md", f"# Plain\n\n:::{{exercise}} Title\n:name: exercise-{k}\n:::\n"
        )
    compileall.compile_dir(book.folder / "src/zeroinit", quiet=1)  # then sources are not opened
    assert runs(book) == {"one", "two", "three", "four"}
    assert runs(book) == set()

    change(book, "book/one.md", "# The page", "# The better page")
    change(book, "book/one.md", "a picture", "another picture")
    change(book, "book/one.md", "[remove-cell]", "[hide-cell]")
    assert runs(book) == set()
    assert "The better page" in book.text("_build/html/one.html")

    change(book, "book/one.md", "print(", "print  (")
    assert runs(book) == {"one"}

    book.write("src/zeroinit/unused.py", "VALUE = 2\n")
    for page in ("one", "two"):
        os.utime(book.folder / f"book/{page}.md")
    assert runs(book) == set()

    book.write("src/zeroinit/part.py", "VALUE = 2\n")
    assert (runs(book), shown(book, "two")) == ({"two"}, "2")
    book.write("src/zeroinit/part.py", "VALUE = 1\n")
    assert (runs(book), shown(book, "two")) == (set(), "1")

    book.write("src/zeroinit/__init__.py", "VALUE = 3\n")
    assert (runs(book), shown(book, "one")) == ({"one", "two"}, "3")

    book.write("book/data.txt", "9")
    assert (runs(book), shown(book, "three")) == ({"three"}, "9")

    book.write("book/none.txt", "")
    assert runs(book) == {"four"}

    change(book, "src/bookbuild/content/theorems.py", "Link to this", "Address of this")
    assert runs(book) == set()
    assert "Address of this exercise" in book.text("_build/html/plain0.html")

    change(book, "src/bookbuild/execution/kernels/warm/kernel.json", "svg", "png")
    assert runs(book) == {"one", "two", "three", "four"}


def test_an_edit_of_any_module_of_an_extension_is_shown(book: "Book") -> None:
    book.write("book/page.md", "# Page\n\n| Head |\n| --- |\n| Cell |\n")
    assert runs(book) == set()
    assert 'aria-label="Table 1"' in book.text("_build/html/page.html")
    change(book, "src/bookbuild/site/accessibility.py", "Table {number}", "Grid {number}")
    assert runs(book) == set()
    assert 'aria-label="Grid 1"' in book.text("_build/html/page.html")


def install(book: "Book", name: str, version: str, needs: str = "") -> None:
    """Install a package of one module, in place of an older one."""
    for old in book.folder.glob(f"site-packages/{name}-*"):
        shutil.rmtree(old)
    info = f"site-packages/{name}-{version}.dist-info"
    book.write(
        f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    )
    book.write(f"{info}/top_level.txt", name)
    book.write(f"site-packages/{name}.py", "")


def test_pages_follow_the_versions_of_what_they_use(book: "Book") -> None:
    for name in ("needed", "dynamic", "asked", "other"):
        install(book, name, "1")
    install(book, "needy", "1", "Requires-Dist: needed\n")
    write_page(book, "states", "def f(): import needy", "1")
    write_page(book, "calls", "__import__('dynamic')", "1")
    write_page(book, "asks", "from importlib import metadata", "metadata.version('asked')")
    assert runs(book) == {"states", "calls", "asks"}
    assert runs(book) == set()
    for name, needs, users in (
        ("needy", "Requires-Dist: needed\n", {"states"}),
        ("needed", "", {"states"}),
        ("dynamic", "", {"calls"}),
        ("asked", "", {"asks"}),
        ("other", "", set()),
    ):
        install(book, name, "2", needs)
        assert runs(book) == users, name
    assert shown(book, "asks") == "2"


def test_what_is_printed_bit_by_bit_is_kept_as_printed(book: "Book") -> None:
    slowly = 'import time\nfor word in ("two", " ", "words ", "\\n", "\\n", "more"):\n'
    slowly += '    print(word, end="", flush=True); time.sleep(0.3)\nprint()'
    write_page(book, "one", slowly, "1")
    assert runs(book) == {"one"}
    assert "two words \n\nmore\nthe value is" in book.text("_build/html/one.html")


def test_a_file_that_changes_while_its_page_runs_is_seen(book: "Book") -> None:
    save = "with open('../src/zeroinit/__init__.py', 'w') as f: f.write('VALUE = 2\\n')"
    write_page(book, "one", f"import zeroinit\n{save}")
    assert (runs(book), shown(book, "one")) == ({"one"}, "1")
    assert (runs(book), shown(book, "one")) == ({"one"}, "2")
    assert runs(book) == set()


def test_a_record_that_is_cut_short_is_none(book: "Book") -> None:
    write_page(book, "one")
    assert runs(book) == {"one"}
    (record,) = book.folder.glob("_build/cells/*/*")
    whole = record.read_bytes()
    for size in (0, len(whole) // 2, len(whole) - 1):
        record.write_bytes(whole[:size])
        os.utime(book.folder / "book/one.md")
        assert runs(book) == {"one"}
    assert runs(book) == set()


def test_two_builds_at_once_share_what_they_keep(book: "Book") -> None:
    for name in ("one", "two"):
        write_page(book, name, "import time, zeroinit; time.sleep(2)")
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "sphinx", "-q", "-W", "-c", ".", "book", f"_build/{k}"],
            cwd=book.folder,
            env=os.environ | {"PYTHONPATH": str(book.folder / "src")},
        )
        for k in range(2)
    ]
    assert [build.wait() for build in builds] == [0, 0]
    assert len(list(book.folder.glob("_build/cells/*/*"))) == 2  # and no draft
    assert runs(book) == set()


DEATHS = {
    "raises": ("import zeroinit\nzeroinit.nothing", ["AttributeError: module 'zeroinit' has no"]),
    "dies": ("import os\nos.kill(os.getpid(), 9)", ["killed, crashed or ran out of memory"]),
    "hangs": ("import time\ntime.sleep(99)", ["CellTimeoutError", "after 2 seconds"]),
    "hungry": ("data = bytes(1 << 62)", ["MemoryError"]),
}


def test_a_page_that_fails_fails_alone_and_in_every_build(book: "Book") -> None:
    book.write("conf.py", book.text("conf.py") + "\nnb_execution_timeout = 2\n")
    for name, (code, _) in DEATHS.items():
        write_page(book, name, code, "1")
    for k in range(4):
        write_page(book, f"well{k}")
    lenient = "-m sphinx -q -c . -d _build/doctrees book _build/html"  # as ``make serve`` builds
    subprocess.run(
        [sys.executable, *lenient.split()],
        cwd=book.folder,
        env=os.environ | {"PYTHONPATH": str(book.folder / "src")},
        check=True,
        capture_output=True,
    )
    assert set(book.text("runs").split()) == {f"well{k}" for k in range(4)}
    for _ in range(2):
        done = book.html()
        assert done.returncode != 0
        warnings = re.sub(r"\x1b\[[\d;]*m", "", done.stderr)  # without colours
        for name, (code, said) in DEATHS.items():
            of_page = rf"^\S*book/{name}\.md:.*?(?=^/|\Z)"
            told = "".join(re.findall(of_page, warnings, re.DOTALL | re.MULTILINE))
            for words in (*code.splitlines(), *said):
                assert words in told, told
    assert len(book.text("runs").split()) == 4
    for name in DEATHS:
        write_page(book, name)
    assert runs(book) == set(DEATHS)


def test_a_kernel_that_logs_nothing_is_refused(book: "Book") -> None:
    change(book, "src/bookbuild/execution/access_log.py", "def watch(", "def watch_nothing(")
    write_page(book, "one")
    done = book.html()
    assert done.returncode != 0
    assert "one.md: the kernel does not log what it reads" in done.stderr
    assert "or remove bookbuild.execution.cache from the extensions" in done.stderr


@given(st.text("ab \r\n"))
def test_what_a_carriage_return_overwrites_is_what_myst_nb_takes_for_it(text: str) -> None:
    # The pattern of myst_nb.core.utils in MyST-NB 1.4, for short texts.
    assert OVERWRITTEN.sub("", text) == re.sub(r".*\r(?=[^\n])", "", text)


def test_myst_nb_uses_the_pattern_that_is_quick_for_long_lines(book: "Book") -> None:
    write_page(book, "one", r"""print(f"{1} %\r{3} %")""")
    book.write(
        "conf.py",
        book.text("conf.py")
        + "\nimport atexit, myst_nb.core.utils as utils"
        + "\natexit.register(lambda: print('uses', utils._RGX_CARRIAGERETURN.pattern))\n",
    )
    done = book.html()
    assert f"uses {OVERWRITTEN.pattern}" in done.stdout, done.stdout + done.stderr
    page = book.text("_build/html/one.html")
    assert "3 %" in page
    assert "1 %" not in page


@pytest.mark.parametrize(
    ("mode", "flags", "expected"),
    [
        ("r", 0, True),
        ("rb", 0, True),
        ("w+", 0, True),
        ("w", 0, False),
        ("ab", 0, False),
        (None, os.O_RDONLY, True),
        (None, os.O_RDWR, True),
        (None, os.O_WRONLY | os.O_CREAT, False),
    ],
)
def test_only_reading_counts(mode: str | None, flags: int, expected: bool) -> None:
    assert reads(mode, flags) == expected


def test_import_statements_are_found_wherever_they_stand() -> None:
    code = "import a.b, c as d\ndef f():\n    from e.f import g\nfrom . import h\nimport_i = 1\n"
    assert set(imported(code)) == {"a", "c", "e"}
    assert set(imported("not python")) == set()
