"""A warm kernel gives what a stock kernel gives, shares nothing, and ends with what started it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from sphinx.config import Config
from sphinx.errors import ConfigError

from bookbuild.execution import warm

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

SRC = Path(__file__).parents[2] / "src"

# A cell for every kind of output, of error, and of trace that the start of a kernel could leave.
KINDS = """\
print("out"); import sys; print("err", file=sys.stderr); print("out again")

6 * 7

from IPython.display import HTML, JSON, Latex, Markdown, clear_output, display, update_display
display(HTML("<b>bold</b>"), Markdown("*it*"), Latex("$x$"), JSON({"a": 1}))

display("before", display_id="one"); update_display("after", display_id="one")

print("gone"); clear_output(); print("kept")

class Rich:
    def __repr__(self): return "plain"
    def _repr_html_(self): return "<i>rich</i>"
Rich()

import matplotlib.pyplot as plt; plt.rcParams["svg.hashsalt"] = "same"
plt.plot([1, 2, 4]); plt.title("$a^2$")

fig, axes = plt.subplots(1, 2); axes[0].imshow([[0, 1], [1, 0]]);

import matplotlib; print(matplotlib.get_backend(), matplotlib.is_interactive())

%config InlineBackend.figure_formats = ["png"]
plt.plot([1, 2, 4]);

import warnings; warnings.warn("a warning")

import logging; logging.warning("logged")

import torch; print(torch.get_num_threads(), torch.manual_seed(1).initial_seed(), torch.rand(3))

!echo from the shell

import os, time; os.system("echo from the system"); time.sleep(0.5)

%%capture captured
print("not shown")

captured.stdout

import asyncio; await asyncio.sleep(0); print("awaited")

import threading; t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()

subprocess = __import__("subprocess")
subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True)

import multiprocessing as mp
with mp.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, -2]))

print(__name__, sys.argv[0], os.getcwd(), sys.path, sys.flags, sys.orig_argv[0])

print(type(get_ipython()), In[2], Out[2], sys.stdout.isatty(), threading.active_count())

import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(signal.getsignal(signal.SIGCHLD), signal.set_wakeup_fd(-1), os.getpgid(0) == os.getpid())

%who_ls

input()

1 / 0

def f(x): return g(x)
def g(x): raise ValueError(f"no {x}")
f(3)

import no_such_module

raise SystemExit(3)

a syntax error

undefined

torch.zeros(2) @ torch.zeros(3)"""


def run(kernel: str, *cells: str, **options: Any) -> list[list[dict[str, Any]]]:
    """Run cells in a kernel of that name, and return the outputs of each."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name=kernel, **options).execute()
    return [cell.outputs for cell in notebook.cells]


def said(kernel: str, *cells: str) -> str:
    """Return what the last of some cells prints."""
    return "".join(output["text"] for output in run(kernel, *cells)[-1])


def plain(outputs: list[dict[str, Any]]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return outputs with each stream in one piece, and no number of a process."""
    streams: dict[str, str] = {}
    for output in outputs:
        if output["output_type"] == "stream":
            text = re.sub(r"ipykernel_\d+", "ipykernel", output["text"])
            streams[output["name"]] = streams.get(output["name"], "") + text
    return streams, [output for output in outputs if output["output_type"] != "stream"]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two kernels, ``book`` as the book has it and ``stock`` without us, and a server."""
    folder = tmp_path_factory.mktemp("jupyter")
    kernel = SRC / "bookbuild/execution/kernels" / warm.KERNEL / "kernel.json"
    spec = json.loads(kernel.read_text("utf-8"))
    python, ours, *arguments = spec["argv"]
    assert ours == "{resource_dir}/../../warm.py"
    for name, program in (("book", [warm.__file__]), ("stock", ["-m", "ipykernel_launcher"])):
        file = folder / "kernels" / name / "kernel.json"
        file.parent.mkdir(parents=True)
        spec["argv"] = [python, *program, *arguments]
        file.write_text(json.dumps(spec), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("PYTHONPATH", str(SRC))
        patch.setattr(NotebookClient.shutdown_kernel, "default_value", "immediate")
        patch.delenv(warm.ADDRESS, raising=False)
        warm.start(["torch", "matplotlib.pyplot"])
        yield


def test_outputs_and_errors_are_those_of_a_stock_kernel(kernels: None, tmp_path: Path) -> None:
    cells = KINDS.split("\n\n")
    ours, stock = (
        run(name, *cells, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}})
        for name in ("book", "stock")
    )
    for cell, our, their in zip(cells, ours, stock, strict=True):
        assert plain(our) == plain(their), cell
    assert sum(o["output_type"] == "error" for out in ours for o in out) == 8


