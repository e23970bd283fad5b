"""The report of an audit: a finding for each parameter, a verdict, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The version of the form of :meth:`Audit.to_dict`.
SCHEMA = 1


class Kind(NamedTuple):
    """What belongs to all findings of one kind.

    Examples
    --------
    >>> KINDS["dead"].fault, KINDS["fine"].fault
    (True, False)
    """

    fault: bool  #: whether it must be mended
    meaning: str  #: one line
    page: str = ""  #: of the book, if one explains it
    detail: Callable[[Finding], str] = lambda f: ""  #: what a verdict adds to the kind
    folded: bool = False  #: whether HTML shows the count only, and a figure no verdict


#: Every kind of finding, in the order in which a table shows them.
#:
#: :meta hide-value:
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
    "drawn alike": Kind(
        True,
        "several ranks drew the same numbers for their shards, so units start as copies",
        "symmetry",
        lambda f: f"{f.units} units start as {f.distinct}" if f.distinct < f.units else "",
    ),
    "equal modules": Kind(
        True,
        "modules that are equal now and learn alike, so they stay equal",
        "symmetry",
    ),
    "twin parameters": Kind(
        True,
        "parameters that are equal now and learn alike, so they stay equal",
        "symmetry",
    ),
    "stuck": Kind(
        True,
        "it has a gradient, and the given optimizer does not move it",
        "check-your-network",
    ),
    "erased": Kind(
        True,
        "the given optimizer sets it to zero where it has no gradient",
        "check-your-network",
    ),
    "not finite": Kind(
        True,
        "the given optimizer brings numbers that are not finite",
        "check-your-network",
    ),
    "shared memory": Kind(
        True,
        "its numbers share one place in memory, so a step raises: clone() it",
        "check-your-network",
    ),
    "not registered": Kind(
        False,
        "the loss uses it, and model.parameters() does not give it",
        "check-your-network",
    ),
    "not held": Kind(
        False,
        "no group of the given optimizer holds it, so no step moves it",
        "check-your-network",
    ),
    "out of scale": Kind(
        False, "its weights or its gradients are far from any usual size", "why-the-start-matters"
    ),
    "unreached": Kind(
        False,
        "units that this batch never reaches: off, or chosen by no sample",
        "check-your-network",
        lambda f: f"{f.unreached} of {f.units} units",
    ),
    "left out": Kind(
        False,
        "a draw, a choice or units that were off left it out of the first step",
        "check-your-network",
        lambda f: f"wakes at step {f.wakes}",
    ),
    "zero on purpose": Kind(
        False,
        "it wakes by itself, whether its zeros are meant or not",
        "zero-on-purpose",
        lambda f: f"wakes at step {f.wakes}",
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
        A key of ``KINDS``, such as "fine", "zero on purpose", "dead" or "twins".
    names : tuple of str, optional
        All names of a tied parameter; by default its one name.
    unreached : int, default 0
        How many units no step gave a gradient, beside those that are dead.
    cause : str, optional
        What hides it; equal for all findings of one cause.
    remedy : str, optional
        The smallest change that wakes it.
    strict : bool, default False
        Whether it is a fault because :func:`~zeroinit.auditing.audit` was asked to be strict.
    ignored : bool, default False
        Whether its name was to be ignored: it is no fault then.

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
    strict: bool = False
    ignored: bool = False

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", (self.name,))

    @property
    def verdict(self) -> str:
        """The kind, and what belongs to it."""
        detail = KINDS[self.kind].detail(self)
        whole = f"{self.kind} ({detail})" if detail else self.kind
        return f"{whole}, ignored" if self.ignored else whole

    @property
    def fault(self) -> bool:
        """Whether it must be mended."""
        return (KINDS[self.kind].fault or self.strict) and not self.ignored


@dataclass(frozen=True)
class Remark:
    """What an audit found of several parameters or modules together, and what is no fault.

    Parameters
    ----------
    kind : str
        "slow", "large first step", "overwritten" or "parts twins", of an optimizer; "equal at the
        start", "equal parameters" or "one object", of modules; "some losses".
    names : tuple of str
        The parameters or modules that it is about.
    text : str
        One sentence without them.
    numbers : tuple of float, optional
        Of an optimizer, what was measured: of "slow" and "large first step" how far the first step
        with a gradient goes, and a later one, if those of an ordinary weight are 1.

    Examples
    --------
    Adafactor moves each weight in proportion to its size, so zeros move slowly:

    >>> import torch
    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, audit, half_plane
    >>> data, model = half_plane(), MLP([2, 16, 2])
    >>> last = torch.nn.init.zeros_(model.layers[1].weight)
    >>> found = audit(
    ...     model,
    ...     lambda m: F.cross_entropy(m(data.x), data.y),
    ...     optimizer=torch.optim.Adafactor(model.parameters()),
    ... )
    >>> for remark in found.remarks:
    ...     remark.kind, "layers.1.weight" in remark.names, max(remark.numbers) < 0.1
    ('slow', True, True)
    """

    kind: str
    names: tuple[str, ...]
    text: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, repr=False)
class Audit:
    """What an audit found, for every parameter.

    Printed, it gives the causes of the faults and a table of the other verdicts; a notebook shows
    the same, with all names. ``len`` counts the parameters, a loop gives their findings, and ``in``
    says whether a name has one.

    Parameters
    ----------
    findings : tuple of Finding
        In the order of the model's parameters.
    steps : int
        How many steps of gradient descent were taken.
    note : str, optional
        What was unusual of the audit itself, such as that it worked on a copy.
    remarks : tuple of Remark, optional
        What is of several parameters or modules together, and no fault.

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
    note: str = ""
    remarks: tuple[Remark, ...] = ()

    def __getitem__(self, name: str) -> Finding:
        """Return the finding for a parameter, by any of its names."""
        for finding in self.findings:
            if name in finding.names:
                return finding
        raise KeyError(f"there is no parameter {name!r}: see model.named_parameters()")

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that must be mended, such as those that say *dead* or *twins*."""
        return tuple(f for f in self.findings if f.fault)

    def __contains__(self, name: object) -> bool:
        """Say whether there is a finding for a parameter of this name."""
        return any(name in finding.names for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        """Give the findings, in the order of the model's parameters."""
        return iter(self.findings)

    def __len__(self) -> int:
        """Return the number of findings."""
        return len(self.findings)

    def __str__(self) -> str:
        from zeroinit import _tables  # here, as it imports this module

        return _tables.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from zeroinit import _tables

        return _tables.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers, as JSON has them.

        Returns
        -------
        dict
            ``"schema"``, the version of this form, now 1; the fields of the audit; and each finding
            with its fields, its ``"verdict"`` and whether it is a ``"fault"``.

        Examples
        --------
        >>> from zeroinit import MLP, audit, half_plane
        >>> import torch.nn.functional as F
        >>> data, model = half_plane(), MLP([2, 16, 2], "tanh")
        >>> found = audit(model, lambda m: F.cross_entropy(m(data.x), data.y)).to_dict()
        >>> found["schema"], found["steps"], found["findings"][0]["verdict"]
        (1, 3, 'fine')
        """
        whole = {"schema": SCHEMA} | asdict(self)
        whole["findings"] = [
            asdict(f) | {"verdict": f.verdict, "fault": f.fault} for f in self.findings
        ]
        plain: dict[str, Any] = json.loads(json.dumps(whole))
        return plain

    @classmethod
    def from_dict(cls, whole: Mapping[str, Any]) -> Audit:
        """Return the audit that :meth:`to_dict` made these dicts and lists of.

        Parameters
        ----------
        whole : mapping
            What ``to_dict`` gave, also after a way through JSON.

        Raises
        ------
        ValueError
            If it has another schema.

        Examples
        --------
        >>> Audit.from_dict({"schema": 0})
        Traceback (most recent call last):
            ...
        ValueError: the schema must be 1, got 0: write it anew with this version of zeroinit
        """
        if whole.get("schema") != SCHEMA:
            raise ValueError(
                f"the schema must be {SCHEMA}, got {whole.get('schema')!r}: "
                "write it anew with this version of zeroinit"
            )
        findings = tuple(Finding(**_fields(Finding, f)) for f in whole["findings"])
        remarks = tuple(Remark(**_fields(Remark, r)) for r in whole.get("remarks", ()))
        return cls(**_fields(cls, whole) | {"findings": findings, "remarks": remarks})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the step of each parameter's first gradient; a cross where none came.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure that is as high as it has rows.

        Returns
        -------
        Axes
            The same ``ax``, the last parameter on top. Frozen parameters are left out. Of more than
            40 parameters, those with the same verdict share a row if their names differ in numbers
            only; where that leaves more than 40 rows, all those with the same verdict do.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing, which the extra ``zeroinit[plots]`` brings.

        Examples
        --------
        >>> import torch.nn.functional as F
        >>> from matplotlib.figure import Figure
        >>> from zeroinit import MLP, audit, half_plane, zeros_
        >>> data = half_plane()
        >>> found = audit(zeros_(MLP([2, 16, 2])), lambda m: F.cross_entropy(m(data.x), data.y))
        >>> ax = found.plot(Figure().subplots())
        >>> [label.get_text() for label in ax.get_yticklabels()][2:]
        ['layers.1.weight: dead', 'layers.1.bias']
        """
        from zeroinit import _tables
        from zeroinit.figures import tiles  # it needs matplotlib, an extra

        rows = _tables.tiles(self)
        if ax is None:
            from matplotlib.pyplot import subplots

            _, ax = subplots(figsize=(6.4, 0.9 + 0.27 * len(rows)), layout="constrained")
        steps = {str(row): step for row, (_, step) in enumerate(rows)}
        tiles.wakes(ax, {"step of the first gradient": steps})
        ax.set_yticklabels([label for label, _ in rows])
        return ax


def _fields(of: type[Finding | Remark | Audit], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are fields of a class, with tuples for lists."""
    known = {field.name for field in fields(of)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known
    }
