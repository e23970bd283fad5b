"""The built book at a port of this machine, sent as a site sends it."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
PAGES = sorted(
    file.relative_to(SITE).as_posix()
    for file in SITE.rglob("*.html")
    if not {"_static", "zh"} & set(file.parts)  # test_chinese.py looks at Chinese pages
)
ALIKE = [name for name in PAGES if name.startswith("_modules/zeroinit/")][1:]
WRITTEN = sorted(f"{page.stem}.html" for page in ROOT.glob("book/*.md"))  # by hand
UNREACHABLE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # for a browser
TEXT = {".html", ".css", ".js", ".json", ".svg", ".txt", ".xml", ".ipynb"}


@cache
def packed(file: Path, script: bytes) -> tuple[bytes, bool]:
    """Return a file as it is sent, and whether that is gzipped: text is, pictures and fonts are.

    A page begins with the script.
    """
    content = file.read_bytes()
    if file.suffix == ".html":
        content = content.replace(b"<head>", b"<head>" + script, 1)
    if file.suffix in TEXT:
        return gzip.compress(content, 6, mtime=0), True
    return content, False


class Handler(SimpleHTTPRequestHandler):
    """Sends files as a site does: text gzipped, and everything to be kept for ten minutes."""

    server: "Site"

    def do_GET(self) -> None:
        below = self.path.startswith(self.server.prefix)
        file = Path(self.translate_path(self.path.removeprefix(self.server.prefix)))
        found = below and file.is_file()
        if not found:
            file = SITE / "404.html"
        content, zipped = packed(file, self.server.script) if file.is_file() else (b"", False)
        self.server.sent[self.path.partition("?")[0]] = len(content)
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", self.guess_type(file))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=600")
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Site(ThreadingHTTPServer):
    """The book at a port of this machine; ``sent`` says how many bytes each path took."""

    def __init__(self, script: bytes, prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(SITE)))
        self.script, self.prefix = script, prefix
        self.sent: dict[str, int] = {}
        self.address = f"http://127.0.0.1:{self.server_port}{prefix}"


@contextmanager
def serving(script: bytes = b"", prefix: str = "/") -> Iterator[Site]:
    """Serve the book below a path while the block runs; each page begins with the script."""
    with Site(script, prefix) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
