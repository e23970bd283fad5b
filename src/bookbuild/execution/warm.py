"""Jupyter kernels that start warm: forks of one process that has done the imports already.

``python -m bookbuild.execution.warm ARGUMENTS`` does as ``python -m ipykernel_launcher ARGUMENTS``,
and takes its place in a kernel.json. The kernel is a fork of a warm process if the environment
variable ``WARM_KERNELS`` holds the address of one, and a stock kernel if not. As a Sphinx extension
this file starts a warm process for the time of a build. Its one setting ``warm_modules`` lists what
to import there; an empty list turns it off. Without ``fork``, as on Windows, all kernels are stock.
The process runs this file by its path: no file beside it may have the name of a standard module.

Three processes take part. The *client* is what Jupyter starts, signals and stops. It hands its
arguments, environment, folder and standard streams to the *warm* process. That forks a *kernel* and
watches both ends: it kills the kernel when the client is gone, tells the client how the kernel
ended, and ends with all its kernels when the process that started it is gone. All it does itself is
to import, so no kernel sees anything of another. It imports when the first client asks, in the
environment of that client: what an import prints is not in a page, and what an import reads
(``OMP_NUM_THREADS``, say) is the same for all. Modules that start threads do not survive the fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn, TypedDict

if TYPE_CHECKING:  # a client starts for every page, and imports little
    from collections.abc import Sequence

    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

ADDRESS = "WARM_KERNELS"
KERNEL = (  # what it imports before its first cell, but matplotlib_inline, which must find IPython
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "psutil",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
)


class Wish(TypedDict):
    """What a client tells of itself."""

    python: list[str]
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    path: list[str]


# -- the client -----------------------------------------------------------------------------------


def run(arguments: list[str]) -> NoReturn:
    """Be a kernel, a warm one if there is a warm process."""
    if address := os.environ.pop(ADDRESS, ""):
        with contextlib.suppress(ConnectionError), socket.socket(socket.AF_UNIX) as warm:
            try:
                warm.connect(address)
            except FileNotFoundError:
                sys.exit("The build is over, and so are its kernels.")
            relay(warm, arguments)
    launch(arguments)  # also if the warm process was killed


def relay(warm: socket.socket, arguments: list[str]) -> None:
    """Have a kernel forked, pass signals on to it and end as it ends. Return if there is none."""
    wish: Wish = {
        "python": [sys.executable, sys.version],
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
    }
    socket.send_fds(warm, [b"\n"], [0, 1, 2])
    warm.sendall(json.dumps(wish).encode() + b"\n")
    answers = warm.makefile()
    if not (pid := answers.readline()):
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.killpg(int(pid), number))
    status = int(answers.readline() or 1)
    if status < 0:  # a signal killed the kernel
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def launch(arguments: list[str]) -> NoReturn:
    """Do as ``python -m ipykernel_launcher`` does."""
    import runpy

    sys.argv[1:] = arguments
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
    sys.exit()


# -- the warm process -----------------------------------------------------------------------------


def serve(modules: list[str]) -> list[str] | None:
    """Fork a kernel for each client until standard input ends.

    Returns the kernel's arguments in a fork, and None when all is over.
    """
    import selectors
    import tempfile

    folder = tempfile.mkdtemp(prefix="warm-")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen(64)
    print(f"{folder}/socket", flush=True)
    os.dup2(2, 1)  # the starter reads that line, and what imports print is for people

    bell, ringer = socket.socketpair()  # it rings when a kernel has ended
    ringer.setblocking(False)
    signal.set_wakeup_fd(ringer.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)

    added: dict[str, str] | None = None
    kernels: dict[int, socket.socket] = {}
    events = selectors.DefaultSelector()
    for source in (listener, bell, sys.stdin):
        events.register(source, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in events.select()]
        if sys.stdin in ready:
            break
        if bell in ready:
            bell.recv(4096)
            for pid in list(kernels):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    kill(pid)  # what it started and left behind
                    client = kernels.pop(pid)
                    events.unregister(client)
                    answer(client, os.waitstatus_to_exitcode(status))
                    client.close()
        for pid, client in kernels.items():
            if client in ready:  # it says nothing more, so it is gone
                kill(pid)
        if listener in ready:
            client, _ = listener.accept()
            wish, streams = hear(client)
            if wish is None or wish["python"] != [sys.executable, sys.version]:
                client.close()  # if it is there, it starts a kernel by itself
                continue
            if added is None:
                added = warm_up(modules, wish)
            if not (pid := os.fork()):
                events.close()
                for end in (listener, bell, ringer, *kernels.values()):
                    end.close()
                become(wish, streams, added)
                answer(client, os.getpid())
                client.close()
                return wish["arguments"]
            os.setpgid(pid, pid)
            kernels[pid] = client
            events.register(client, selectors.EVENT_READ)
            for stream in streams:
                os.close(stream)
    for pid in kernels:
        kill(pid)
        os.waitpid(pid, 0)
    os.unlink(f"{folder}/socket")
    os.rmdir(folder)
    return None


def kill(pid: int) -> None:
    """Kill a kernel and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def hear(client: socket.socket) -> tuple[Wish | None, list[int]]:
    """Return what a client says, and its standard streams."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile() as said:
        line = said.readline()
    return (json.loads(line) if line.endswith("\n") else None), streams


def answer(client: socket.socket, number: int) -> None:
    """Tell a client a number, if it still listens."""
    with contextlib.suppress(OSError):
        client.sendall(f"{number}\n".encode())


def warm_up(modules: list[str], wish: Wish) -> dict[str, str]:
    """Import the modules as the first kernel would; return what that adds to the environment."""
    import gc
    from importlib import import_module

    os.environ.clear()
    os.environ.update(wish["environment"])
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as ipykernel
    sys.path[:] = wish["path"]
    for module in (*KERNEL, *modules):
        import_module(module)
    gc.collect()
    gc.freeze()  # what is shared stays untouched, and so stays shared
    return {k: v for k, v in os.environ.items() if k not in wish["environment"]}


def become(wish: Wish, streams: list[int], added: dict[str, str]) -> None:
    """Give this fork all that its client has."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(wish["folder"])
    sys.path[:] = wish["path"]
    os.environ.clear()
    os.environ.update(added | wish["environment"])
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # ipykernel ends when its parent does
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # Python itself does so for its module random
    if torch := sys.modules.get("torch"):
        torch.seed()


