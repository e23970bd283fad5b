"""A style sheet is cut to the rules that pages use, and its font to the icons that they show."""

import re
from io import BytesIO
from pathlib import Path

import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont

from bookbuild.site.assets import ICONS
from bookbuild.site.purge_css import cut
from bookbuild.tools.fonts import cut_font

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
FONT = THEME / ICONS.removeprefix("_static/")
FACE = f"@font-face {{font-family: Icons; src: url(x/{FONT.name})}}"


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        (".a{color:red}.b{color:red}", ".a{color:red;}"),
        (".a,.b{color:red}", ".a{color:red;}"),
        (".a .b,.a>p{color:red}", ".a>p{color:red;}"),
        ("#a.b,#a{color:red}", "#a{color:red;}"),
        ("p:not(.b)::before{color:red}", "p:not(.b)::before{color:red;}"),
        ("nav{color:red}p{color:red}", "p{color:red;}"),
        (
            "@media print{.a{color:red}.b{top:0}}@media print{.b{top:0}}",
            "@media print{.a{color:red;}}",
        ),
        ("p{--x:var(--y);--y:1;--z:2;top:var(--x)}", "p{--x:var(--y);--y:1;top:var(--x);}"),
        ("p{animation:a 1s}@keyframes b{to{top:0}}", "p{animation:a 1s;}"),
        ("p{animation:a 1s}@keyframes a{to{top:0}}", "p{animation:a 1s;}@keyframes a{to{top:0}}"),
        ("@font-face{font-family:B;src:url(b.woff2)}", ""),
    ],
)
def test_a_style_sheet_keeps_what_is_used(style: str, kept: str) -> None:
    assert re.sub("^@font-face[^}]*}", "", cut(FACE + style, {"a", "p"}, FONT)) == kept


def test_icons_come_from_a_font_cut_to_those_used() -> None:
    style = cut(
        FACE + '.a{--fa:"\\f002"}.b{--fa:"\\f0c9"}.a::before{content:var(--fa)}', {"a"}, FONT
    )
    assert "url(data:font/woff2;base64," in style
    assert FONT.name not in style
    font = TTFont(BytesIO(cut_font(FONT, [0xF002])))
    assert list(font.getBestCmap()) == [0xF002]
