"""A table in Markdown; nothing but Python is needed to write it."""

from collections.abc import Iterable, Sequence


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns are as wide as their widest cell."""
    rows = [*rows]
    widths = [max(len(line[k]) for line in [head, *rows]) for k in range(len(head))]
    rule = ["-" * width for width in widths]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in [head, rule, *rows]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
