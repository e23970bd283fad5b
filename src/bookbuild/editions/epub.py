"""A Sphinx extension: the EPUB is valid and complete, and needs nothing that only browsers have.

Folds are open, because few reading devices unfold them. The HTML of other extensions becomes valid
XHTML. Pages link ``epub_css_files`` alone. A cover is drawn, with the title if a font has its
letters.
"""

import re
import shutil
from collections.abc import Set
from pathlib import Path
from textwrap import fill
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders.epub3 import Epub3Builder
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.words import phrase

COVER = "_static/cover.png"
FOR_BROWSERS = ".sd-summary-state-marker, .sd-tab-set > input, summary .expanded, script, button"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Builder(Epub3Builder):
    """Sphinx's builder, with a cover, and with the properties of each page in the package file."""

    def prepare_writing(self, docnames: Set[str]) -> None:
        """Leave out the indices, which link to pages that only the site has; name the contents."""
        super().prepare_writing(docnames)
        self.guide_titles = self.guide_titles | {"toc": phrase("Contents")}
        self.domain_indices = []

    def copy_image_files(self) -> None:
        """Copy the figures without the ids that matplotlib gives twice, which XML forbids."""
        super().copy_image_files()
        for figure in Path(self.outdir, self.imagedir).glob("*.svg"):
            text = figure.read_text("utf-8")
            figure.write_text(re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text), "utf-8")

    def copy_static_files(self) -> None:
        """Copy files, and draw the cover beside them."""
        from matplotlib.figure import Figure  # imported here: few builds draw a cover
        from matplotlib.patches import Ellipse

        super().copy_static_files()
        cover = Figure((6, 9), facecolor="#0072b2")
        cover.add_artist(Ellipse((0.5, 0.36), 0.3, 0.28, fill=False, color="white", linewidth=30))
        title, author = fill(self.config.epub_title, 14), self.config.epub_author
        if fonts := fonts_with(title + author):
            style = {"color": "white", "family": fonts, "ha": "center", "va": "center"}
            cover.text(0.5, 0.82, title, style, size=38)
            cover.text(0.5, 0.07, author, style, size=16)
        cover.savefig(Path(self.outdir, COVER), dpi=200, metadata={"Software": None})

    def build_content(self) -> None:
        """Pack the files that pages link; declare the cover, and the pages with formulas."""
        for file in Path(self.outdir, "_static").iterdir():
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name not in {Path(COVER).name, *styles(self.config)}:
                file.unlink()
        super().build_content()
        package = Path(self.outdir, "content.opf")

        def declare(item: re.Match[str]) -> str:
            if item[1] == COVER:
                return f'{item[0]} properties="cover-image"'
            if item[1].endswith(".xhtml") and b"<math" in Path(self.outdir, item[1]).read_bytes():
                return f'{item[0]} properties="mathml"'
            return item[0]

        text = package.read_text("utf-8")
        text = re.sub(r'href="([^"]+)" media-type="[^"]+"(?! properties)', declare, text)
        package.write_text(text, "utf-8")


def fonts_with(words: str) -> list[str]:
    """Return matplotlib's font and one with the letters that it lacks; empty if there is none."""
    from matplotlib import font_manager

    def letters(file: str) -> set[str]:
        return set(map(chr, font_manager.get_font(file).get_charmap()))

    usual = font_manager.FontProperties()
    lacked = set(words) - letters(font_manager.findfont(usual)) - {"\n"}
    files = font_manager.fontManager.ttflist
    system = (font for font in files if "Last Resort" not in font.name)  # it has boxes for letters
    other = next((font.name for font in system if lacked <= letters(font.fname)), None)
    return [usual.get_name(), other] if other else []


def styles(config: Config) -> set[str]:
    """Return the names of the style sheets that pages link."""
    return {"pygments.css", *(name for name, _ in config.epub_css_files)}


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Make a page's body valid XHTML that shows everything."""
    linked = {f"_static/{name}" for name in styles(app.config)}
    context["css_files"] = [file for file in context["css_files"] if str(file.filename) in linked]
    if "body" not in context:
        return
    body = BeautifulSoup(NOT_XML.sub("", context["body"]), "html.parser")
    for tag in body.select(FOR_BROWSERS):
        tag.decompose()
    for tag in body.select("details, summary, label"):
        tag["class"] = tag.name
        tag.name = "p" if tag.name == "label" else "div"
    for tag in body.select("p:has(> ul), summary p"):
        tag.unwrap()
    for tag in body.select("[for]"):
        del tag["for"]
    context["body"] = str(body)


def name_cover(app: Sphinx, config: Config) -> None:
    """Say which picture is the cover."""
    config.epub_cover = (COVER, "epub-cover.html")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_builder(Builder, override=True)
    app.connect("config-inited", name_cover)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
