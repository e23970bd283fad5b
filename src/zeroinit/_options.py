"""The options of an audit: several losses, names to ignore, and how strict it is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._modules import held, hidden
from zeroinit._watched import Watched
from zeroinit.report import KINDS, Finding


def as_list(loss: Any) -> Sequence[Callable[[nn.Module], Tensor]]:
    """Return one loss, or several, as several.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not isinstance(loss, list | tuple):
        return [loss]
    if not loss:
        raise ValueError("there are no losses: give a function of the model, or a list of some")
    return loss


def matching(model: nn.Module, ignore: Any) -> set[str]:
    """Return the names of parameters that patterns match.

    Raises
    ------
    TypeError
        If the patterns are no list of strings.
    ValueError
        If one matches nothing.
    """
    if isinstance(ignore, str):
        raise TypeError(f"ignore must be a list of patterns, got {ignore!r}: write [{ignore!r}]")
    patterns: list[Any] = list(ignore) if isinstance(ignore, Iterable) else [None]
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"ignore must be a list of patterns, got {ignore!r}: write ['head.*']")
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    names += [name for name, _ in hidden(model)] if patterns else []
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            (near,) = get_close_matches(pattern, names, 1, 0)
            raise ValueError(f"no parameter matches {pattern!r}: the nearest name is {near!r}")
        found |= matched
    return found


def judged(
    findings: Iterable[Finding],
    watched: Iterable[Watched],
    faults: Mapping[str, tuple[str, ...]],
    optimizer: Optimizer | None,
    strict: bool,
    ignored: set[str],
) -> Iterator[Finding]:
    """Put faults of modules and of the optimizer in place of findings that are none.

    Each of the faults is a kind, a cause and perhaps a remedy, by the parameter's name.
    """
    own = held(optimizer)
    used = {w.name: id(w.parameter) for w in watched if w.used and w.trained}
    unused = {w.name for w in watched if w.trained and not w.used}
    for f in findings:
        new = f
        if KINDS[f.kind].fault:
            pass  # what no optimizer mends
        elif f.name in faults:
            kind, cause, *remedy = faults[f.name]
            new = replace(f, kind=kind, cause=cause, remedy="".join(remedy))
        elif optimizer is not None and f.name in used and used[f.name] not in own:
            new = replace(f, kind="not held", cause="", remedy="", strict=strict)
        elif f.kind == "not registered" or f.name in unused:
            new = replace(f, strict=strict)
        yield replace(new, ignored=True) if ignored & {*f.names} else new
