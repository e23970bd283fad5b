"""Make the site's SVG files smaller with SVGO.

SVGO rounds coordinates to one decimal, and removes elements that draw nothing. It is in
``node_modules``, which ``npm ci`` makes. Without it the files stay as they are.
"""

import json
from pathlib import Path

from sphinx.application import Sphinx

from bookbuild.tools import node
from bookbuild.tools.edition import place
from bookbuild.tools.store import Store

# The plugins that make these files smaller. SVGO's other defaults find nothing, or change styles,
# which may depend on the reader's theme, or join paths that overlap.
SHORTEN = """
const {optimize} = require(process.argv[1]);
const ids = {name: "cleanupIds", params: {force: true, preservePrefixes: ["frame-", "drawn-"]}};
const plugins = ["removeDoctype", "removeXMLProcInst", "removeComments", "removeMetadata", ids,
                 "cleanupNumericValues", "cleanupEnableBackground", "collapseGroups",
                 "convertPathData", "convertTransform"];
const shorten = (drawing) => optimize(drawing, {floatPrecision: 1, plugins}).data;
process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).map(shorten)));
"""


def shorten(app: Sphinx) -> None:
    """Shorten the drawings of the pages that were written; each result is kept for later builds."""
    package = Path(app.confdir, "node_modules/svgo")
    if not package.exists():
        return
    made_by = SHORTEN + json.loads((package / "package.json").read_text("utf-8"))["version"]
    store = Store(place(app, "drawings"), most=1000)
    folder = Path(app.outdir, app.builder.imagedir)
    files = sorted(folder / name for name in app.builder.images.values() if name.endswith(".svg"))
    drawings = {file: file.read_text("utf-8") for file in files}
    shorter: dict[str, bytes] = {}
    for drawing in drawings.values():
        if (kept := store.get([made_by, drawing])) is not None:
            shorter[drawing] = kept
    if new := [drawing for drawing in drawings.values() if drawing not in shorter]:
        made = node.run(SHORTEN, package / "dist/svgo-node.cjs", new)
        for drawing, short in zip(new, made, strict=True):
            shorter[drawing] = short.encode()
            store.put([made_by, drawing], shorter[drawing])
    for file, drawing in drawings.items():
        file.write_bytes(shorter[drawing])
