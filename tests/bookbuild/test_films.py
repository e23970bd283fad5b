"""A figure of many frames has a player, and only a page that has one loads its script."""

import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
CONF = f"""\
extensions = ["myst_parser", "bookbuild.site.dark_figures", "bookbuild.content.films"]
html_static_path = [{str(ROOT / "book/_static")!r}]
figure_styles = ("light", "dark")
"""
PAGE = "# Page\n\n```{{figure}} {name}.svg\n:alt: A square.\n\nA caption.\n```\n"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg">{frames}<path style="fill: #1f2328"/></svg>'
FRAMES = "".join(
    f'<g id="frame-{k}"><title>{words}</title></g>' for k, words in enumerate(("a &lt; b", "done"))
)


def test_a_film_has_a_player_and_a_still_has_none(tmp_path: Path) -> None:
    files = {"conf.py": CONF, "light": "1F2328", "dark": "D8DEE4", "index.md": "# Index\n"}
    for name, frames in (("film", FRAMES), ("still", "")):
        files |= {
            f"{name}.md": PAGE.format(name=name),
            f"{name}.svg": DRAWING.format(frames=frames),
        }
        files["index.md"] += f"\n```{{toctree}}\n{name}\n```\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", str(tmp_path), str(tmp_path / "site")],
        check=True,
    )
    film, still = (
        BeautifulSoup((tmp_path / f"site/{name}.html").read_text("utf-8"), "html.parser")
        for name in ("film", "still")
    )
    (player,) = film.select("figure .film")
    assert player.has_attr("hidden")
    assert [item.text for item in player.select("ol[hidden] li")] == ["a < b", "done"]
    (slider,) = player.select("input[type=range]")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "1", "0")
    assert slider["aria-label"]
    (output,) = player.select("output")
    assert output.text == "a < b"
    assert [button["type"] for button in player.select("button")] == ["button", "button"]
    assert [script.has_attr("defer") for script in film.select('script[src*="film.js"]')] == [True]
    assert not still.select('.film, script[src*="film.js"]')
    built = (tmp_path / "site/_images/film.svg").read_text("utf-8")
    assert "(prefers-color-scheme:dark){[style" in built
