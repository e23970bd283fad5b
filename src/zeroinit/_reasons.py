"""Report what the steps of an audit found: the verdicts, their causes, and what helps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from zeroinit._causes import Cause, Cuts, joined, listed
from zeroinit._remedies import Change, changes, fill_rows
from zeroinit._run import Run
from zeroinit._watched import Watched
from zeroinit.report import Audit

#: The causes that pass without a step: a draw, a choice, or units that are off for some batches.
LEAVES_OUT = frozenset({"mask", "choice", "off", "saturated"})


def report(run: Run, restore: Callable[[], None]) -> Audit:
    """Say what a run found, why, and what helps."""
    moving = any(w.wakes for w in run.watched)
    for w in run.watched:
        cause = run.causes.get(id(w.parameter))
        w.left_out = cause is not None and cause.what in LEAVES_OUT
    found = [w.finding(moving) for w in run.watched]
    reasons = _explain(run, restore, {f.name: f.kind for f in found})
    return Audit(
        tuple(
            replace(f, cause=reasons[f.name][0], remedy=reasons[f.name][1])
            if f.name in reasons
            else f
            for f in found
        ),
        run.step,
    )


def _explain(
    run: Run, restore: Callable[[], None], kinds: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """Return the cause and the remedy of what is dead, waits or is not used."""
    reasons: dict[str, tuple[str, str]] = {}
    named = {w.name: w for w in run.watched}
    dead: dict[int, Cause] = {}
    for name, kind in kinds.items():
        cause = run.causes.get(id(named[name].parameter))
        if kind == "dead" and cause is not None:
            dead[id(named[name].parameter)] = cause
        elif kind == "zero on purpose" and cause is not None and cause.what == "zero":
            reasons[name] = f"waits for {listed(sorted(cause.at))}, which is zero", ""
        elif kind in ("not used by this loss", "left out") and cause is not None:
            reasons[name] = str(cause), ""
    groups: dict[Cause, list[str]] = {}
    for key, cause in joined(dead, {id(w.parameter): w.name for w in run.watched}).items():
        groups.setdefault(cause, []).append(
            next(n for n, w in named.items() if id(w.parameter) == key)
        )
    for cause, names in groups.items():
        remedy = _tried(run, restore, changes(run.model, cause, names), names)
        reasons |= dict.fromkeys(names, (str(cause), remedy))
    for name, w in named.items():
        if kinds[name] == "dead" and w.wakes is not None:
            rows = w.alike.rows[w.zero & ~w.moved]
            change = fill_rows(w.parameter, rows, turned=w.turned)
            remedy = _tried(run, restore, [change], [name])
            if remedy:
                reasons[name] = "these units and the factors beside them are zero", remedy
    unused = [w for n, w in named.items() if kinds[n] == "not used by this loss" and not w.used]
    return reasons | _not_used(run, restore, unused)


def _tried(
    run: Run, restore: Callable[[], None], several: Iterable[Change], dead: Sequence[str]
) -> str:
    """Return the first change with which all that was dead gets a gradient."""
    for text, change in several:
        restore()
        trial = Run(run.model, run.loss, why=False)
        try:
            with change():
                for _ in range(3):
                    trial.take(last=False)
                    left = [w for w in trial.watched if w.name in dead and w.seems_dead()]
                    if not left:
                        return text
        except (RuntimeError, ValueError):
            continue  # the change does not go with this loss, or its batches are at an end
        finally:
            restore()
    return ""


def _not_used(
    run: Run, restore: Callable[[], None], unused: Sequence[Watched]
) -> dict[str, tuple[str, str]]:
    """Return why parameters have no part in the graph of the loss."""
    if not unused:
        return {}
    cuts = Cuts()
    if any(w.module in run.calls.called for w in unused):
        restore()
        try:
            with cuts:
                run.loss(run.model)
        except (RuntimeError, ValueError, StopIteration):
            pass  # its batches are at an end
    names = {module: name for name, module in run.model.named_modules()}
    reasons: dict[str, tuple[str, str]] = {}
    for w in unused:
        why = cuts.found.get(id(w.parameter))
        if why is None and w.module not in run.calls.called and not list(w.module.children()):
            why = f"{names[w.module] or type(w.module).__name__} is never called"
        reasons[w.name] = why or "no way leads from it to the loss", ""
    return reasons
