"""What MathML asks of a formula: each element has its arguments, each attribute a right value.

The tables are those of the standard, MathML 3 (https://www.w3.org/TR/MathML3/): the "Table of
argument requirements" in its chapter 3.1.3, and the grammar in its appendix A. They hold what the
formulas of a book use; what they lack is reported, until somebody adds it from there.
"""

import re
from collections.abc import Iterator
from math import inf
from xml.etree import ElementTree

# The least and the most arguments. Where the standard infers a row of any number of them, as within
# a root, it lets it be empty; here it may not.
ARGUMENTS = {
    **dict.fromkeys(("mi", "mn", "mo", "mspace", "mtext", "annotation"), (0, 0)),
    **dict.fromkeys(("mrow", "mtd"), (0, inf)),
    **dict.fromkeys(("math", "semantics", "mtable", "mtr", "mmultiscripts"), (1, inf)),
    **dict.fromkeys(("menclose", "mpadded", "mphantom", "msqrt", "mstyle"), (1, inf)),
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), (2, 2)),
    **dict.fromkeys(("msubsup", "munderover"), (3, 3)),
}
ROWS = {"mtable": "mtr", "mtr": "mtd"}  # what one holds is the other, and stands nowhere else

LENGTH = r"-?(\d+\.?\d*|\.\d+)(em|ex|px|in|cm|mm|pt|pc|%)?"
VALUES = {
    "accent accentunder displaystyle fence largeop movablelimits separator stretchy": "true|false",
    "depth height linethickness lspace minsize rspace voffset width": LENGTH,
    "maxsize": rf"{LENGTH}|infinity",
    "mathvariant": "normal",  # so MathML Core; for other alphabets Unicode has the letters
    "display": "block|inline",
    "scriptlevel": r"[-+]?\d+",
    "encoding": r"\S+",
    "columnalign": r"(left|center|right)(\s+(left|center|right))*",
    "columnlines rowlines": r"(none|solid|dashed)(\s+(none|solid|dashed))*",
    "columnspacing rowspacing": rf"{LENGTH}(\s+{LENGTH})*",
}
RULES = {name: rule for names, rule in VALUES.items() for name in names.split()}


def wrong(page: str) -> list[str]:
    """Return in words what is wrong with the formulas of a page, HTML or XHTML."""
    bad = []
    for math in re.findall(r"<math\b.*?</math>", page, re.DOTALL):
        tree = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", math))
        source = tree.findtext(".//annotation")
        for element in tree.iter():
            bad += [f"{source}: {element.tag} {what}" for what in complaints(element)]
    return bad


def complaints(element: ElementTree.Element) -> Iterator[str]:
    """Yield in words what is wrong with an element, its children apart."""
    name, held = element.tag, [child.tag for child in element]
    if name not in ARGUMENTS:
        yield "is not in the table"
        return
    least, most = ARGUMENTS[name]
    if not least <= len(held) <= most:
        yield f"has {len(held)} arguments ({', '.join(held)}) and takes {least} to {most}"
    if most and any(
        text.strip() for text in (element.text or "", *(e.tail or "" for e in element))
    ):
        yield "holds text, which only mi, mn, mo and mtext do"
    for child in held:
        if ROWS.get(name) != child and (name in ROWS or child in ROWS.values()):
            yield f"holds {child}"
    for attribute, value in element.attrib.items():
        if attribute not in RULES:
            yield f"has {attribute}, which is not in the table"
        elif not re.fullmatch(RULES[attribute], value):
            yield f"has {attribute}={value!r}, which is not {RULES[attribute]}"
