"""The report of an audit: a finding for each parameter, a verdict, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Kind(NamedTuple):
    """What belongs to all findings of one kind."""

    fault: bool  #: whether it must be mended
    meaning: str  #: one line
    page: str = ""  #: of the book, if one explains it
    detail: Callable[[Finding], str] = lambda f: ""  #: what a verdict adds to the kind
    folded: bool = False  #: whether a table shows the count only


#: Every kind of finding, in the order in which a table shows them.
KINDS: Mapping[str, Kind] = {
    "dead": Kind(
        True,
        "no step gives it a gradient, so it never moves",
        "gradients",
        lambda f: f"{f.dead} of {f.units} units" if f.dead < f.units else "",
    ),
    "twins": Kind(
        True,
        "units that are equal now and learn alike, so they stay equal",
        "symmetry",
        lambda f: f"{f.units} units act as {f.act_as}",
    ),
    "zero on purpose": Kind(
        False, "it wakes by itself", "zero-on-purpose", lambda f: f"wakes at step {f.wakes}"
    ),
    "not used by this loss": Kind(
        False, "another loss may use it; if none does, remove it", "gradients"
    ),
    "frozen": Kind(False, "it has no gradient, as you asked", folded=True),
    "fine": Kind(False, "it moves, and its units differ", folded=True),
}


@dataclass(frozen=True)
class Finding:
    """What an audit found of one parameter.

    Parameters
    ----------
    name : str
        The parameter's name in the model; of tied ones the first.
    shape : tuple of int
        Its shape.
    wakes : int or None
        The step, from 1, with its first gradient that is not exactly zero; None if none came.
    units : int
        Rows along the axis of outputs: output units, channels, tokens, gates, experts.
    distinct, distinct_after : int
        How many of the units are different, to the last bit, before the first step and after the
        last.
    act_as : int
        As how many units they learn: ``units``, less all but one of each group of twins.
    dead : int
        How many units cannot move: all of a parameter without a gradient; else those of weight zero
        that no step gave a gradient.
    kind : str
        "fine", "zero on purpose", "dead", "twins", "not used by this loss" or "frozen".
    names : tuple of str, optional
        All names of a tied parameter; by default its one name.
    unreached : int, default 0
        How many units of non-zero weight no step gave a gradient.
    cause : str, optional
        What hides it; equal for all findings of one cause.
    remedy : str, optional
        The smallest change that wakes it.

    Examples
    --------
    A last layer of zeros moves at the first step, and the layer behind it at the second:

    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, audit, half_plane, zeros_
    >>> data, model = half_plane(), MLP([2, 16, 2])
    >>> last = zeros_(model.layers[1])
    >>> found = audit(model, lambda m: F.cross_entropy(m(data.x), data.y))
    >>> for finding in found.findings[::2]:
    ...     finding.name, finding.wakes, finding.verdict
    ('layers.0.weight', 2, 'zero on purpose (wakes at step 2)')
    ('layers.1.weight', 1, 'zero on purpose (wakes at step 1)')
    """

    name: str
    shape: tuple[int, ...]
    wakes: int | None
    units: int
    distinct: int
    distinct_after: int
    act_as: int
    dead: int
    kind: str
    names: tuple[str, ...] = ()
    unreached: int = 0
    cause: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", (self.name,))

    @property
    def verdict(self) -> str:
        """The kind, and what belongs to it."""
        detail = KINDS[self.kind].detail(self)
        return f"{self.kind} ({detail})" if detail else self.kind


@dataclass(frozen=True)
class Audit:
    """What an audit found, for every parameter; printed, a table.

    Parameters
    ----------
    findings : tuple of Finding
        In the order of the model's parameters.
    steps : int
        How many steps were taken.

    Examples
    --------
    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, audit, half_plane, zeros_
    >>> data = half_plane()
    >>> found = audit(zeros_(MLP([2, 16, 2])), lambda m: F.cross_entropy(m(data.x), data.y))
    >>> [finding.name for finding in found.faults], found["layers.1.bias"].verdict
    (['layers.0.weight', 'layers.0.bias', 'layers.1.weight'], 'fine')

    There is no finding for a name that no parameter has:

    >>> found["layers.2.bias"]
    Traceback (most recent call last):
        ...
    KeyError: "there is no parameter 'layers.2.bias': see model.named_parameters()"
    """

    findings: tuple[Finding, ...]
    steps: int

    def __getitem__(self, name: str) -> Finding:
        """Return the finding for a parameter, by any of its names."""
        for finding in self.findings:
            if name in finding.names:
                return finding
        raise KeyError(f"there is no parameter {name!r}: see model.named_parameters()")

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that must be mended: *dead* and *twins*."""
        return tuple(f for f in self.findings if KINDS[f.kind].fault)

    def __str__(self) -> str:
        head = ("parameter", "shape", "first gradient", "units", "distinct", "after", "verdict")
        rows: list[tuple[str, ...]] = [head]
        for f in self.findings:
            shape = "×".join(map(str, f.shape)) or "1"
            woken = f"step {f.wakes}" if f.wakes else "never"
            numbers = map(str, (f.units, f.distinct, f.distinct_after))
            rows.append((f.name, shape, woken, *numbers, f.verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        kinds = {f.kind for f in self.findings}
        lines += [
            f"{name}: {kind.meaning} (page {kind.page})"
            for name, kind in KINDS.items()
            if name in kinds and kind.page
        ]
        return "\n".join(lines)