def test_it_is_warm_and_alone(
    kernels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = "import sys; print('torch' in sys.modules, len(dir()))"
    assert said("stock", count).startswith("False")
    first = said("book", count)
    assert first.startswith("True")
    environment = "import os; print(sorted(set(os.environ) - {'WARM_KERNELS'}))"
    assert said("book", environment) == said("stock", environment)
    spoil = """
import os, sys, random, numpy, torch, matplotlib.pyplot as plt
os.environ["SPOILT"] = torch.spoilt = sys.spoilt = "yes"
plt.rcParams["lines.linewidth"] = 77; os.chdir("/")
print(random.random(), numpy.random.rand(), torch.rand(1).item())
torch.manual_seed(3);"""
    look = """
import os, sys, torch, matplotlib.pyplot as plt
print("SPOILT" in os.environ, hasattr(torch, "spoilt"), hasattr(sys, "spoilt"),
      plt.rcParams["lines.linewidth"] == 77, torch.initial_seed() == 3, os.getcwd() == "/")"""
    drawn = [said("book", spoil).split() for _ in range(2)]
    assert all(a != b for a, b in zip(*drawn, strict=True))
    assert said("book", look) == "False False False False False False\n"
    assert said("book", count) == first
    (tmp_path / "only_here.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SRC), str(tmp_path)]))
    assert said("book", "import only_here; print(only_here.__name__)") == "only_here\n"


@pytest.mark.parametrize("kernel", ["book", "stock"])
def test_a_page_that_dies_or_hangs_fails_alone(
    kernels: None, kernel: str, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    file = tmp_path / "pid"
    with pytest.raises(DeadKernelError):
        run(kernel, "import os; os.kill(os.getpid(), 9)")
    hang = f"import os, time; print(os.getpid(), file=open({str(file)!r}, 'w')); time.sleep(60)"
    with pytest.raises(CellTimeoutError, match="after 1 seconds"):
        run(kernel, hang, timeout=1)
    wait_until(lambda: not psutil.pid_exists(int(file.read_text())))
    with pytest.raises(Exception, match="MemoryError"):
        run(kernel, "x = bytes(1 << 62)")
    interrupted = run(
        kernel,
        "import time; time.sleep(60)",
        timeout=1,
        interrupt_on_timeout=True,
        allow_errors=True,
    )
    assert interrupted[0][-1]["ename"] == "KeyboardInterrupt"
    assert said(kernel, "print('well')") == "well\n"


def test_what_a_dead_page_started_ends_with_it(
    kernels: None, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    file = tmp_path / "pid"
    die = f"""
import os, subprocess
print(subprocess.Popen(["sleep", "1000"]).pid, file=open({str(file)!r}, "w"), flush=True)
os.kill(os.getpid(), 9)"""
    with pytest.raises(DeadKernelError):
        run("book", die)
    wait_until(lambda: not psutil.pid_exists(int(file.read_text())))


STARTER = """
import sys, nbclient
from nbformat.v4 import new_code_cell, new_notebook
from bookbuild.execution import warm
warm.start(["json"])
cell = "import subprocess; subprocess.Popen(['sleep', '1000']); import time; time.sleep(1000)"
nbclient.execute(new_notebook(cells=[new_code_cell(cell)]), kernel_name="book")
"""


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_outlives_what_started_it(
    kernels: None, tmp_path: Path, how: str, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != warm.ADDRESS} | {
        "TMPDIR": str(tmp_path)
    }
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], env=environment, stderr=subprocess.DEVNULL
    )
    family = psutil.Process(starter.pid)
    wait_until(lambda: any(p.name() == "sleep" for p in family.children(recursive=True)))
    members = family.children(recursive=True)
    assert len(members) == 4  # the warm process, a client, its kernel, and what that started
    assert list(tmp_path.glob("warm-*/socket"))
    starter.send_signal(signal.Signals[how])
    starter.wait()
    wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in members))
    wait_until(lambda: not list(tmp_path.glob("warm-*")))


