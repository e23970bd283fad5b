"""Take steps with the optimizer of a training, and say what it does to zeros and to twins.

An optimizer that normalizes, scales or preconditions may treat a zero weight otherwise than any
other. So its steps are measured against its own: those of an ordinary weight in the same place,
given the same gradients.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._modules import dense, held
from zeroinit._sharded import Ranks, as_sharded, whole
from zeroinit._watched import Watched
from zeroinit.report import Remark

#: What to do about an optimizer that the audit cannot take steps with.
INSTEAD = "leave the optimizer out, the audit then takes plain gradient steps"
#: As many steps are taken, at most, to see whether an optimizer parts twins.
LONG_ENOUGH = 20
#: As many steps with a gradient are compared.
FIRST = 3
#: A step below this part of the ordinary is none, one below the other is slow.
NONE, SLOW = 1e-4, 0.1
#: A first step of more than so many ordinary ones is large.
LARGE = 3.0
#: Twins are parted if they differ by more than this part of the way they have gone.
PARTED = 1e-3
#: A step without a gradient that changes a parameter by more than this part is no weight decay.
DECAY = 0.1


def check(model: nn.Module, optimizer: Any) -> None:
    """Refuse what is no optimizer of a model, or one that asks for the loss itself.

    Raises
    ------
    TypeError
        If it is no optimizer.
    ValueError
        If it holds no parameter of the model, or needs a closure.
    """
    if isinstance(optimizer, type):
        name = optimizer.__name__
        raise TypeError(
            f"the optimizer must be an instance, got the class {name}: "
            f"write optimizer={name}(model.parameters())"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"the optimizer must be one of torch.optim, got {type(optimizer).__name__}: "
            "give the optimizer itself, which has param_groups and step()"
        )
    if not held(optimizer) & set(map(id, model.parameters())):
        raise ValueError(
            f"{type(optimizer).__name__} holds no parameter of this model: make it of "
            "model.parameters(), after the last change that gives the model new ones"
        )
    needed = inspect.signature(type(optimizer).step).parameters.get("closure")
    if needed is not None and needed.default is inspect.Parameter.empty:
        name = type(optimizer).__name__
        raise ValueError(f"{name} calls the loss itself, several times a step: {INSTEAD}")


@dataclass
class Pace:
    """The first gradients of a parameter, and how far along them each step went."""

    before: Tensor | None = None
    start: Tensor | None = None
    gradients: list[Tensor] = field(default_factory=list)
    ways: list[float] = field(default_factory=list)

    def look(self, parameter: Tensor) -> None:
        """Keep a gradient, unless there are enough, and the numbers before the step."""
        g = parameter.grad
        if len(self.gradients) < FIRST and g is not None and bool(dense(g).any()):
            self.gradients.append(g.detach().clone())
            self.before = parameter.detach().clone()
            if self.start is None:
                self.start = self.before

    def learn(self, parameter: Tensor) -> None:
        """Take down how far the step went against the gradient, weight decay apart."""
        if self.before is None or self.start is None:
            return
        start, g = _flat(self.start), _flat(self.gradients[-1])
        g = g / torch.linalg.vector_norm(g, math.inf)
        moved = _flat(parameter.detach()) - _flat(self.before)
        moved -= start * (moved @ start / (start @ start).clamp_min(1e-30))
        self.ways.append(float(-(moved @ g) / g.norm()))
        self.before = None


def _flat(numbers: Tensor) -> Tensor:
    return dense(numbers).reshape(-1).float()


class Trial:
    """Steps of an optimizer from the start that gradient descent has been tried on.

    ``gradients`` is called with the number of a step, from 1, leaves the gradients of the loss in
    the parameters, and gives the loss, or None at the end of its batches; ``restore``
    puts model and optimizer back to the start.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        watched: Sequence[Watched],
        gradients: Callable[[int], float | None],
        restore: Callable[[], None],
        ranks: Ranks,
    ) -> None:
        own = held(optimizer)
        self.optimizer, self.name = optimizer, type(optimizer).__name__
        self.gradients, self.restore, self.ranks = gradients, restore, ranks
        self.watched = [w for w in watched if w.trained and w.writable and id(w.parameter) in own]
        self.faults: dict[str, tuple[str, str]] = {}  # by names: kind and cause
        self.remarks: list[Remark] = []

    def run(self, least: int) -> None:
        """Take a few steps, and more to see whether twins part; then those to compare with."""
        self.restore()
        _warmed(self.optimizer)
        started = {id(p) for p, state in self.optimizer.state.items() if state}
        zero = [w for w in self.watched if w.wakes and not bool(dense(w.parameter.detach()).any())]
        late = [
            w for w in self.watched
            if (w.wakes or 0) > 1 and not (w.missed or w.left_out) and w not in zero
        ]  # fmt: skip
        paces = {w: Pace() for w in (*zero, *late)}
        starts = {
            w: w.parameter.detach().clone()
            for w in self.watched
            if w.may_be_twins() and w.act_as() < w.units
        }
        for step in range(1, max(LONG_ENOUGH, least) + 1):
            compared = all(len(p.ways) == FIRST for p in paces.values())
            [more] = self.ranks.either(step <= least or bool(starts) or not compared)
            if not more:
                break
            [ended] = self.ranks.either(not self.take(step, paces, started))
            if ended:
                break
            starts = {w: start for w, start in starts.items() if not self.parts(w, start, step)}
        [faulty] = self.ranks.either(bool(self.faults))
        if not faulty:
            self.compare(zero, paces)

    def take(self, step: int, paces: dict[Watched, Pace], started: set[int]) -> bool:
        """Take a step, and say whether another can follow."""
        loss = self.gradients(step)
        if loss is None:
            return False
        if not math.isfinite(loss):
            text = f"with {self.name} the loss is {loss} at step {step}"
            self.faults |= {w.name: ("not finite", text) for w in self.watched}
            return False
        asleep = {}
        for w in self.watched:
            g = w.parameter.grad
            if step == 1 and id(w.parameter) not in started and (g is None or not dense(g).any()):
                asleep[w] = w.parameter.detach().clone()
        for w, pace in paces.items():
            if step >= (w.wakes or 1):
                pace.look(w.parameter)
        try:
            self.optimizer.step()
        except Exception as error:
            said = f"{type(error).__name__} at step {step}: {' '.join(str(error).split())}"
            raise ValueError(f"{self.name}.step() raises {said}: {INSTEAD}") from error
        for w, pace in paces.items():
            pace.learn(w.parameter)
        lost = [w for w in self.watched if not bool(_flat(w.parameter.detach()).isfinite().all())]
        text = f"{self.name} brings numbers that are not finite at step {step}"
        self.faults |= {w.name: ("not finite", text) for w in lost}
        changed = []
        for w, before in asleep.items():
            now, then = _flat(w.parameter.detach()), _flat(before)
            moved, size = (now - then).norm(), then.norm()
            if w in lost or not bool(moved > DECAY * size):
                continue
            if bool(now.norm() < DECAY * size):
                text = f"{self.name} sets to zero what has no gradient"
                self.faults[w.name] = "erased", text
            else:
                changed.append(w.name)
        if changed:
            text = f"{self.name} changes these where they have no gradient"
            self.remarks.append(Remark("overwritten", tuple(changed), text))
        return not lost

    def parts(self, w: Watched, start: Tensor, step: int) -> bool:
        """Say whether the twins of a parameter have been parted, and by how much."""
        some = slice(None) if w.entries else w.alike.rows
        rows = w.rows(w.parameter)[some]
        way = (rows - w.rows(start)[some]).norm()
        _, group = (w.entries.group if w.entries else w.group).unique(return_inverse=True)
        first = torch.full((int(group.max()) + 1,), len(group), device=group.device)
        places = torch.arange(len(group), device=group.device)
        first.scatter_reduce_(0, group, places, "amin")
        apart = float((rows - rows[first[group]]).norm() / way) if way else 0.0
        if apart < PARTED:
            return False
        text = (
            f"{self.name} parts these twins, out of rounding or a draw: they differ after "
            f"{step} step{'s' * (step > 1)} by {_short(apart)} of the way they have gone"
        )
        self.remarks.append(Remark("parts twins", (w.name,), text, (apart,)))
        return True

    def compare(self, zero: Sequence[Watched], paces: dict[Watched, Pace]) -> None:
        """Give ordinary weights the same gradients, and compare the steps."""
        paces = {w: pace for w, pace in paces.items() if pace.ways}
        if not paces:
            return
        self.restore()
        _warmed(self.optimizer)
        sizes = [w.size for w in self.watched if w.parameter.ndim > 1 and w.size]
        usual = sorted(sizes)[len(sizes) // 2] if sizes else 0.1
        ordinary = {w: Pace() for w in paces}
        for p in {id(p): p for g in self.optimizer.param_groups for p in g["params"]}.values():
            p.grad = torch.zeros_like(p)  # as not every optimizer passes over None
        for w in paces:
            if w in zero:
                draw = torch.Generator(w.parameter.device).manual_seed(0)
                numbers = whole(torch.empty_like(w.parameter.data)).normal_(
                    0, usual, generator=draw
                )
                w.parameter.data.copy_(as_sharded(numbers, w.parameter))
        try:
            for step in range(FIRST):
                for w, pace in paces.items():
                    if step < len(pace.ways):
                        w.parameter.grad = pace.gradients[step].clone()
                    ordinary[w].look(w.parameter)
                self.optimizer.step()
                for w in paces:
                    ordinary[w].learn(w.parameter)
        except Exception:
            return  # such as an optimizer that takes sparse gradients alone
        ratios: dict[Watched, list[float]] = {}
        for w, pace in paces.items():
            least = 10 * torch.finfo(w.parameter.dtype).eps * usual
            both = zip(pace.ways, ordinary[w].ways, strict=False)
            found = [one / other for one, other in both if other > least]
            if len(found) > 1:
                ratios[w] = found
        self.say("what is zero", {w: r for w, r in ratios.items() if w in zero})
        self.say(
            "what has its first gradient late", {w: r for w, r in ratios.items() if w not in zero}
        )

    def say(self, what: str, ratios: dict[Watched, list[float]]) -> None:
        """Sort what was measured into what does not move, what is slow, and what jumps."""
        slow, large = {}, {}
        for w, (first, *rest) in ratios.items():
            if max(map(abs, (first, *rest))) < NONE:
                self.faults[w.name] = "stuck", f"{self.name} does not move {what}"
            elif first > LARGE:
                large[w.name] = first, rest[-1]
            elif rest[-1] < SLOW:
                slow[w.name] = first, max(rest[-1], NONE)
        if slow:
            pace = _span(second for _, second in slow.values())
            text = f"{self.name} moves {what} at {pace} of the ordinary pace"
            self.remarks.append(Remark("slow", tuple(slow), text, _mean(slow)))
        if large:
            firsts = _span(first for first, _ in large.values())
            seconds = _span(second for _, second in large.values())
            text = (
                f"the first step of {self.name} with {what} is {firsts} times the ordinary, "
                f"a later one {seconds}"
            )
            self.remarks.append(Remark("large first step", tuple(large), text, _mean(large)))


def _mean(several: dict[str, tuple[float, float]]) -> tuple[float, ...]:
    return tuple(sum(part) / len(several) for part in zip(*several.values(), strict=True))


def _span(several: Iterable[float]) -> str:
    """Return the smallest and the largest of some numbers, as one if they are near each other."""
    low, *_, high = sorted([*several] * 2)
    return _short(low) if _short(low) == _short(high) else f"{_short(low)} to {_short(high)}"


def _short(number: float) -> str:
    """Return a positive number in a few characters, as 1/120 or 9.6."""
    small = 0 < number < 0.1
    rounded = float(f"{1 / number if small else number:.2g}")
    return f"{'1/' * small}{rounded:,.12g}"


def _warmed(optimizer: Optimizer) -> None:
    """Give a learning rate that a schedule starts at zero its usual value; it is restored later."""
    for group in optimizer.param_groups:
        if not group.get("lr", 1) and group.get("initial_lr"):
            group["lr"] = group["initial_lr"]
