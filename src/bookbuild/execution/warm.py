"""A Sphinx extension: kernels start quickly, as forks of one process that has done the imports.

It offers Jupyter the kernel ``warm``, whose kernel.json runs this file in place of
``python -m ipykernel_launcher``, and has MyST-NB use it for pages that name ``python3``. The
setting ``warm_modules`` lists the modules to import; with an empty list, or where there is no
``fork``, as on Windows, kernels are stock. The setting ``warm_reseed`` lists the functions that
each kernel calls to get random numbers of its own. This file runs by its path: no file beside it
may have the name of a standard module.

Three processes take part. The *client* is what Jupyter starts, signals and stops. It sends its
arguments, environment, folder and standard streams to the *server*. The server forks a *kernel* and
watches both: it kills the kernel when the client is gone, tells the client how the kernel ended,
and ends with all its kernels when the process that started it is gone. It only imports modules and
never runs a page's code, so kernels cannot affect each other. It imports on the first request, with
that client's environment variables, as ``OMP_NUM_THREADS``; what the imports print goes to the
terminal, not to a page. Modules that start threads do not survive the fork.
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

ADDRESS = "WARM_KERNELS"  # the environment variable with the address of the server
KERNEL = "warm"  # in kernels/
SLOW = 30  # seconds of imports, after which people are told
KERNEL_MODULES = (  # all that a kernel imports before its first cell, except matplotlib_inline:
    "ipykernel.kernelapp",  # that must find IPython already running
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "psutil",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.extensions.storemagic",
)
RESEED = ("numpy.random.seed", "torch.seed")  # Python itself does so for its module random


class SpawnRequest(TypedDict):
    """What the server must know of a client to fork a kernel for it."""

    python: list[str]
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    path: list[str]


# -- the client -----------------------------------------------------------------------------------


def run(arguments: list[str]) -> NoReturn:
    """Be a kernel: a fork of the server if there is one, or else a stock kernel."""
    if address := os.environ.pop(ADDRESS, ""):
        with contextlib.suppress(ConnectionError), socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(address)
            except FileNotFoundError:
                sys.exit("The build is over, and so are its kernels.")
            relay(server, arguments)
    launch(arguments)  # also if the server was killed


def relay(server: socket.socket, arguments: list[str]) -> None:
    """Have a kernel forked, pass signals on to it and end as it ends. Return if there is none."""
    request: SpawnRequest = {
        "python": [sys.executable, sys.version],
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
    }
    socket.send_fds(server, [b"\n"], [0, 1, 2])
    server.sendall(json.dumps(request).encode() + b"\n")
    replies = server.makefile()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it ends a client that waits, without a traceback
    if not (pid := replies.readline()):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.killpg(int(pid), number))
    status = int(replies.readline() or 1)
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


# -- the server -----------------------------------------------------------------------------------


class Server:
    """The process that forks a kernel for each client, until its standard input ends."""

    def __init__(self, modules: list[str], reseed: list[str]) -> None:
        import selectors
        import tempfile

        self.modules, self.reseed = modules, reseed
        self.folder = tempfile.mkdtemp(prefix="warm-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/socket")
        self.listener.listen(64)
        self.wakeup, self.waker = socket.socketpair()  # a pipe: readable when a kernel has ended
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.added: dict[str, str] | None = None  # to the environment, by the imports
        self.clients: dict[int, socket.socket] = {}  # by the process of their kernel
        self.events = selectors.DefaultSelector()
        for source in (self.listener, self.wakeup, sys.stdin):
            self.events.register(source, selectors.EVENT_READ)

    def run(self) -> list[str] | None:
        """Return the kernel's arguments in every fork, and None in the server at the end."""
        while True:
            ready = {key.fileobj for key, _ in self.events.select()}
            if sys.stdin in ready:
                self.close()
                return None
            if self.wakeup in ready:
                self.on_exit()
            for pid, client in self.clients.items():
                if client in ready:  # a client sends nothing more, so it is gone
                    kill(pid)
            if self.listener in ready and (arguments := self.on_request()) is not None:
                return arguments

    def on_exit(self) -> None:
        """Tell the clients of the kernels that have ended how they ended."""
        self.wakeup.recv(4096)
        for pid in list(self.clients):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                kill(pid)  # the processes that it started and left behind
                client = self.clients.pop(pid)
                self.events.unregister(client)
                reply(client, os.waitstatus_to_exitcode(status))
                client.close()

    def on_request(self) -> list[str] | None:
        """Fork a kernel for a new client; return its arguments in the fork."""
        import selectors

        client, _ = self.listener.accept()
        request, streams = receive(client)
        if request is None or request["python"] != [sys.executable, sys.version]:
            client.close()  # if the client is still there, it starts a stock kernel
            return None
        if self.added is None:
            self.added = import_all(self.modules, request)
        if not (pid := os.fork()):
            self.events.close()
            for end in (self.listener, self.wakeup, self.waker, *self.clients.values()):
                end.close()
            adopt(request, streams, self.added, self.reseed)
            reply(client, os.getpid())
            client.close()
            return request["arguments"]
        os.setpgid(pid, pid)
        self.clients[pid] = client
        self.events.register(client, selectors.EVENT_READ)
        for stream in streams:
            os.close(stream)
        return None

    def close(self) -> None:
        """Kill all kernels, and remove the socket."""
        for pid in self.clients:
            kill(pid)
            os.waitpid(pid, 0)
        os.unlink(f"{self.folder}/socket")
        os.rmdir(self.folder)


