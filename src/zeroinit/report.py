"""The report of an audit: a finding for each parameter, a verdict, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass

#: What each verdict asks for, and the page of the book that explains it.
REMEDIES: Mapping[str, tuple[str, str]] = {
    "dead": ("give it, or the layer that hides it, random weights", "gradients"),
    "twins": ("start the units different: random weights in or out", "symmetry"),
    "zero on purpose": ("nothing: it wakes by itself", "zero-on-purpose"),
    "not used by this loss": ("nothing, if another loss uses it; else remove it", "gradients"),
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

    @property
    def verdict(self) -> str:
        """The kind, and what belongs to it."""
        if self.kind == "zero on purpose":
            return f"zero on purpose (wakes at step {self.wakes})"
        if self.kind == "twins":
            return f"twins ({self.units} units act as {self.act_as})"
        if self.kind == "dead" and self.dead < self.units:
            return f"dead ({self.dead} of {self.units} units)"
        return self.kind


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
        """Return the finding for a parameter."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"there is no parameter {name!r}: see model.named_parameters()")

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that say *dead* or *twins*."""
        return tuple(f for f in self.findings if f.kind in ("dead", "twins"))

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
        kinds = dict.fromkeys(f.kind for f in self.findings)
        lines += [
            f"{kind}: {remedy} (page {page})"
            for kind, (remedy, page) in REMEDIES.items()
            if kind in kinds
        ]
        return "\n".join(lines)
