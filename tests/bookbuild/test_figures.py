"""One drawing for light and dark pages, with no more digits than an eye can see."""

import re

import pytest

from bookbuild.figures import both, colours, slim, steps


def corners(path: str) -> list[list[tuple[float, float]]]:
    """Return the corners of every line of a path, whichever way it is written."""
    lines: list[list[tuple[float, float]]] = []
    for command, x, y in re.findall(r"([MLl])\s*(\S+?) ([\d.-]+)", path):
        at = lines[-1][-1] if command == "l" else (0.0, 0.0)
        if command == "M":
            lines.append([])
        lines[-1].append((at[0] + float(x), at[1] + float(y)))
    return lines


def test_a_path_of_steps_leads_where_the_path_led() -> None:
    path = "".join(f"{'ML'[k > 0]} {k / 7:.6f} {100 - k**2 / 3:.6f} \n" for k in range(200)) + "z\n"
    path += "M 3.123456 4 \nL 5 -6.5 \n"
    short = steps(path)
    for before, after in zip(corners(path), corners(short), strict=True):
        assert len(before) == len(after)
        for there, here in zip(before, after, strict=True):
            assert here == pytest.approx(there, abs=0.0051)
    assert short.count("z") == 1
    assert len(short) < len(path) / 2


def test_letters_and_curves_stay_as_they_are() -> None:
    glyph = '<path d="M 2034 4250 \nQ 1547 4250 1301 3770 \nz\n" transform="scale(0.015625)"/>'
    assert slim(glyph) == glyph


def test_places_lose_digits_and_metadata_goes() -> None:
    use = '<use x="{}" y="7" style="stroke-width: 0.123456"/>'
    svg = "<metadata>\n <rdf/>\n</metadata>\n" + use.format("123.456789")
    assert slim(svg) == use.format("123.46")


def test_each_colour_of_a_drawing_gets_its_counterpart_on_dark_pages() -> None:
    root = '<svg width="1pt">'
    svg = root + '<path style="fill: none; stroke: #aa0000"/><path style="fill: #00bb00"/></svg>'
    dark = {"aa0000": "ff8888", "00bb00": "88ff88", "0000cc": "8888ff"}
    query = "@media (prefers-color-scheme:dark)"
    rules = (
        '[style*="stroke: #aa0000"]{stroke:#ff8888!important}'
        '[style*="fill: #00bb00"]{fill:#88ff88!important}'
    )
    assert both(svg, dark) == f"{root}<style>{query}{{{rules}}}</style>{svg.removeprefix(root)}"


def test_colours_of_a_style_come_in_order_and_comments_have_none() -> None:
    style = '# FFFFFF\ncycle: color=["A83200", "B88A00"]  # 000000\ntext.color: 1F2328\nsize: 10'
    assert colours(style) == ["A83200", "B88A00", "1F2328"]