def kill(pid: int) -> None:
    """Kill a kernel and all processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def receive(client: socket.socket) -> tuple[SpawnRequest | None, list[int]]:
    """Return a client's request, or None if it is cut short, and the client's standard streams."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile() as sent:
        line = sent.readline()
    return (json.loads(line) if line.endswith("\n") else None), streams


def reply(client: socket.socket, number: int) -> None:
    """Send a client a number, if it still listens."""
    with contextlib.suppress(OSError):
        client.sendall(f"{number}\n".encode())


def import_all(modules: list[str], request: SpawnRequest) -> dict[str, str]:
    """Import the modules as the first kernel would; return what that adds to the environment."""
    import gc
    from importlib import import_module
    from threading import Timer

    patience = Timer(SLOW, print, [f"Imports take more than {SLOW} seconds; pages wait for them."])
    patience.start()
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as ipykernel
    sys.path[:] = request["path"]
    for module in (*KERNEL_MODULES, *modules):
        import_module(module)
    patience.cancel()
    patience.join()  # a fork is to have one thread
    gc.collect()
    gc.freeze()  # the collector then writes to no shared page of memory, which would copy it
    return {k: v for k, v in os.environ.items() if k not in request["environment"]}


def adopt(
    request: SpawnRequest, streams: list[int], added: dict[str, str], reseed: list[str]
) -> None:
    """Give this fork its client's streams, folder, path and environment, and seeds of its own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["folder"])
    sys.path[:] = request["path"]
    os.environ.clear()
    os.environ.update(added | request["environment"])
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # ipykernel ends when its parent does
    for function in reseed:
        module, _, function = function.rpartition(".")
        if module in sys.modules:
            getattr(sys.modules[module], function)()


# -- the Sphinx extension -------------------------------------------------------------------------


def start(modules: Sequence[str], reseed: Sequence[str] = RESEED) -> None:
    """Start a server for the kernels of this process; it ends with this process."""
    import atexit
    import subprocess

    server = subprocess.Popen(
        [sys.executable, __file__, "serve", json.dumps([*modules]), json.dumps([*reseed])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the process that started it
    )
    assert server.stdin
    assert server.stdout
    os.environ[ADDRESS] = server.stdout.readline().strip()
    os.register_at_fork(after_in_child=server.stdin.close)  # forks must not keep it alive
    atexit.register(server.communicate)  # close its standard input, and wait


def offer_kernel() -> None:
    """Have Jupyter find the kernel, in this process and in those that it starts."""
    paths = [os.path.dirname(__file__), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    if paths[0] not in os.pathsep.join(paths[1:]).split(os.pathsep):
        os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)


def use_kernel(app: Sphinx, config: Config) -> None:
    """Run the pages that name ``python3`` in the kernel, unless conf.py names another."""
    config.nb_kernel_rgx_aliases = {"python3": KERNEL, **config.nb_kernel_rgx_aliases}


def start_if_needed(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Start a server if pages are to be read."""
    if not (pages and app.config.warm_modules) or os.environ.get(ADDRESS):
        return
    if hasattr(os, "fork"):
        start(app.config.warm_modules, app.config.warm_reseed)
    else:
        print("This system cannot fork: pages start stock kernels.", file=sys.stderr)


def check(app: Sphinx, config: Config) -> None:
    """Refuse a module that is not there, and the name of no function of a module."""
    from importlib.util import find_spec

    from sphinx.errors import ConfigError

    for module in config.warm_modules:
        if find_spec(module.partition(".")[0]) is None:
            raise ConfigError(f"warm_modules: there is no module {module!r}: install or remove it")
    for function in config.warm_reseed:
        if "." not in function:
            raise ConfigError(
                f"warm_reseed: {function!r} is no function of a module: write 'module.function'"
            )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    import atexit
    import gc

    from nbclient import NotebookClient

    NotebookClient.shutdown_kernel.default_value = "immediate"  # a kernel has nothing to save
    gc.set_threshold(100_000)  # a build makes many objects, and few of them wait for the collector
    atexit.register(gc.freeze)  # the end of the process frees what is left
    offer_kernel()
    app.add_config_value("warm_modules", [], "", types=frozenset({list}))
    app.add_config_value("warm_reseed", list(RESEED), "", types=frozenset({list, tuple}))
    app.connect("config-inited", use_kernel)
    app.connect("config-inited", check)
    app.connect("env-before-read-docs", start_if_needed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    if os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        sys.path[0] = os.getcwd()  # as for ``python -m``
    match sys.argv[1:]:
        case ["serve", modules, reseed]:
            server = Server(json.loads(modules), json.loads(reseed))
            print(f"{server.folder}/socket", flush=True)
            os.dup2(2, 1)  # the starter reads that line only; imports print to the terminal
            if (arguments := server.run()) is not None:
                launch(arguments)
        case arguments:
            run(arguments)
