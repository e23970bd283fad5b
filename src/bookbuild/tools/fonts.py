"""Cut a font down to the characters that are shown."""

import io
import logging
from pathlib import Path


def cut_font(font: Path, points: list[int]) -> bytes:
    """Return a font with no other glyphs than those of some code points."""
    from fontTools import subset  # slow to import, and few builds cut a font
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs each step
    cut = TTFont(font, recalcTimestamp=False)
    work = subset.Subsetter(subset.Options(hinting=False, layout_features=[], notdef_outline=False))
    work.populate(unicodes=points)
    work.subset(cut)
    cut.flavor = "woff2"
    written = io.BytesIO()
    cut.save(written)
    return written.getvalue()
