"""A Sphinx extension: one SVG file of a figure serves light and dark pages.

Its setting ``figure_styles`` names two matplotlib style sheets, the one that figures are drawn in
and its counterpart for dark pages, with as many colours in the same order. A built figure holds a
rule for each colour, which replaces it on dark pages. The rule follows the theme of the page that
shows the figure, not that of the browser.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def colours(style: str) -> list[str]:
    """Return the colours of a style sheet, six hexadecimal digits each, in order."""
    settings = "\n".join(line.partition("#")[0] for line in style.splitlines())
    return re.findall(r"\b[0-9A-F]{6}\b", settings)


def both(svg: str, dark: Mapping[str, str]) -> str:
    """Return a drawing with rules that replace its colours on dark pages."""
    svg = re.sub(r"\b(fill|stroke): #", r"\1:#", svg)
    rules = "".join(
        f'[style*="{what}:#{here}"]{{{what}:#{there}!important}}'
        for here, there in dark.items()
        for what in ("fill", "stroke")
        if f"{what}:#{here}" in svg
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    return re.sub(r"<svg[^>]*>", lambda root: root[0] + style, svg, count=1)


def finish(app: Sphinx) -> None:
    """Finish the figures of the pages that were written."""
    folder = Path(app.outdir, app.builder.imagedir)
    figures = [folder / name for name in app.builder.images.values() if name.endswith(".svg")]
    if not figures:
        return
    light, dark = (
        colours(Path(app.confdir, name).read_text("utf-8")) for name in app.config.figure_styles
    )
    pairs = {a.lower(): b.lower() for a, b in zip(light, dark, strict=True)}
    for file in figures:
        file.write_text(both(file.read_text("utf-8"), pairs), "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("figure_styles", (), "html", [tuple])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
