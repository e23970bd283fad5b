"""Formulas are drawn when the book is built: right, once, numbered by Sphinx; wrong ones fail."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import pytest
from bs4 import BeautifulSoup, Tag

from bookbuild.formulas.katex import DRAW, Katex
from bookbuild.tools import node
from tests.book import mathml

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

KATEX = Path(__file__).parents[2] / "node_modules/katex"
FORMULA = r"\frac{\partial\mathcal L}{\partial W} < \sigma'(0)"


def need_katex() -> None:
    """Skip the test where npm could not install KaTeX."""
    if not KATEX.exists():
        message = "KaTeX is not installed: run `make html` where npm's registry can be reached"
        (pytest.fail if "CI" in os.environ else pytest.skip)(message)


def link_katex(book: "Book") -> None:
    """Give a book the KaTeX that npm installed for this one."""
    need_katex()
    link = book.folder / "node_modules/katex"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(KATEX)


@pytest.fixture
def drawn(book: "Book") -> "Book":
    """A book that has KaTeX."""
    link_katex(book)
    return book


def page(book: "Book", name: str) -> BeautifulSoup:
    """Return a built page."""
    return BeautifulSoup(book.text(f"_build/html/{name}.html"), "html.parser")


def sources(tag: Tag) -> list[str]:
    """Return the TeX that the MathML below a tag was made from."""
    return [found.get_text() for found in tag.select("math annotation")]


def node_starts(book: "Book") -> int:
    """Build a book, and return how often Node started."""
    log = book.folder / "starts"
    log.write_text("")
    book.write("note.cjs", f"require('fs').appendFileSync({str(log)!r}, 'node ')")
    done = book.html("JOBS=2", f"NODE_OPTIONS=--require={book.folder}/note.cjs")
    assert done.returncode == 0, done.stderr
    return len(log.read_text().split())


def test_a_formula_is_there_for_eye_and_ear(drawn: "Book") -> None:
    rst = f"```{{eval-rst}}\nIn a docstring :math:`{FORMULA}`.\n```"
    drawn.write(
        "book/page.md",
        f"# Page\n\nIn line ${FORMULA}$ and apart\n\n$$\n{FORMULA}\n$$\n\n{rst}\n\n"
        f"```{{figure}} _static/favicon.svg\n:alt: mark\n\nCaption ${FORMULA}$\n```\n\n"
        f"| Table |\n| --- |\n| ${FORMULA}$ |\n\n"
        "\\begin{align*}\na &= b \\\\\nc &= d \\tag{x}\n\\end{align*}\n\n"
        "```{math}\na = b \\\\\nc = d\n```\n",
    )
    drawn.write("book/plain.md", "# Plain\n\nWords.\n")
    done = drawn.html()
    assert done.returncode == 0, done.stderr

    built = page(drawn, "page")
    assert [tex for tex in sources(built) if tex == FORMULA] == [FORMULA] * 5
    assert len(built.select(".katex-html[aria-hidden=true]")) == len(sources(built)) == 7
    boxes = built.select("article div.math > div")
    assert {(box["role"], box["aria-label"]) for box in boxes} == {("group", "Formula")}
    assert len(boxes) == 3
    assert not built.select("script[src*=mathjax]")
    assert built.select("link[href*=katex]")
    assert not page(drawn, "plain").select("link[href*=katex]")

    style = drawn.text("_build/html/_static/katex/katex.css")
    links = re.findall(r"url\(([^)]*)\)", style)
    fonts = {link for link in links if not link.startswith("data:font/woff2;base64,")}
    assert len(links) == len(fonts) + 2
    assert all(drawn.folder.joinpath("_build/html/_static/katex", font).exists() for font in fonts)


@pytest.mark.parametrize("output", ["mathml", "htmlAndMathml"])
@pytest.mark.parametrize(
    "tex",
    [
        r"\lambda_{\max}",
        r"x_{\operatorname{tr}}^{\sin}",
        r"\frac{\max}{\min}",
        r"\sqrt[\max]{\min}",
        r"\hat{\max}",
        r"\underbrace{x}_{\max}",
        r"\operatorname*{argmax}_{\min}",
        r"\begin{aligned}a \\ b\end{aligned}",
        r"\mathcal{L}_{\max} + \mathbf{1} + \mathbb{R} + \mathbf{\Gamma}",
    ],
)
def test_what_katex_writes_amiss_is_mended(tex: str, output: str, tmp_path: Path) -> None:
    need_katex()
    given = {"output": output, "formulas": [(tex, False)]}
    ((written, _),) = node.run(DRAW, KATEX, given)
    assert mathml.wrong(written), "KaTeX has mended this itself: formulas.katex.mended can go"
    drawn = Katex(KATEX, tmp_path).draw({(tex, False)}, output)[tex, False].html
    assert not mathml.wrong(drawn)
    assert drawn.partition("</math>")[2] == written.partition("</math>")[2]
    # In the form NFKC a letter of another alphabet is the plain one.
    texts = (BeautifulSoup(html, "html.parser").get_text() for html in (drawn, written))
    plain = (normalize("NFKC", text).replace("\N{FUNCTION APPLICATION}", "") for text in texts)
    assert next(plain) == next(plain)


@pytest.mark.parametrize(
    ("math", "complaint"),
    [
        ("<msup><mi>x</mi></msup>", "msup has 1 arguments"),
        ("<msqrt></msqrt>", "msqrt has 0 arguments"),
        ("<mi>x<mn>2</mn></mi>", "mi has 1 arguments"),
        ("<mrow>x</mrow>", "mrow holds text"),
        ("<mtable><mi>x</mi></mtable>", "mtable holds mi"),
        ("<mrow><mtd></mtd></mrow>", "mrow holds mtd"),
        ("<mstack></mstack>", "mstack is not in the table"),
        ("<mspace width='wide'></mspace>", "mspace has width='wide'"),
        ("<mspace gap='1em'></mspace>", "mspace has gap"),
    ],
)
def test_the_check_of_formulas_sees(math: str, complaint: str) -> None:
    (found,) = mathml.wrong(f"<math>{math}</math>")
    assert complaint in found
    assert not mathml.wrong("<math><msup><mi>x</mi><mn>2</mn></msup></math>")


def test_a_line_breaks_neither_in_a_short_formula_nor_before_a_comma(drawn: "Book") -> None:
    long = "+".join("abcdefghijk")
    drawn.write(
        "book/page.md", f"# Page\n\nOne (of $a+b$), the $n$-th, ${long}$; and ($c$) *$d$*.\n"
    )
    done = drawn.html()
    assert done.returncode == 0, done.stderr
    built = page(drawn, "page")
    for unseen in built.select(".katex-mathml"):
        unseen.extract()
    parts = built.select("article .unbroken")
    assert [part.get_text() for part in parts] == ["a+b),", "n-", f"{long};", "(c)", "d"]
    assert [len(part.select("wbr")) for part in parts] == [0, 0, 10, 0, 0]


def test_equations_have_the_numbers_that_links_say_in_a_parallel_build(drawn: "Book") -> None:
    names = ["first", "second", "third", "fourth", "fifth", "sixth"]  # more than five are parallel
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        drawn.write(
            f"book/{name}.md",
            f"# Page\n\n$$\nx_{{{name}}}\n$$ ({name})\n\n"
            f"\\begin{{equation}}\ny_{{{name}}}\n\\end{{equation}}\n\nSee {{eq}}`{other}`.\n",
        )
    order = "\n".join(names)
    drawn.write("book/index.md", f"# Index\n\n```{{toctree}}\n:numbered:\n{order}\n```\n")
    assert node_starts(drawn) == 1

    for number, name in enumerate(names, 1):
        built = page(drawn, name)
        assert built.select_one(f"#equation-{name} .eqno")
        seen = [eqno.get_text().rstrip("#") for eqno in built.select("article .eqno")]
        assert seen == [f"({number}.1)", f"({number}.2)"]
        assert not built.select(".katex-eqn-num, .eqn-num")  # KaTeX adds none of its own
        assert f"x_{{{name}}}" in sources(built)
        other = names[number % len(names)]
        seen = [
            link.get_text() for link in built.select(f'a[href="{other}.html#equation-{other}"]')
        ]
        assert seen == [f"({number % len(names) + 1}.1)"]


def test_a_wrong_formula_fails_until_it_is_mended(drawn: "Book") -> None:
    drawn.write(
        "book/page.md", "# Page\n\nRight $a$.\n\nWrong $\\frac{b}$.\n\n$$\n\\nothing c\n$$\n"
    )
    for _ in range(2):
        done = drawn.html()
        assert done.returncode != 0
        assert re.search(r"page\.md:5: WARNING: KaTeX parse error: .*\\frac", done.stderr)
        assert re.search(r"page\.md:7: WARNING: KaTeX parse error: .*\\nothing", done.stderr)
    drawn.write("book/page.md", "# Page\n\nRight $a$.\n")
    done = drawn.html()
    assert done.returncode == 0, done.stderr


def test_node_runs_once_for_what_is_new(drawn: "Book") -> None:
    def starts(text: str) -> int:
        """Build a page, and return how often Node started."""
        drawn.write("book/page.md", f"# Page\n\n{text}\n")
        found = node_starts(drawn)
        assert sources(page(drawn, "page")) == re.findall(r"\$(.*?)\$", text)
        return found

    assert starts("$a$ and $b$") == 1
    assert starts("$a$ and $b$") == 0
    assert starts("Once more $b$ and $a$") == 0
    for file in drawn.folder.glob("_build/kept/katex/*"):
        file.write_bytes(file.read_bytes()[:-40])
    assert starts("Again $a$ and $b$") == 1
    assert starts("$a$, $b$ and $c$") == 1


def test_another_version_draws_every_page_anew(drawn: "Book") -> None:
    drawn.write("book/page.md", "# Page\n\n$a$ and $b$\n")
    assert node_starts(drawn) == 1
    link = drawn.folder / "node_modules/katex"
    link.unlink()
    drawn.write("node_modules/katex/package.json", '{"main": "main.cjs"}')
    drawn.write(
        "node_modules/katex/main.cjs",
        f"const draw = require({str(KATEX)!r}).renderToString;\n"
        "exports.renderToString = (...all) => '<b>newer</b>' + draw(...all);\n",
    )
    (link / "dist").symlink_to(KATEX / "dist")
    assert node_starts(drawn) == 1
    assert len(page(drawn, "page").select(".math b")) == 2


def test_a_title_with_a_formula(drawn: "Book") -> None:
    drawn.write("book/page.md", "# Where $a < b$\n\nWords.\n")
    drawn.write("book/plain.md", "# Plain\n\nWords.\n")
    done = drawn.html()
    assert done.returncode == 0, done.stderr
    title = page(drawn, "page").title
    assert title
    assert title.get_text().startswith("Where a < b ")
    plain = page(drawn, "plain")  # the formula is in its list of pages
    assert set(sources(plain)) == {"a < b"}
    assert plain.select("link[href*=katex]")


def test_an_epub_holds_mathml_alone(drawn: "Book") -> None:
    drawn.write("book/page.md", f"# Page\n\n${FORMULA}$\n")
    command = "-m sphinx -q -c . -d _build/doctrees -b epub book _build/epub"
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=drawn.folder,
        env=os.environ | {"PYTHONPATH": f"{drawn.folder}/src"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = drawn.text("_build/epub/page.xhtml")
    assert sources(BeautifulSoup(built, "html.parser")) == [FORMULA]
    assert "katex-html" not in built
    assert "katex.css" not in built


def test_mathjax_draws_until_katex_can_be_installed(book: "Book") -> None:
    for name, command in (("npm", "exit 1"), ("python", f'exec {sys.executable} "$@"')):
        book.write(f"bin/{name}", f"#!/bin/sh\n{command}\n")
        Path(book.folder, "bin", name).chmod(0o755)
    book.write(".venv/ready", "")
    book.write("book/page.md", f"# Page\n\n${FORMULA}$\n")
    done = book.make("html", "BIN=bin")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "KaTeX" in line]
    assert len(said) == 1
    assert "MathJax draws the formulas" in said[0]
    built = page(book, "page")
    assert built.select('script[src^="_static/mathjax/"]')
    assert not built.select(".katex")

    link_katex(book)
    done = book.html()
    assert done.returncode == 0, done.stderr
    built = page(book, "page")
    assert sources(built) == [FORMULA]
    assert not built.select("script[src*=mathjax]")
