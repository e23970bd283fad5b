"""A Sphinx extension: the site's drawings say the same in fewer bytes.

SVGO writes a drawing's paths with the digits that an eye can tell apart, and leaves out what draws
nothing. It is in ``node_modules``, which ``npm ci`` makes; without it drawings stay as they are.
"""

import json
from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bookbuild import node

# What makes these drawings shorter. The rest of SVGO's defaults takes time and finds nothing, or it
# touches styles, which may depend on the reader's theme, and paths that overlap, which stay two.
SHORTEN = """
const {optimize} = require(process.argv[1]);
const ids = {name: "cleanupIds", params: {force: true, preservePrefixes: ["frame-", "drawn-"]}};
const plugins = ["removeDoctype", "removeXMLProcInst", "removeComments", "removeMetadata", ids,
                 "cleanupNumericValues", "cleanupEnableBackground", "collapseGroups",
                 "convertPathData", "convertTransform"];
const shorten = (drawing) => optimize(drawing, {floatPrecision: 1, plugins}).data;
process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).map(shorten)));
"""


def shorten(app: Sphinx, exception: Exception | None) -> None:
    """Shorten the drawings of the pages that were written, each once: what it gives is kept."""
    package = Path(app.confdir, "node_modules/svgo")
    if exception or app.builder.name != "html" or not package.exists():
        return
    made_by = SHORTEN + json.loads((package / "package.json").read_text("utf-8"))["version"]
    kept = Path(app.doctreedir, "drawings")
    kept.mkdir(exist_ok=True)

    def place(drawing: str) -> Path:
        return kept / sha256((made_by + drawing).encode()).hexdigest()

    folder = Path(app.outdir, app.builder.imagedir)
    files = sorted(folder / name for name in app.builder.images.values() if name.endswith(".svg"))
    drawings = {file: file.read_text("utf-8") for file in files}
    new = [drawing for drawing in drawings.values() if not place(drawing).exists()]
    if new:
        shorter = node.run(SHORTEN, package / "dist/svgo-node.cjs", new)
        for drawing, short in zip(new, shorter, strict=True):
            draft = place(drawing).with_suffix(".draft")
            draft.write_text(short, "utf-8")
            draft.replace(place(drawing))
    for file, drawing in drawings.items():
        file.write_text(place(drawing).read_text("utf-8"), "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("build-finished", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
