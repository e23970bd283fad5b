"""How the result of an audit is shown: as text in 80 columns, and as HTML in a notebook."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from html import escape
from importlib.metadata import PackageNotFoundError, metadata
from itertools import groupby, zip_longest
from textwrap import wrap
from typing import NamedTuple

from zeroinit.report import KINDS, Audit, Finding

WIDTH = 80
FEW = 8  #: of more names than these, HTML folds the rest


class Cause(NamedTuple):
    """Faults that one thing brings about."""

    text: str  #: empty if it is unknown
    kinds: list[list[Finding]]
    remedies: list[str]


def causes(faults: Sequence[Finding]) -> list[Cause]:
    """Return the causes of faults, that with the most first; without a cause, kind by kind."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for f in _sorted(faults):
        groups.setdefault((f.cause, "" if f.cause else f.kind), []).append(f)
    return [
        Cause(
            text,
            [list(some) for _, some in groupby(group, lambda f: f.kind)],
            list(dict.fromkeys(f.remedy for f in group if f.remedy)),
        )
        for (text, _), group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def others(found: Audit) -> dict[str, list[Finding]]:
    """Return what is no fault by verdict, in the order of the kinds."""
    groups: dict[str, list[Finding]] = {}
    rest = sorted((f for f in found if not f.fault), key=lambda f: f.wakes or 0)
    for f in _sorted(rest):
        groups.setdefault(f.verdict, []).append(f)
    return groups


def headline(found: Audit) -> str:
    """Return what is most to be known, in one line."""
    if not found.faults:
        return f"No faults in {_count(len(found))}:"
    return f"{len(found.faults)} of {_count(len(found))} cannot train as they should:"


def fault_lines(found: Audit) -> Iterator[str]:
    """Give the headline, and for each cause its lines."""
    yield headline(found)
    for number, cause in enumerate(causes(found.faults), start=1):
        start = f"{number}. "
        if cause.text:
            yield from _filled(start, cause.text, 3)
            start = "   "
        for group in cause.kinds:
            shared = _shared(group)
            own = ["" if shared == f.verdict else f.verdict.removeprefix(f.kind) for f in group]
            label = f"{start}{shared}: "
            yield label + listed(group, own, WIDTH - len(label))
        for remedy in cause.remedies:
            yield from _filled("   remedy: ", remedy)


def meanings(findings: Iterable[Finding]) -> Iterator[str]:
    """Give a line for each kind that a page of the book explains."""
    for name in dict.fromkeys(f.kind for f in _sorted(findings)):
        kind = KINDS[name]
        if kind.page:
            yield from _filled(f"{name}: ", f"{kind.meaning} ({address(kind.page)})", 2)


def failure(found: Audit) -> str:
    """Return the causes of faults alone."""
    return "\n".join([*fault_lines(found), *meanings(found.faults)])


def text(found: Audit) -> str:
    """Return the causes of faults, then a table of the other verdicts."""
    lines = list(fault_lines(found))
    rows = others(found)
    width = max(map(len, rows), default=0)
    digits = max((len(str(len(group))) for group in rows.values()), default=0)
    for verdict, group in rows.items():
        start = f"{verdict:{width}}  {len(group):{digits}}"
        lines.append(f"{start}  {listed(group, [''] * len(group), WIDTH - len(start) - 2)}")
        reasons = list(dict.fromkeys(f.cause for f in group if f.cause))
        if reasons:
            more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
            lines += _filled("   ", "; ".join(reasons[:2]) + more, 3)
    lines += meanings(found)
    for remark in found.remarks:
        lines += _filled(f"{remark.kind}: ", remark.text, 2)
        lines.append("  " + _fitting(remark.names, WIDTH - 2))
    if found.note:
        lines += _filled("note: ", found.note)
    return "\n".join(lines)


def html(found: Audit) -> str:
    """Return the same as HTML: whatever is long is folded, and all colours are the page's."""
    faults = []
    for cause in causes(found.faults):
        parts = [_term(_shared(group), _names(group)) for group in cause.kinds]
        parts += [_term("remedy", escape(remedy)) for remedy in cause.remedies]
        faults.append(f"<li>{escape(cause.text)}<dl>{''.join(parts)}</dl></li>")
    rest = [_term(kind, _meaning(kind)) for kind in dict.fromkeys(f.kind for f in found.faults)]
    folded = []
    for verdict, group in others(found).items():
        if KINDS[group[0].kind].folded:
            summary = f"{escape(verdict)}: {_count(len(group))}"
            folded.append(f"<details><summary>{summary}</summary>{_items(group)}</details>")
        else:
            rest.append(_term(verdict, _meaning(group[0].kind) + _names(group)))
    for remark in found.remarks:
        names = ", ".join(f"<code>{escape(name)}</code>" for name in remark.names)
        rest.append(_term(remark.kind, f"{escape(remark.text)}: {names}"))
    if found.note:
        rest.append(_term("note", escape(found.note)))
    return (
        f'<div style="overflow-wrap:anywhere"><p><strong>{headline(found)}</strong></p>'
        + (f"<ol>{''.join(faults)}</ol>" if faults else "")
        + (f"<dl>{''.join(rest)}</dl>" if rest else "")
        + f"{''.join(folded)}</div>"
    )


def listed(group: Sequence[Finding], own: Sequence[str], width: int) -> str:
    """Return as many names as fit, one at least, and the count of the others."""
    return _fitting([f.name for f in group], width, own)


def _fitting(names: Sequence[str], width: int, own: Sequence[str] = ()) -> str:
    items = [name + more for name, more in zip_longest(names, own, fillvalue="")]
    for shown in range(min(len(items), width), 0, -1):
        rest = f" and {len(items) - shown} more" if shown < len(items) else ""
        line = ", ".join(items[:shown]) + rest
        if len(line) <= width:
            return line
    more = items[0].removeprefix(names[0]) + rest
    return _shortened(names[0], width - len(more)) + more


@cache
def address(page: str) -> str:
    """Return the address of a page of the book, or its name if the package knows no address."""
    try:
        links = metadata("zeroinit").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a copy of the sources
        links = []
    known = dict(link.split(", ", 1) for link in links)
    return f"{known['Book'].rstrip('/')}/{page}.html" if "Book" in known else f"page {page}"


def _term(term: str, words: str) -> str:
    return f"<dt>{escape(term)}</dt><dd>{words}</dd>"


def _meaning(name: str) -> str:
    """Return what a kind means that is not folded, and its page, which each of these has."""
    kind = KINDS[name]
    return f"{escape(kind.meaning)} ({_link(kind.page)})"


def _link(page: str) -> str:
    found = address(page)
    return f'<a href="{escape(found)}">{escape(page)}</a>' if "://" in found else escape(found)


def _names(group: Sequence[Finding]) -> str:
    """Return a list of names, folded if it is long."""
    if len(group) <= FEW:
        return _items(group)
    rest = f"<details><summary>and {len(group) - FEW} more</summary>{_items(group[FEW:])}</details>"
    return _items(group[:FEW]) + rest


def _items(group: Sequence[Finding]) -> str:
    """Return parameters as a list: name, shape, and where their verdicts differ what each says."""
    own = len({f.verdict for f in group}) > 1
    lines = (
        f"<li><code>{escape(f.name)}</code> {'×'.join(map(str, f.shape))}"
        f"{escape(f.verdict.removeprefix(f.kind)) if own else ''}"
        f"{escape(f': {f.cause}') if f.cause and not f.fault else ''}</li>"
        for f in group
    )
    return f'<ul style="margin:0">{"".join(lines)}</ul>'


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    order = list(KINDS)
    return sorted(findings, key=lambda f: order.index(f.kind))


def _shared(group: Sequence[Finding]) -> str:
    """Return the verdict of findings of one kind, or the kind if their verdicts differ."""
    return group[0].verdict if len({f.verdict for f in group}) == 1 else group[0].kind


def _count(number: int) -> str:
    return f"{number} parameter{'s' if number != 1 else ''}"


def _filled(label: str, words: str, indent: int = 6) -> list[str]:
    return wrap(
        words,
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shortened(name: str, width: int) -> str:
    """Cut out the middle of a name that is too long; its end says more than its start."""
    start = width // 4
    return name if len(name) <= width else f"{name[:start]}…{name[len(name) - width + start + 1 :]}"


def tiles(found: Audit, most: int = 40) -> list[tuple[str, int | None]]:
    """Return the rows of a figure: a label, and the step that wakes what it names.

    If there are too many parameters, those with one verdict share a row if their names differ by
    numbers only; and if that is not enough, all those with one verdict.
    """
    shown = [f for f in found if f.wakes or not KINDS[f.kind].folded]
    ways: list[Callable[[str], str]] = [str, partial(re.sub, r"\d+", ""), lambda name: ""]
    for way in ways:
        groups: dict[tuple[str, str, int | None], list[Finding]] = {}
        for f in shown:
            groups.setdefault((way(f.name), f.verdict, f.wakes), []).append(f)
        if len(groups) <= most:
            break
    rows = []
    for (_, verdict, step), group in groups.items():
        kind = KINDS[group[0].kind]
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        said = "" if kind.folded else f": {verdict if kind.fault else group[0].kind}"
        rows.append((_shortened(group[0].name, 40) + more + said, step))
    return rows
