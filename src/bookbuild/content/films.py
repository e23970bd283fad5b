"""A Sphinx extension: a figure of many frames gets a player, on the pages that have one.

A frame of an SVG image is an empty group ``<g id="frame-7">`` whose title says in words what it
shows; the image's address with ``#frame-7`` at its end shows it. The player is hidden until its
script, ``film.js``, runs: a page without scripts shows the still.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools import page_script
from bookbuild.tools.edition import is_site
from bookbuild.tools.words import phrase

SCRIPT = Path(__file__).with_name("film.js")
PLAYER = """
<div class="film" role="group" aria-label="{player}" hidden>
<button type="button">{play}</button>
<button type="button">{step}</button>
<input type="range" min="0" max="{last}" value="0" aria-label="{frame}">
<output>{first}</output>
<ol hidden>{items}</ol>
</div>
"""


def add_players(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Insert a player below every image that has frames."""
    if not is_site(app):
        return
    for image in list(doctree.findall(nodes.image)):
        file = Path(app.srcdir, image["uri"])
        if file.suffix == ".svg" and file.is_file():
            words = re.findall(r'<g id="frame-\d+"><title>(.*?)</title>', file.read_text("utf-8"))
            if words:
                items = "".join(f"<li>{word}</li>" for word in words)
                player = PLAYER.format(
                    player=phrase("Player"),
                    play=phrase("Play"),
                    step=phrase("Step"),
                    frame=phrase("Frame"),
                    last=len(words) - 1,
                    first=words[0],
                    items=items,
                )
                image.parent.insert(
                    image.parent.index(image) + 1, nodes.raw("", player, format="html")
                )


def add_script(app: Sphinx) -> None:
    """Have Sphinx copy the script to the site's static files."""
    app.config.html_static_path.append(str(SCRIPT))


load_script = page_script.where('class="film"', SCRIPT.name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", add_script)
    app.connect("doctree-resolved", add_players)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