# -- the Sphinx extension -------------------------------------------------------------------------


def start(modules: Sequence[str]) -> None:
    """Start a warm process for the kernels of this process; it ends with it."""
    import atexit
    import subprocess

    warm = subprocess.Popen(
        [sys.executable, __file__, "serve", *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the process that started it
    )
    assert warm.stdin
    assert warm.stdout
    os.environ[ADDRESS] = warm.stdout.readline().strip()
    os.register_at_fork(after_in_child=warm.stdin.close)  # forks must not keep it alive
    atexit.register(warm.communicate)  # close its standard input, and wait


def start_if_needed(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Start a warm process if pages are to be read."""
    if not (pages and app.config.warm_modules) or os.environ.get(ADDRESS):
        return
    if hasattr(os, "fork"):
        start(app.config.warm_modules)
    else:
        print("This system cannot fork: pages start stock kernels.", file=sys.stderr)


def check(app: Sphinx, config: Config) -> None:
    """Refuse a module that is not there."""
    from importlib.util import find_spec

    from sphinx.errors import ConfigError

    for module in config.warm_modules:
        if find_spec(module.partition(".")[0]) is None:
            raise ConfigError(f"warm_modules: there is no module {module!r}: install or remove it")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("warm_modules", [], "", types=frozenset({list}))
    app.connect("config-inited", check)
    app.connect("env-before-read-docs", start_if_needed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", *modules]:
            if (arguments := serve(modules)) is not None:
                launch(arguments)
        case arguments:
            run(arguments)
