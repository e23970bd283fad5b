"""Put a version into the address of each script and style sheet: no cache then mixes two sites.

A page asks for ``book.js?v=1f3a90c2``; the number is a digest of all files below ``_static``. The
modules of the lab ask for one another in the same way, and for what they fetch.
"""

import re
from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx

from bookbuild.tools import edition

LINK = re.compile(r'((?:src|href)="[^"?]*_static/[^"?]+\.(?:js|css))(?:\?v=\w+)?"')
IMPORT = re.compile(r'(?<=from )("\./[\w-]+\.js)(?:\?v=\w+)?"')
MODULES = "lab/*.js"


def stamp(app: Sphinx) -> None:
    """Write the version into pages and modules."""
    static = Path(app.outdir, "_static")
    modules = sorted(static.glob(MODULES))
    for module in modules:  # an earlier build may have written into them
        rewrite(module, IMPORT, r'\1"')
    files = sorted(file for file in static.rglob("*") if file.is_file())
    parts = [
        file.relative_to(static).as_posix().encode() + b"\0" + file.read_bytes() for file in files
    ]
    version = sha256(b"\0".join(parts)).hexdigest()[:8]
    for module in modules:
        rewrite(module, IMPORT, rf'\1?v={version}"')
    for page in edition.pages(app):
        rewrite(page, LINK, rf'\1?v={version}"')


def rewrite(file: Path, pattern: re.Pattern[str], new: str) -> None:
    """Replace what a pattern finds in a file, which is written only if that changes it."""
    text = file.read_text("utf-8")
    if (changed := pattern.sub(new, text)) != text:
        file.write_text(changed, "utf-8")
