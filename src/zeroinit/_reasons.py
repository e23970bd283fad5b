"""Report what the steps of an audit found: the verdicts, their causes, and what helps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from zeroinit._causes import Cause, Cuts, joined, listed
from zeroinit._remedies import Change, changes, fill_units, start_whole
from zeroinit._run import Run
from zeroinit._watched import Watched
from zeroinit.report import KINDS, Audit, Finding

#: The causes that pass without a step: a draw, a choice, or units that are off for some batches.
LEAVES_OUT = frozenset({"mask", "choice", "empty", "off", "saturated"})

#: What is said where causes and remedies could not be looked for.
ENDED = (
    "the loss ran out of batches, so some causes and remedies are not known: "
    "give the same batch at every step, or use itertools.cycle"
)
#: What is said of an operation that keeps its part of the graph to itself.
HIDES = (
    "{} hides a part of the network, so nobody has looked for gradients that are rounding, for "
    "what this batch alone makes equal, and for causes: use torch.utils.checkpoint instead of it"
)


def report(run: Run, restore: Callable[[], None]) -> Audit:
    """Say what a run found, why, and what helps."""
    moving = any(w.wakes for w in run.watched)
    for w in run.watched:
        cause = run.causes.get(id(w.parameter))
        w.left_out = cause is not None and cause.what in LEAVES_OUT
        w.used &= cause != Cause("empty") or w.wakes is not None or not w.parameter.numel()
    found = [w.finding(moving) for w in run.watched]
    found = [_worst(several) for several in zip(*run.ranks.all(found), strict=True)]
    alike = _drawn_alike(run, found, restore) if run.ranks.ranks else {}
    found = [
        replace(f, kind="drawn alike") if f.name in alike and f.kind != "twins" else f
        for f in found
    ]
    reasons, *_ = run.ranks.all(_explain(run, restore, {f.name: f.kind for f in found}, alike))
    return Audit(
        tuple(
            replace(f, cause=reasons[f.name][0], remedy=reasons[f.name][1])
            if f.name in reasons
            else f
            for f in found
        ),
        run.step,
        note="; ".join([ENDED] * run.ended + [HIDES.format(run.hides)] * bool(run.hides)),
    )


def _worst(several: Sequence[Finding]) -> Finding:
    """Return the gravest of what ranks found of one parameter, of which each may have its own."""
    return min(several, key=lambda f: list(KINDS).index(f.kind))


def _drawn_alike(run: Run, found: Iterable[Finding], restore: Callable[[], None]) -> dict[str, int]:
    """Return by name how many shards are equal at the start, which no start of the whole gives."""
    restore()
    able = [
        f for f in found if f.kind == "twins" or not (KINDS[f.kind].fault or f.kind == "frozen")
    ]
    parameters = {w.name: w.parameter for w in run.watched}
    shards = run.ranks.drawn_alike([parameters[f.name] for f in able])
    return {f.name: n for f, n in zip(able, shards, strict=True) if n > 1}


def _explain(
    run: Run, restore: Callable[[], None], kinds: dict[str, str], alike: dict[str, int]
) -> dict[str, tuple[str, str]]:
    """Return the cause and the remedy of what is dead, waits, is not used or drawn alike."""
    reasons: dict[str, tuple[str, str]] = {}
    named = {w.name: w for w in run.watched}
    names_of = {id(w.parameter): w.name for w in run.watched}
    dead: dict[int, Cause] = {}
    waiting: dict[str, list[str]] = {}  # by the zero that hides them
    for name, kind in kinds.items():
        cause = run.causes.get(id(named[name].parameter))
        if kind == "dead" and cause is not None:
            dead[id(named[name].parameter)] = cause
        elif kind == "zero on purpose" and cause is not None and cause.what == "zero":
            are = "is" if len(cause.at) == 1 else "are"
            reasons[name] = f"waits for {listed(sorted(cause.at))}, which {are} zero", ""
            for zero in cause.at:
                waiting.setdefault(zero, []).append(name)
        elif kind == "zero on purpose" and cause is not None:
            reasons[name] = f"waits while {cause}", ""
        elif kind in ("not used by this loss", "left out") and cause is not None:
            reasons[name] = str(cause), ""
    for name, kind in kinds.items():
        if kind == "zero on purpose" and named[name].wakes == 1:
            behind = waiting.get(name, [])
            wait = f"; {listed(behind)} wait{'s' * (len(behind) == 1)} for it" if behind else ""
            reasons[name] = f"all zero, moves at step 1{wait}", ""
    groups: dict[Cause, list[str]] = {}
    for key, cause in joined(dead, names_of).items():
        groups.setdefault(cause, []).append(names_of[key])
    for cause, names in groups.items():
        remedy = _tried(run, restore, changes(run.model, cause, names), names)
        reasons |= dict.fromkeys(names, (str(cause), remedy))
    for name, w in named.items():
        if kinds[name] == "dead" and any(run.ranks.either(w.wakes is not None)):
            change = fill_units(w.parameter, w.places(w.sleeping()))
            remedy = _tried(run, restore, [change], [name])
            if remedy:
                reasons[name] = "these units and the factors beside them are zero", remedy
    if alike:
        change = start_whole(run.model, list(alike))
        remedy = _tried(run, restore, [change], list(alike), Watched.may_be_twins)
        why = f"{max(alike.values())} ranks drew the same shard"
        reasons |= dict.fromkeys(alike, (why, remedy))
    unused = [w for n, w in named.items() if kinds[n] == "not used by this loss"]
    unused = [w for w in unused if run.causes.get(id(w.parameter)) != Cause("empty")]
    return reasons | _not_used(run, restore, unused)


def _tried(
    run: Run,
    restore: Callable[[], None],
    several: Iterable[Change],
    names: Sequence[str],
    still: Callable[[Watched], bool] = Watched.seems_dead,
) -> str:
    """Return the first change with which what is named is dead no more, or whatever it was."""
    for text, change in several:
        restore()
        run.ranks.settle()
        trial = Run(run.model, run.loss, run.ranks, why=False)
        try:
            with run.ranks.together(), change():
                for _ in range(3):
                    trial.take(last=False)
                    [left] = run.ranks.either(
                        any(w.name in names and still(w) for w in trial.watched)
                    )
                    if not left:
                        return text
        except (RuntimeError, ValueError) as error:  # the change does not go with this loss
            run.ended |= isinstance(error.__cause__, StopIteration)
            continue
        finally:
            restore()
    return ""


def _not_used(
    run: Run, restore: Callable[[], None], unused: Sequence[Watched]
) -> dict[str, tuple[str, str]]:
    """Return why parameters have no part in the graph of the loss, or only by a choice."""
    cuts = Cuts()
    cut = [w for w in unused if w.module in run.calls.called and (run.chooses or not w.used)]
    [called] = run.ranks.either(bool(cut))
    if called:
        restore()
        run.ranks.settle()
        try:
            with cuts:
                run.loss(run.model)
        except StopIteration:
            run.ended = True
        except (RuntimeError, ValueError):
            pass  # the steps have shown all there is to say
    names = {module: name for name, module in run.model.named_modules()}
    reasons: dict[str, tuple[str, str]] = {}
    for w in unused:
        if w.used:
            by = listed([*cuts.chosen.get(id(w.parameter), ())])
            cancel = run.causes.get(id(w.parameter)) == Cause("cancel")
            if by and cancel:
                reasons[w.name] = f"{Cause('cancel')}: only {by} depend on it", ""
            continue
        by = listed(sorted(cuts.by.get(id(w.parameter), ()), key=lambda one: "indices" in one))
        why = f"cut off by {by}" if by else "no way leads from it to the loss"
        if not by and w.module not in run.calls.called and not list(w.module.children()):
            why = f"{names[w.module] or type(w.module).__name__} is never called"
        reasons[w.name] = why, ""
    return reasons
