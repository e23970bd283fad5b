"""Cut a style sheet down to the rules that pages use.

A rule stays if, for at least one of its selectors, every element, class and id occurs in the pages
or their scripts. Names inside ``:not()``, ``:is()`` or ``[...]`` are ignored. A custom property
stays if a rule that stays reads it; so do key frames.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tinycss2

from bookbuild.tools.fonts import cut_font

WORD = re.compile(r"[\w-]+")
HOLDS_RULES = {"media", "supports", "layer", "container"}


def cut(style: str, used: set[str], font: Path) -> str:
    """Return the style sheet with the rules that are used; its icons are from a cut ``font``."""
    rules = tinycss2.parse_stylesheet(style, skip_comments=True, skip_whitespace=True)
    rules = list(keep_rules(rules, used))
    kept, before = tinycss2.serialize(rules), ""
    while kept != before:  # a property may be read by a property that nothing reads
        read = set(re.findall(r"var\(\s*(--[\w-]+)", kept)) | used
        rules = list(keep_properties(rules, read))
        kept, before = tinycss2.serialize(rules), kept
    moved = set(re.findall(r"animation(?:-name)?:\s*([^;}]+)", kept))
    words = {word for value in moved for word in WORD.findall(value)}
    rules = [rule for rule in rules if not is_at(rule, "keyframes") or words & names(rule.prelude)]
    return with_icons(tinycss2.serialize(rules), font)


def is_at(rule: Any, *keywords: str) -> bool:
    """Return whether the rule is an at-rule of one of these names."""
    return rule.type == "at-rule" and rule.lower_at_keyword in keywords


def keep_rules(rules: Iterable[Any], used: set[str]) -> Iterator[Any]:
    """Yield the rules that have a selector which is used, with those selectors alone."""
    for rule in rules:
        if is_at(rule, *HOLDS_RULES) and rule.content is not None:
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            rule.content = list(keep_rules(inner, used))
            if rule.content:
                yield rule
        elif rule.type == "qualified-rule":
            selectors = [s for s in split(rule.prelude) if asked(s) <= used]
            if selectors:
                rule.prelude = [token for s in selectors for token in (*s, COMMA)][:-1]
                declarations = tinycss2.parse_blocks_contents(
                    rule.content, skip_comments=True, skip_whitespace=True
                )
                rule.content = [d for d in declarations if d.type != "error"]
                yield rule
        elif rule.type == "at-rule" and not is_at(rule, "charset"):
            yield rule


COMMA = tinycss2.parse_one_component_value(",")


def split(prelude: list[Any]) -> list[list[Any]]:
    """Return the selectors of a list."""
    selectors: list[list[Any]] = [[]]
    for token in prelude:
        if token == ",":
            selectors.append([])
        else:
            selectors[-1].append(token)
    return selectors


def asked(selector: list[Any]) -> set[str]:
    """Return the elements, classes and ids that a selector needs."""
    words, before = set(), ""
    for token in selector:
        if token.type == "hash" or (token.type == "ident" and before != ":"):
            words.add(token.value)
        before = token.value if token.type == "literal" else ""
    return words


def names(prelude: list[Any]) -> set[str]:
    """Return the identifiers of an at-rule's prelude."""
    return {token.value for token in prelude if token.type == "ident"}


def is_property(declaration: Any) -> bool:
    """Return whether the declaration is of a custom property."""
    return bool(declaration.type == "declaration" and declaration.name.startswith("--"))


def keep_properties(rules: Iterable[Any], read: set[str]) -> Iterator[Any]:
    """Yield the rules without custom properties that nothing reads, unless that leaves nothing."""
    for rule in rules:
        if is_at(rule, *HOLDS_RULES):
            rule.content = list(keep_properties(rule.content, read))
        elif rule.type == "qualified-rule":
            rule.content = [d for d in rule.content if not is_property(d) or d.name in read]
        if not hasattr(rule, "content") or rule.content is None or rule.content:
            yield rule


def with_icons(style: str, font: Path) -> str:
    """Return the style sheet with its icon font cut to the icons shown, and embedded."""
    faces = re.compile(r"@font-face\s*\{[^}]*\}")
    (face,) = [f for f in faces.findall(style) if font.name in f]
    shown = re.findall(r'(?:--fa|--pst-icon-[\w-]+|content):\s*"(\\?[^"]+)"', style)
    points = [
        int(s[1:], 16) if s.startswith("\\") else ord(s)
        for s in shown
        if len(s) == 1 or s[0] == "\\"
    ]
    drawn = "data:font/woff2;base64," + base64.b64encode(cut_font(font, points)).decode()
    return re.sub(r"url\([^)]*\)", f"url({drawn})", face) + faces.sub("", style)
