"""A figure of many frames has a player, and only a page that has one loads its script."""

from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = "# Page\n\n```{{figure}} {name}.svg\n:alt: A square.\n\nA caption.\n```\n"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg">{frames}<path style="fill: #1f2328"/></svg>'
FRAMES = "".join(
    f'<g id="frame-{k}"><title>{words}</title></g>' for k, words in enumerate(("a &lt; b", "done"))
)


def test_a_film_has_a_player_and_a_still_has_none(book: "Book") -> None:
    for name, frames in (("film", FRAMES), ("still", "")):
        book.write(f"book/{name}.md", PAGE.format(name=name))
        book.write(f"book/{name}.svg", DRAWING.format(frames=frames))
    done = book.html()
    assert done.returncode == 0, done.stderr
    film, still = (
        BeautifulSoup(book.text(f"_build/html/{name}.html"), "html.parser")
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
    built = book.text("_build/html/_images/film.svg")
    assert "(prefers-color-scheme:dark){[style" in built
