"""Firefox and WebKit, each with one page open, driven by the protocols of the W3C.

Playwright drives only its own builds of them. Firefox itself speaks WebDriver BiDi, and WebKit
speaks WebDriver.
"""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from PIL import Image
from websockets.sync.client import ClientConnection, connect

PATIENCE = 30  # seconds to wait for a browser
# So WebKit names its language "C", which is no valid tag, and draws faster where there is no GPU.
SETTINGS = {"LC_ALL": "C.UTF-8", "WEBKIT_SKIA_ENABLE_CPU_RENDERING": "1"}
# A script for the head of each page: `wrong` lists what goes wrong on it.
LISTEN = b"""<script>
window.wrong = [];
addEventListener("error", ({message, target}) => wrong.push(message ?? target.outerHTML), true);
addEventListener("unhandledrejection", ({reason}) => wrong.push(String(reason)));
addEventListener("securitypolicyviolation", ({blockedURI}) => wrong.push(blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => wrong.push(words.join(" "));
</script>"""
CLICK = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
FRAME = """
(part) => {
  const element = document.querySelector(part);
  element.scrollIntoView({block: "center", behavior: "instant"});
  const {left, top, width, height} = element.getBoundingClientRect();
  return [left, top, width, height].map(Math.round);
}
"""


@contextmanager
def running(*command: str) -> Iterator[None]:
    """Run a program while the block runs; then end it, and all that it has started."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **SETTINGS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait(ready: Callable[[], object]) -> None:
    """Wait until a call returns something true."""
    end = monotonic() + PATIENCE
    while not ready():
        assert monotonic() < end, "waited in vain"
        sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Engine(ABC):
    """A browser with one page."""

    programs: ClassVar[tuple[str, ...]]

    @classmethod
    def found(cls) -> bool:
        return all(map(shutil.which, cls.programs))

    @abstractmethod
    def open(self, address: str) -> None:
        """Open a page, and wait until it has loaded."""

    @abstractmethod
    def evaluate(self, script: str) -> Any:
        """Return what the promise of a script gives."""

    @abstractmethod
    def act(self, source: dict[str, object]) -> None:
        """Do what a reader does with a keyboard or a mouse."""

    @abstractmethod
    def picture(self) -> str:
        """Return what is seen of the page: a PNG, in base64."""

    def run(self, function: str, *values: object) -> Any:
        """Return what a function of JavaScript returns."""
        return self.evaluate(f"(async () => ({function})(...{json.dumps(values)}))()")

    def until(self, true: str) -> None:
        """Wait until an expression is true."""
        wait(lambda: self.run(f"() => Boolean({true})"))

    def click(self, part: str) -> None:
        left, top, width, height = self.run(FRAME, part)
        at = {"type": "pointerMove", "x": left + width // 2, "y": top + height // 2}
        self.act({"type": "pointer", "id": "mouse", "actions": [at, *CLICK]})

    def press(self, *keys: str) -> None:
        """Press keys together."""
        down = [{"type": "keyDown", "value": key} for key in keys]
        up = [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self.act({"type": "key", "id": "keyboard", "actions": down + up})

    def write(self, text: str) -> None:
        for letter in text:
            self.press(letter)

    def pixels(self, part: str) -> bytes:
        """Return what is seen of a part of the page."""
        left, top, width, height = self.run(FRAME, part)
        with Image.open(io.BytesIO(base64.b64decode(self.picture()))) as image:
            box = left, top, left + width, top + height
            return image.convert("RGB").crop(box).tobytes()

    def wrong(self) -> list[str]:
        """Return what went wrong on the page."""
        found: list[str] = self.run("() => wrong")
        return found


class Firefox(Engine):
    programs = ("firefox-esr",)

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.sent = socket, 0
        self.send("session.new", capabilities={})
        (tab,) = self.send("browsingContext.getTree")["contexts"]
        (window,) = self.send("browsingContext.getTree", **{"moz:scope": "chrome"})["contexts"]
        self.tab, self.window = {"context": tab["context"]}, {"context": window["context"]}
        self.send(
            "browsingContext.setViewport", **self.tab, viewport={"width": 1280, "height": 900}
        )

    @classmethod
    @contextmanager
    def started(cls) -> Iterator["Firefox"]:
        with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            told = Path(profile, "WebDriverBiDiServer.json")
            options = ["--remote-debugging-port=0", "--remote-allow-system-access"]
            with running("firefox-esr", "--headless", "--profile", profile, *options):
                wait(lambda: told.exists() and told.read_text("utf-8"))
                port = json.loads(told.read_text("utf-8"))["ws_port"]
                with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as socket:
                    yield cls(socket)

    def send(self, method: str, **params: object) -> Any:
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": params}))
        answer = json.loads(self.socket.recv(PATIENCE))
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address: str) -> None:
        self.send("browsingContext.navigate", **self.tab, url=address, wait="complete")

    def evaluate(self, script: str) -> Any:
        return self.within(self.tab, script)

    def within(self, target: dict[str, str], script: str) -> Any:
        text = f"({script}).then(JSON.stringify)"
        answer = self.send("script.evaluate", target=target, expression=text, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))

    def act(self, source: dict[str, object]) -> None:
        self.send("input.performActions", **self.tab, actions=[source])

    def picture(self) -> str:
        data: str = self.send("browsingContext.captureScreenshot", **self.tab)["data"]
        return data

    def wrong(self) -> list[str]:
        """Return what went wrong, and what the browser's console says of the site.

        Of a formula whose end has not arrived, it says that it has too few children.
        """
        said = self.within(
            self.window,
            "(async () => { const said = Services.console.getMessageArray().map(String);"
            " Services.console.reset(); return said; })()",
        )
        ours = [text for text in said if "http://127.0.0.1" in text]
        return super().wrong() + [t for t in ours if "Incorrect number of children" not in t]


class WebKit(Engine):
    programs = ("WebKitWebDriver", "xvfb-run")

    def __init__(self, driver: str) -> None:
        self.session = f"{driver}/session"
        self.session += "/" + self.send("", capabilities={})["sessionId"]
        self.send("/window/rect", width=1280, height=1000)

    @classmethod
    @contextmanager
    def started(cls) -> Iterator["WebKit"]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        screen = ["--auto-servernum", "--server-args=-screen 0 1280x1024x24"]
        with running("xvfb-run", *screen, "WebKitWebDriver", f"--port={port}"):
            wait(lambda: listens(port))
            yield cls(f"http://127.0.0.1:{port}")

    def send(self, command: str, **params: object) -> Any:
        data = json.dumps(params).encode() if params else None
        with urlopen(Request(self.session + command, data), timeout=PATIENCE) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self.send("/url", url=address)

    def evaluate(self, script: str) -> Any:
        text = (
            f"({script}).then(value => [value, ''], error => ['', `${{error}}`]).then(arguments[0])"
        )
        value, error = self.send("/execute/async", script=text, args=[])
        assert not error, error
        return value

    def act(self, source: dict[str, object]) -> None:
        self.send("/actions", actions=[source])

    def picture(self) -> str:
        data: str = self.send("/screenshot")
        return data
