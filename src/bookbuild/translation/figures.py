"""A Sphinx extension: the words of figures, of their films and of folded cells are messages, too.

Matplotlib draws the words of an SVG file as outlines, and names each text in a comment. A figure is
drawn once. Where the book's language is another, its words become text, in the reader's fonts, at
the place of the outlines: where a label is centred, or begins or ends at the edge of its axes, so
does its translation. A number in a label is a placeholder.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.edition import lists_messages
from bookbuild.tools.store import draft
from bookbuild.translation.messages import WORD, original

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
FONTS = "'DejaVu Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
NUMBER = re.compile(r"[-+\u2212]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
LETTERS = {
    r"\partial": "\u2202",
    r"\mathcal{L}": "\u2112",
    "^l": "\u02e1",
    "_1": "\u2081",
    "_2": "\u2082",
    "$": "",
}
PLACED = re.compile(
    r"translate\((\S+) (\S+)\)(?: rotate\((\S+)\))?(?: translate\(\S+ \S+\))? scale\((\S+) \S+\)"
)
GLYPH = 64  # units of a letter's outline in a hundredth of the font's size
NEAR = 2  # points that two edges may differ and still be one


class Words(addnodes.translatable, nodes.Element):
    """The words of a page that are in no text of it: each message, and its translation."""

    def preserve_original_messages(self) -> None:
        """Do nothing: they are not changed here."""

    def extract_original_messages(self) -> list[str]:
        """Return the words."""
        return list(self["words"])

    def apply_translated_message(self, original_message: str, translated_message: str) -> None:
        """Keep a translation."""
        self["words"][original_message] = translated_message


def message(label: str) -> str:
    """Return a label as a message: no number, and letters instead of TeX."""
    for tex, letter in LETTERS.items():
        label = label.replace(tex, letter)
    counted = iter(range(1, 100))
    return NUMBER.sub(lambda _: f"{{{next(counted)}}}", label)


def filled(translation: str, label: str) -> str:
    """Return a translation with the numbers of a label."""
    for place, number in enumerate(NUMBER.findall(label), 1):
        translation = translation.replace(f"{{{place}}}", number)
    return translation


def read(file: Path) -> ET.Element:
    """Return a drawing with its comments."""
    builder = ET.TreeBuilder(insert_comments=True)
    return ET.fromstring(file.read_text("utf-8"), ET.XMLParser(target=builder))


def labels(drawing: ET.Element) -> Iterator[tuple[list[ET.Element], str, ET.Element]]:
    """Yield each text of a drawing with a word: the groups around it, its words, its outlines."""

    def below(group: ET.Element, around: list[ET.Element]) -> Iterator[Any]:
        for part, after in pairwise([*group, ET.Element("end")]):
            if part.tag == SVG + "title":  # what a frame of a film shows
                yield around, part.text or "", part
            if part.tag is ET.Comment and after.tag == SVG + "g":
                if WORD.search(re.sub(r"\$[^$]*\$", "", words := (part.text or "").strip())):
                    yield around, words, after
            elif part.tag == SVG + "g":
                yield from below(part, [*around, part])

    return below(drawing, [drawing])


def place(outlines: ET.Element) -> tuple[float, float, float, float]:
    """Return where outlines begin, how far they are turned, and their scale."""
    placed = PLACED.match(outlines.get("transform", ""))
    x, y, turned, size = (float(n or 0) for n in (placed.groups() if placed else "0000"))
    return x, y, turned, size


def anchor(around: list[ET.Element], left: float, right: float) -> str:
    """Return which part of a label keeps its place: its start, its middle or its end."""
    names = [group.get("id", "") for group in around]
    if any(name.startswith("legend") for name in names):
        return "start"
    if "matplotlib.axis_2" in names:
        return "end"
    if any(name.startswith("matplotlib.axis") for name in names):
        return "middle"
    lines = [place(line)[0] for line in around[-1].findall(f"{SVG}g")]
    if len(lines) > 1 and max(lines) - min(lines) < NEAR:  # they begin below each other
        return "start"
    for axes in (group for group in around[::-1] if group.get("id", "").startswith("axes")):
        if (ground := axes.find(f"{SVG}g[@id]/{SVG}path")) is not None:
            edges = [float(x) for x in re.findall(r"[ML] (\S+) \S+", ground.get("d", ""))]
            if abs(left - min(edges)) < NEAR:
                return "start"
            if abs(right - max(edges)) < NEAR:
                return "end"
    return "middle"


def ends(drawing: ET.Element) -> dict[str, float]:
    """Return where each letter ends, in hundredths of the font's size from where it begins."""
    letters = drawing.iterfind(f".//{SVG}defs/{SVG}path[@id]")
    numbers = {path.get("id", ""): re.findall(r"[-\d.]+", path.get("d", "")) for path in letters}
    return {name: max(map(float, both[::2]), default=0) / GLYPH for name, both in numbers.items()}


