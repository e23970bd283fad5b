"""One drawing for light and dark pages."""

from bookbuild.site.dark_figures import both, colours


def test_each_colour_of_a_drawing_gets_its_counterpart_on_dark_pages() -> None:
    root = '<svg width="1pt">'
    svg = root + '<path style="fill: none; stroke: #aa0000"/><path style="fill: #00bb00"/></svg>'
    dark = {"aa0000": "ff8888", "00bb00": "88ff88", "0000cc": "8888ff"}
    query = "@media (prefers-color-scheme:dark)"
    rules = (
        '[style*="stroke:#aa0000"]{stroke:#ff8888!important}'
        '[style*="fill:#00bb00"]{fill:#88ff88!important}'
    )
    drawn = svg.removeprefix(root).replace(": #", ":#")
    assert both(svg, dark) == f"{root}<style>{query}{{{rules}}}</style>{drawn}"


def test_colours_of_a_style_come_in_order_and_comments_have_none() -> None:
    style = '# FFFFFF\ncycle: color=["A83200", "B88A00"]  # 000000\ntext.color: 1F2328\nsize: 10'
    assert colours(style) == ["A83200", "B88A00", "1F2328"]
