"""What a translation keeps of its original, and how Chinese is written: the rules as functions."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

Terms = list[tuple[re.Pattern[str], str]]

# parts that a translation keeps: roles, code, formulas, the targets of links and of footnotes, HTML
PART = re.compile(
    r"\{[a-z:]+\}`[^`]+`|(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|(?<![\\$])\$[^$]+\$|\]\([^)]+\)|\[\^[^\]]+\]"
    r"|<[a-z/!?][^>]*>",
    re.S | re.I,
)
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)*")
HAN = "\u3400-\u9fff"
KEPT = "\ufffc"  # stands for a part
# Chinese that touches a mark of half width, or Latin without a blank
HALF_MARK = re.compile(rf"[{HAN}][,;:!?()]|[,;:!?()][{HAN}]|[{HAN}]\.(?!\w)")
TOUCHES = re.compile(rf"[{HAN}][A-Za-z0-9{KEPT}]|[A-Za-z0-9%{KEPT}][{HAN}]")
MARKDOWN = MarkdownIt()


def read_terms(file: Path) -> Terms:
    """Return the pairs of a table of terms: a pattern of the English term, and the Chinese one."""
    with file.open(encoding="utf-8", newline="") as table:
        return [
            (
                re.compile(rf"(?<![\w-]){re.escape(row['English'])}(?:s|es)?(?![\w-])", re.I),
                row["Chinese"],
            )
            for row in csv.DictReader(table)
        ]


def parts(message: str) -> Counter[str]:
    """Return the parts of a message that a translation keeps, numbers among them."""
    kept = [re.sub(r"\s+", " ", found[0]) for found in PART.finditer(message)]
    named = [re.sub(r"`[^`]*<([^<>`]+)>`", r"`\1`", part) for part in kept]  # not a link's words
    return Counter(named + NUMBER.findall(PART.sub(" ", message)))


def stars(message: str) -> int:
    """Return how many stars a message shows, as they are no edge of an emphasis."""
    plain = PART.sub(lambda part: part[0].replace("*", ""), message.replace("\\*", ""))
    parsed = MARKDOWN.parseInline(plain)[0].children or []
    return sum(token.content.count("*") for token in parsed if token.type == "text")


def faults(message: str, translation: str, terms: Terms) -> Iterator[str]:
    """Yield what is wrong with a translation, a sentence each."""
    before, after = parts(message), parts(translation)
    for part in before - after:
        yield f"it lost {part}"
    for part in after - before:
        yield f"it has {part}, which its original has not"
    words, chinese = PART.sub("", message), PART.sub(KEPT, translation)
    for pattern, term in terms:
        if (found := pattern.search(words)) and term.casefold() not in translation.casefold():
            yield f"it says {found[0]!r} without {term}"
    for mark in HALF_MARK.findall(chinese):
        yield f"Chinese touches a mark of half width: {mark}"
    if stars(translation) > stars(message):
        yield "a star shows: behind a mark, emphasis ends only before a blank"
    for pair in TOUCHES.findall(chinese):
        shown = pair.replace(KEPT, "…")
        yield f"there is no blank in {shown}"