def write(
    outlines: ET.Element, around: list[ET.Element], words: str, letters: dict[str, float]
) -> None:
    """Replace outlines by words; definitions among the outlines stay, others use them."""
    if outlines.tag == SVG + "title":
        outlines.text = words
        return
    x, y, turned, size = place(outlines)
    width = 0.0
    for letter in outlines.findall(f"{SVG}use"):
        start = re.search(r"translate\((\S+)", letter.get("transform", "translate(0"))
        end = letters.get(letter.get(LINK, "").removeprefix("#"), 0)
        width = max(width, (float(start[1]) if start else 0) + end)
    width *= size
    where = "middle" if turned else anchor(around, x, x + width)
    shift = {"start": 0, "middle": width / 2, "end": width}[where]
    style = f"{outlines.get('style', '')}; font: {100 * size:g}px {FONTS}; text-anchor: {where}"
    turn = f" rotate({turned:g})" if turned else ""
    at = f"translate({x:g} {y:g}){turn}"
    text = ET.Element(SVG + "text", style=style, transform=at, x=f"{shift:g}")
    text.text = words
    kept = outlines.findall(f"{SVG}defs")
    outlines.clear()
    outlines.extend([*kept, text])


def figures(document: nodes.document) -> Iterator[tuple[nodes.image, Path]]:
    """Yield the images of a page that cells drew, with their files."""
    environment: Any = document.settings.env
    folder = Path(environment.mystnb_config.output_folder)
    for image in document.findall(nodes.image):
        file = Path(environment.srcdir, Path(image["uri"].lstrip("/")))
        if file.suffix == ".svg" and file.resolve().parent == folder:
            yield image, file.resolve()


def prompts(app: Sphinx, document: nodes.document) -> Iterator[tuple[nodes.container, str]]:
    """Yield the cells that are folded, and the attributes with words of their own above them."""
    usual = app.config.nb_code_prompt_show, app.config.nb_code_prompt_hide
    for cell in document.findall(nodes.container):
        for name in ("prompt_show", "prompt_hide"):
            if cell.get(name) and cell[name] not in usual:
                yield cell, name


class Collect(SphinxTransform):
    """Put the words of a page's figures and folds among its messages."""

    default_priority = 6

    def apply(self, **kwargs: object) -> None:
        """Add them, with the place of the page."""
        if original(self.app):
            return
        drawn = {
            file: [words for _, words, _ in labels(read(file))]
            for _, file in figures(self.document)
        }
        found = {message(label): "" for said in drawn.values() for label in said}
        found |= {cell[name]: "" for cell, name in prompts(self.app, self.document)}
        if found:
            node = Words(words=found, drawn=drawn)
            node.source, node.line = str(self.env.doc2path(self.env.docname)), 1
            self.document.append(node)


class Draw(SphinxTransform):
    """Give a page's figures and folds the words that were translated."""

    default_priority = 22  # behind Sphinx's translation

    def apply(self, **kwargs: object) -> None:
        """Write a file for each figure that has words, and let the image name it."""
        if lists_messages(self.app):
            return
        for node in list(self.document.findall(Words)):
            node.parent.remove(node)
            words = {label: said for label, said in node["words"].items() if said}
            for cell, name in prompts(self.app, self.document):
                cell[name] = words.get(cell[name], cell[name])
            for image, file in figures(self.document):
                made = translated(file, node["drawn"][file], words)
                image["uri"] = image["uri"].replace(file.name, made.name)


def translated(file: Path, drawn: list[str], words: dict[str, str]) -> Path:
    """Return the file of a figure with other words for its labels; write it unless it is there."""
    said = [(words.get(message(label), ""), label) for label in drawn]
    if not any(translation for translation, _ in said):
        return file
    made_of = "\n".join([file.name, Path(__file__).read_text("utf-8"), *map(str, said)])
    made = file.with_name(f"{sha256(made_of.encode()).hexdigest()}.svg")
    if not made.exists():
        drawing = read(file)
        letters, found = ends(drawing), list(labels(drawing))
        for (around, label, outlines), (translation, _) in zip(found, said, strict=True):
            if translation and translation != message(label):
                write(outlines, around, filled(translation, label), letters)
        with draft(made) as new:
            new.write_text(ET.tostring(drawing, "unicode"), "utf-8")
    return made


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    for prefix, name in (("", SVG), ("xlink", LINK)):  # as matplotlib writes them
        ET.register_namespace(prefix, name[1 : name.index("}")])
    app.add_node(Words)
    for transform in (Collect, Draw):
        app.add_transform(transform)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
