"""Try several losses of one model: what all of them show, and the gradients of each in turn."""

import math
from collections.abc import Callable, Sequence

from torch import nn

from zeroinit._graph import walk
from zeroinit._kept import keep_random_states
from zeroinit._run import Loss, Run, forget, gradients_of_others_kept, graphs_held
from zeroinit._sharded import Ranks, parameters_of
from zeroinit.report import Remark


def agreed(
    model: nn.Module,
    losses: Sequence[Loss],
    ranks: Ranks,
    steps: int,
    restore: Callable[[], None],
) -> tuple[Run, list[Remark]]:
    """Take the steps of each loss, and return what all agree on, and what only some say."""
    run, *others = runs = [Run(model, loss, ranks) for loss in losses]
    for one in runs:
        if one is not run:
            drawn: list[Callable[[], None]] = []
            keep_random_states(model, drawn)
            restore()
            for put in drawn:  # so that the next loss draws other numbers
                put()
        one.steps(steps)
        one.doubt_vectors(restore)
    if not others:
        return run, []
    said = [one.kinds() for one in runs]
    for other in others:
        run.agree(other)
    some: dict[tuple[str, int], list[str]] = {}
    for name, kind in run.kinds().items():
        for word in ("dead", "twins"):
            times = sum(kinds[name] == word for kinds in said)
            if times and kind != word:
                some.setdefault((word, times), []).append(name)
    return run, [
        Remark("some losses", tuple(names), f"{word} with {times} of {len(losses)} losses")
        for (word, times), names in some.items()
    ]


def in_turn(
    model: nn.Module, losses: Sequence[Loss], ranks: Ranks
) -> Callable[[int], float | None]:
    """Return what leaves the gradients of a step in the parameters, and gives its loss.

    The loss is None at the end of the batches; of several ranks it is the first that is not finite.
    """

    def gradients(step: int) -> float | None:
        ranks.settle()
        for p in model.parameters():
            p.grad = None
        caches = graphs_held(model)
        try:
            value = losses[(step - 1) % len(losses)](model)
        except StopIteration:
            ranks.all(None)
            return None
        numbers = ranks.all(value.item())
        if None in numbers:
            return None
        if all(map(math.isfinite, numbers)):
            with gradients_of_others_kept(model, walk(value)):
                value.backward()
            parameters = parameters_of(model)
            found = ranks.added_up(parameters, [p.grad for p in parameters])
            for own, gradient in zip(parameters, found, strict=True):
                own.grad = gradient
        forget(caches)
        return next((n for n in numbers if not math.isfinite(n)), numbers[0])

    return gradients