IS_WARM = "import psutil; print('serve' in psutil.Process().parent().cmdline())"


def test_without_a_warm_process_a_kernel_is_stock(
    kernels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert said("book", IS_WARM) == "True\n"
    killed = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(killed))
    for address in ("", str(killed)):
        monkeypatch.setenv(warm.ADDRESS, address)
        assert said("book", IS_WARM) == "False\n"


def test_a_kernel_of_another_python_is_stock(
    kernels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SRC), *filter(None, sys.path)]))
    file = Path(os.environ["JUPYTER_PATH"], "kernels/other/kernel.json")
    file.parent.mkdir()
    stock = file.parents[1] / "book/kernel.json"
    file.write_text(stock.read_text("utf-8").replace('"python"', f'"{other}"'), "utf-8")
    assert said("other", IS_WARM) == "False\n"


def test_after_the_build_no_kernel_starts(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(SRC), warm.ADDRESS: str(tmp_path / "gone")}
    client = [sys.executable, "-m", "bookbuild.execution.warm", "-f", "connection"]
    done = subprocess.run(client, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "The build is over, and so are its kernels.\n")


PAGE = f"""\
---
file_format: mystnb
kernelspec:
  name: python3
---

# Page

```{{code-cell}}
{IS_WARM}
```
"""


@pytest.mark.parametrize(
    ("changed", "shown", "warned"),
    [
        ({}, "True", ""),
        ({"conf.py": "warm_modules = []"}, "False", ""),
        ({"src/sitecustomize.py": "import os\ndel os.fork"}, "False", "cannot fork"),
    ],
    ids=["on", "off", "no-fork"],
)
def test_a_build_is_warm_if_it_may_and_can(
    book: "Book", changed: dict[str, str], shown: str, warned: str
) -> None:
    book.write("book/page.md", PAGE)
    book.write("book/other.md", PAGE.replace("# Page", "# Other"))
    for name, text in changed.items():
        book.write(name, f"{book.text(name)}\n{text}\n")
    done = book.html("JOBS=1")  # without fork Sphinx has no other
    assert done.returncode == 0, done.stderr
    for name in ("page", "other"):
        assert f">{shown}\n<" in book.text(f"_build/html/{name}.html")
    assert done.stderr.count(warned) == 1 if warned else not done.stderr


def test_a_module_that_is_not_there_is_refused(book: "Book") -> None:
    book.write("conf.py", book.text("conf.py") + "\nwarm_modules = ['torch', 'no_such.module']\n")
    done = book.html()
    assert done.returncode != 0
    assert "there is no module 'no_such.module': install or remove it" in done.stderr


@pytest.mark.parametrize(
    ("modules", "reseed", "said"),
    [
        (["json", "no_such.module"], [], "there is no module 'no_such.module': install or remove"),
        ([], ["numpy.random.seed", "seed"], "'seed' is no function of a module: write 'module.fun"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(
    modules: list[str], reseed: list[str], said: str
) -> None:
    config = Config({"warm_modules": modules, "warm_reseed": reseed})
    config.add("warm_modules", [], "", ())
    config.add("warm_reseed", [], "", ())
    with pytest.raises(ConfigError, match=said):
        warm.check(Mock(), config)


def test_the_kernel_is_offered_once_and_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(Path(warm.__file__).parent)
    for before, after in (("", own), ("/other", f"{own}:/other"), (f"/a:{own}", f"/a:{own}")):
        monkeypatch.setenv("JUPYTER_PATH", before.replace(":", os.pathsep))
        warm.offer_kernel()
        assert os.environ["JUPYTER_PATH"] == after.replace(":", os.pathsep)
