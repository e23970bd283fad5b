"""Render formulas with KaTeX, to HTML and MathML, with the style sheet and the fonts they need.

All formulas are rendered in one run of Node. Fonts are cut to the characters that formulas show.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup

from bookbuild.tools import node
from bookbuild.tools.fonts import cut_font
from bookbuild.tools.store import Store

DRAW = """
const katex = require(process.argv[1]);
const {output, formulas} = JSON.parse(require("fs").readFileSync(0));
const drawn = formulas.map(([tex, displayMode]) => {
  try {
    return [katex.renderToString(tex, {displayMode, output, strict: "error"}), ""];
  } catch (error) {
    return ["", error.message];
  }
});
process.stdout.write(JSON.stringify(drawn));
"""
# Nearly every formula uses these fonts. Inside the style sheet they need no request of their own.
AT_ONCE = ("fonts/KaTeX_Main-Regular.woff2", "fonts/KaTeX_Math-Italic.woff2")
TAG = re.compile(r"<[^>]*>")
MATH = re.compile(r"<math\b.*</math>", re.DOTALL)
APPLIED = "<mo>\N{FUNCTION APPLICATION}</mo>"
# Elements whose children have fixed positions.
MOST = 5000  # formulas that are kept
PLACED = "mfrac, mroot, msub, msup, msubsup, munder, mover, munderover"
OTHER_FORMATS = re.compile(r"(src:url\([^)]+\.woff2\) format\(.woff2.\))[^;}]+")

Formula = tuple[str, bool]  # the TeX, and whether it is displayed on a line of its own


class Drawn(NamedTuple):
    """A formula's HTML, or an error message."""

    html: str
    wrong: str = ""


class Katex:
    """The npm package, and a folder that keeps its results."""

    def __init__(self, package: Path, folder: Path) -> None:
        self.package, self.store = package, Store(folder)
        about = (package / "package.json").read_text("utf-8")
        self.version = sha256(about.encode() + Path(__file__).read_bytes()).hexdigest()

    def draw(self, formulas: set[Formula], output: str) -> dict[Formula, Drawn]:
        """Render formulas with a value of KaTeX's option ``output``."""
        kept = self.store.get([output, self.version])
        rows = json.loads(kept) if kept else []
        drawn = {(tex, block): Drawn(html) for tex, block, html in rows}
        if missing := sorted(formulas - drawn.keys()):
            answers = node.run(DRAW, self.package, {"output": output, "formulas": missing})
            for missed, (html, wrong) in zip(missing, answers, strict=True):
                drawn[missed] = Drawn(MATH.sub(mended, html), wrong)
            used = [
                *sorted(formulas),
                *(f for f in drawn if f not in formulas),
            ]  # of other languages last
            right = [(*f, drawn[f].html) for f in used if not drawn[f].wrong][:MOST]
            self.store.put([output, self.version], json.dumps(right).encode())
        return {formula: drawn[formula] for formula in formulas}

    def assets(self, drawn: Iterable[Drawn]) -> dict[str, bytes]:
        """Return the style and the fonts that formulas need, by file name."""
        style = (self.package / "dist/katex.min.css").read_text("utf-8")
        style = OTHER_FORMATS.sub(r"\1", style)
        html = "".join(sorted(formula.html.partition("</math>")[2] for formula in drawn))
        families = {
            file.name: file.stem.partition("-")[0]
            for file in sorted(self.package.glob("dist/fonts/*.woff2"))
        }
        of = ["characters", self.version, sha256(html.encode()).hexdigest()]
        kept = self.store.get(of)
        if kept is None:
            shown = characters(html, style, set(families.values()))
            kept = json.dumps({name: shown[family] for name, family in families.items()}).encode()
            self.store.put(of, kept)
        needed = json.loads(kept)
        kept = self.store.get(["fonts", self.version, needed])
        if kept is None:
            cut = {
                name: cut_font(self.package / "dist/fonts" / name, [ord(c) for c in text])
                for name, text in needed.items()
            }
            texts = {f"fonts/{name}": base64.b64encode(font).decode() for name, font in cut.items()}
            kept = json.dumps(texts).encode()
            self.store.put(["fonts", self.version, needed], kept)
        fonts = json.loads(kept)
        for name in AT_ONCE:
            style = style.replace(name, f"data:font/woff2;base64,{fonts.pop(name)}")
        apart = {name: base64.b64decode(font) for name, font in fonts.items()}
        return apart | {"katex.css": style.encode()}


def letter(char: str, variant: str) -> str:
    """Return the character of a mathematical alphabet, or the same one where it has none."""
    kind = re.sub("LATIN |GREEK |LETTER ", "", unicodedata.name(char, ""))
    for name in (f"MATHEMATICAL {variant} {kind}", f"{variant} {kind}"):
        with suppress(KeyError):
            return unicodedata.lookup(name)
    return char


def mended(math: re.Match[str]) -> str:
    r"""Return MathML with the children and the attributes that the standard asks for.

    For a function without an argument, as in ``x_{\max}``, KaTeX writes its name and an operator
    that applies it: two children, where ``msub`` has one place for them (its issue 3721,
    https://github.com/KaTeX/KaTeX/issues/3721). For ``aligned`` of one column it writes an empty
    list of the gaps between columns. And it asks for other alphabets by an attribute that MathML
    Core no longer has, since Unicode has the letters (its issue 4043).
    """
    tree = BeautifulSoup(math[0], "html.parser")
    operators = [mo for mo in tree.select(f":is({PLACED}) > mo") if str(mo) == APPLIED]
    tables = tree.select("mtable[columnspacing='']")
    styled = tree.select("[mathvariant]:not([mathvariant=normal])")
    for operator in operators:
        operator.decompose()
    for table in tables:
        del table["columnspacing"]
    for token in styled:
        text = token.get_text()
        token.string = "".join(letter(char, str(token["mathvariant"])) for char in text)
        if token.string != text:
            del token["mathvariant"]
    return str(tree) if operators or tables or styled else math[0]


def characters(html: str, style: str, families: set[str]) -> dict[str, str]:
    """Return the characters that each font family needs: all, or those of its own classes."""
    everything = set(unescape(TAG.sub("", html)))
    parts = set(re.findall(r'<span class="([^"]*)"[^>]*>([^<]+)', html))
    found = {}
    for family in families:
        rules = re.findall(rf"([^{{}}]*){{[^{{}}]*font-family:{family}\b", style)
        classes = set(re.findall(r"\.([\w-]+)", " ".join(rules)))
        own = {c for names, text in parts if classes & set(names.split()) for c in unescape(text)}
        general = re.match("KaTeX_(Main|Math|Size)", family)
        found[family] = "".join(sorted(everything if general else own))
    return found


def visible(drawn: str) -> str:
    """Return the visible characters of a rendered formula."""
    return unescape(TAG.sub("", drawn.partition("</math>")[2]))
