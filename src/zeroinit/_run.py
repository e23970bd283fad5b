"""The steps of an audit on a model, and what they show of its parameters."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from zeroinit._arguments import NO_PATH, finite, no_number
from zeroinit._causes import Calls, Cause, Search, causes
from zeroinit._checkpoint import out_of_sight
from zeroinit._graph import coarsest, leaves, rounding, uses, walk, with_other_targets
from zeroinit._modules import Equals
from zeroinit._progress import progress
from zeroinit._remedies import filled
from zeroinit._sharded import Ranks, parameter_of, parameters_of, speaks, whole
from zeroinit._watched import Slope, Watched, begin, end, measure

Loss = Callable[[nn.Module], Tensor]

#: As many more steps are taken, at most, before what may be left out by a draw is called dead.
MORE = 20


class Run:
    """The steps of an audit on a model, and what they show of its parameters."""

    def __init__(self, model: nn.Module, loss: Loss, ranks: Ranks, *, why: bool = True) -> None:
        self.model, self.loss, self.ranks, self.why = model, loss, ranks, why
        self.step = 0
        self.watched: list[Watched] = []
        self.kept: Tensor | None = None  # the last loss, with its graph, if there may be twins
        self.ahead: dict[Watched, Slope] = {}  # vectors to move when the kept graph is done with
        self.random = self.chooses = False
        self.coarsest = 0.0  # the rounding of single precision, if doubles are cast to it
        self.highest = 0.0  # of the losses of a step, without their signs
        self.ended = False  # whether a call beside the steps found no batch
        self.calls = Calls()
        self.causes: dict[int, Cause] = {}
        self.hides = ""  # an operation with a graph of its own, in which nothing can be looked for
        self.others: list[Tensor] = []  # leaves of the graph that are no parameters of the model

    def steps(self, steps: int) -> None:
        """Take the steps, and more of them while they bring news."""
        with progress(steps, speaks()) as tick:
            while True:
                tick(self.step + 1)
                self.take(last=self.step + 1 >= steps)
                news = any(self.step in (w.wakes, w.rounding) for w in self.watched)
                [more] = self.ranks.either(self.step < steps or news or self.doubtful(steps))
                if not more:
                    break
        if self.kept is not None:
            self.ask_for_something_else(self.kept)
            self.kept = None
        self.move()
        end(self.watched)

    def doubt_vectors(self, restore: Callable[[], None]) -> None:
        """Keep the equal numbers of vectors that stay so where all matrices are drawn anew.

        Others are equal as the twin units beside them are, or nearly equal by chance.
        """
        vectors = self.on_one(lambda w: w.entries is not None and w.act_as() < w.units)
        drawn = self.on_one(lambda w: w.trained and w.parameter.ndim > 1 and not w.entries)
        if not vectors or not drawn:
            return
        restore()
        self.ranks.settle()
        trial = Run(self.model, self.loss, self.ranks, why=False)
        try:
            with self.ranks.together():
                filled(self.model, [w.name for w in drawn])
                for _ in range(3):
                    trial.take(last=False)
        except (RuntimeError, ValueError) as error:  # the numbers do not go with this loss
            self.ended = isinstance(error.__cause__, StopIteration)
            trial.watched = []
        parted = {w.name: w.entries for w in trial.watched}
        for w in vectors:
            its = parted.get(w.name)
            if w.entries and its:
                w.entries.agree(its)
            else:
                w.entries = None

    def agree(self, other: "Run") -> None:
        """Take over what another loss shows, from the same start."""
        for w, its in zip(self.watched, other.watched, strict=True):
            w.agree(its)
        self.equals.agree(other.equals)
        self.hides = self.hides or other.hides
        self.step = max(self.step, other.step)

    def kinds(self) -> dict[str, str]:
        """Return what was found, so far, of each parameter."""
        moving = any(w.wakes for w in self.watched)
        return {w.name: w.kind(moving) for w in self.watched}

    def doubtful(self, steps: int) -> bool:
        """Whether another draw, or another choice of a router, may reach what seems dead."""
        may_change = (self.random or self.chooses) and any(w.wakes for w in self.watched)
        more = self.step < steps + MORE
        return (may_change or self.random) and more and any(w.seems_dead() for w in self.watched)

    def take(self, *, last: bool) -> None:
        """Take a step: the loss, its gradients, and what they say."""
        self.move()
        self.step += 1
        self.kept = None
        self.ranks.settle()
        for p in self.model.parameters():
            p.grad = None
        caches = graphs_held(self.model)
        value = self.value()
        nodes = walk(value)
        if self.step == 1:
            self.begin(value, nodes)
        trained = [w for w in self.watched if w.trained]
        asleep, twins = self.ranks.either(
            any(w.wakes is None for w in trained), last and any(w.may_be_twins() for w in trained)
        )
        search = self.search(nodes) if self.step == 1 and self.why and not self.hides else None
        at_once = search is not None and self.hides_much()
        with (
            gradients_of_others_kept(self.model, nodes),
            search.watching() if search is not None and at_once else nullcontext(),
        ):
            value.backward(retain_graph=asleep or twins)
        slopes = self.slopes(trained)
        self.drop_rounding(value, nodes, slopes)
        if search is not None:
            self.look_for_causes(search, value, slopes)
        self.calls.ends.clear()  # they hold the graph
        if self.why:
            self.equals.learn({id(w.parameter) for w, s in slopes.items() if s.steepest})
        with torch.no_grad():
            for w, slope in slopes.items():
                w.learn(slope, self.step)
                if w.entries is None:
                    w.move(slope, self.step)
                w.parameter.grad = None
        self.ahead = {w: slope for w, slope in slopes.items() if w.entries is not None}
        slopes.clear()
        self.kept = value if twins and not self.hides else None
        forget(caches)

    def move(self) -> None:
        """Move the vectors: a product of their parts holds these, not a copy, in its graph."""
        with torch.no_grad():
            for w, slope in self.ahead.items():
                w.move(slope, self.step)
        self.ahead = {}

    def begin(self, value: Tensor, nodes: Sequence[Node]) -> None:
        """Look at the parameters as they start."""
        self.hides = max(self.ranks.all(out_of_sight(nodes)))
        used = uses(value, nodes)
        self.chooses = used.chooses
        names: dict[int, list[str]] = {}
        for name, p in self.model.named_parameters(remove_duplicate=False):
            names.setdefault(id(parameter_of(p)), []).append(name)
        owners = {
            id(parameter_of(p)): (module, own)
            for module in self.model.modules()
            for own, p in module._parameters.items()
            if p is not None
        }
        layers = {
            part: module
            for module in self.model.modules()
            for part in getattr(module, "parametrizations", nn.ModuleDict()).values()
        }
        watched = {
            key: Watched(names[key], *owners[key], layers.get(owners[key][0], owners[key][0]), used)
            for key in map(id, parameters_of(self.model))
        }
        begin(watched.values())
        for w in watched.values():
            weight = watched.get(id(_weight_of(w)))
            if weight and weight is not w and weight.units == w.parameter.numel():
                w.join(weight)
        for one, other in used.biases.items():
            weight, bias = watched.get(one), watched.get(other)
            if weight and bias and not bias.weight and weight.units == bias.parameter.numel():
                bias.join(weight)
        self.watched = list(watched.values())
        if any(w.parameter.dtype == torch.float64 for w in self.watched):
            self.coarsest = coarsest(nodes)
        if self.why:
            self.equals = Equals(self.model)
            self.others = [t for t in leaves(nodes) if id(parameter_of(t)) not in watched]

    def value(self) -> Tensor:
        """Return the loss, or say what is wrong with it."""
        states = _random_states() if self.step == 1 else None
        try:
            with self.calls.watched(self.model) if self.step == 1 and self.why else nullcontext():
                value = self.loss(self.model)
        except StopIteration as stop:
            raise ValueError(
                f"the loss ran out of batches at step {self.step}: give the same batch at every "
                "step, or use itertools.cycle"
            ) from stop
        if states is not None:
            self.random = states != _random_states()
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ValueError(no_number(value))
        if any(p.grad is not None for p in parameters_of(self.model)):
            raise ValueError(
                "the loss calls backward(): return its value, for the audit calls backward() itself"
            )
        numbers = self.ranks.all(float(whole(value.detach())))
        self.highest = max(map(abs, numbers))
        if not all(map(math.isfinite, numbers)):
            where = self.ranks.all(self.first_not_finite())  # all call the loss once more
            wrong = [n for n, number in enumerate(numbers) if not math.isfinite(number)]
            on = "" if len(wrong) == len(numbers) else f"rank {self.ranks.ranks[wrong[0]]}: "
            raise ValueError(
                f"{on}the loss is {numbers[wrong[0]]} at step {self.step}: "
                f"{where[wrong[0]]}mend the batch or the scale of the start"
            )
        if not value.requires_grad:
            raise ValueError(NO_PATH)
        return value

    def first_not_finite(self) -> str:
        """Say which module is the first to give a number that is not finite."""
        found: list[str] = []
        names = {module: name for name, module in self.model.named_modules()}

        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not finite(output) and finite(inputs):
                found.append(f"{names.get(module) or 'the model'} ({type(module).__name__})")

        hooks = [module.register_forward_hook(look) for module in names]
        try:
            with torch.no_grad():
                self.loss(self.model)
        except Exception:  # a second call may fail, as of batches at an end
            return ""
        finally:
            for hook in hooks:
                hook.remove()
        return (
            f"{found[0]} is the first module to give a number that is not finite; " if found else ""
        )

    def slopes(self, trained: Iterable[Watched]) -> dict[Watched, Slope]:
        """Return the gradients of the parameters that have one."""
        slopes: dict[Watched, Slope] = {}
        parameters = [w.parameter for w in trained]
        found = self.ranks.added_up(parameters, [p.grad for p in parameters])
        for w, gradient in zip(trained, found, strict=True):
            w.parameter.grad = gradient
            if gradient is None:
                w.missed |= self.step == 1
                continue
            w.used = True
            slopes[w] = w.look(gradient)
        measure(slopes.values())
        for w, slope in slopes.items():
            if not math.isfinite(slope.steepest):
                raise ValueError(
                    f"the gradient of {w.name} is not finite at step {self.step}: "
                    "mend the batch or the scale of the start"
                )
        if not slopes:
            raise ValueError(NO_PATH)
        return slopes

    def drop_rounding(
        self, value: Tensor, nodes: Sequence[Node], slopes: dict[Watched, Slope]
    ) -> None:
        """Take out the first gradients that are what rounding leaves of terms that cancel."""
        large = 100 * max(self.highest, *(s.steepest for s in slopes.values()))

        def small(w: Watched) -> bool:
            if self.hides or w.wakes is not None or w not in slopes:
                return False
            eps = max(torch.finfo(w.parameter.dtype).eps, self.coarsest)
            return eps < 1e-6 and w.noise < slopes[w].steepest <= eps * large

        asked = self.on_one(small)
        if asked:
            parameters = [w.parameter for w in asked]
            lost = self.ranks.added_up(
                parameters,
                rounding(value, nodes, parameters, self.coarsest, alone=not self.ranks.ranks),
            )
            for w, part in zip(asked, lost, strict=True):
                if part is not None:
                    w.noise = w.look(part).steepest
        for w, slope in list(slopes.items()):
            if w.wakes is None and 0 < slope.steepest <= w.noise:
                w.rounding = w.rounding or self.step
                w.parameter.grad = None
                del slopes[w]

    def search(self, nodes: Sequence[Node]) -> Search:
        """Return what finds the causes in a backward pass."""
        zeros = [w.parameter for w in self.watched if w.all_zero]
        return Search(self.model, self.calls, nodes, zeros)

    def hides_much(self) -> bool:
        """Whether zeros are likely to hide so much that the first pass is watched for causes."""
        return any(w.all_zero and w.parameter.ndim > 1 and w.trained for w in self.watched)

    def look_for_causes(self, search: Search, value: Tensor, slopes: dict[Watched, Slope]) -> None:
        """Find what hides the parameters that the first step gives no gradient."""
        asleep = self.on_one(lambda w: w in slopes and not slopes[w].steepest)
        for w in asleep:
            w.parameter.grad = None
            slopes.pop(w, None)
        if asleep:
            parameters = [w.parameter for w in asleep]
            self.causes = causes(search, value, parameters, self.ranks)
        for w in self.on_one(lambda w: w.rounding is not None):
            self.causes[id(w.parameter)] = Cause("cancel")

    def ask_for_something_else(self, value: Tensor) -> None:
        """Part the units that are equal only because this batch asks the same of them."""
        asked = self.on_one(lambda w: w.trained and w.may_be_twins())
        if not asked:
            return  # the last step has parted them
        parameters = [w.parameter for w in asked]
        others = self.ranks.added_up(parameters, with_other_targets(value, parameters))
        for w, other in zip(asked, others, strict=True):
            if other is not None:
                w.split(w.look(other))

    def on_one(self, chosen: Callable[[Watched], bool]) -> list[Watched]:
        """Return the parameters that are chosen on one of the ranks."""
        here = self.ranks.either(*map(chosen, self.watched))
        return [w for w, chosen_one in zip(self.watched, here, strict=True) if chosen_one]


def _random_states() -> tuple[Any, ...]:
    """Return what a draw changes: the states of Python, NumPy and PyTorch."""
    numpy = np.random.get_state()  # noqa: NPY002, what others may use
    states = [torch.get_rng_state().numpy().tobytes()]
    if torch.accelerator.is_available():
        module = torch.get_device_module()
        states += [module.get_rng_state(d).numpy().tobytes() for d in range(module.device_count())]
    return random.getstate(), str(numpy), *states


def _weight_of(bias: Watched) -> Tensor | None:
    """Return the parameter with the weights of a bias's units, also of weights made of others."""
    name = bias.own.replace("bias", "weight")
    made = getattr(bias.module, "parametrizations", {})
    if name in made:
        own = made[name]._parameters
        found: Tensor | None = own.get("original1", own.get("original"))
        return found
    found = getattr(bias.module, name, None)
    return found


def graphs_held(model: nn.Module) -> list[tuple[dict[Any, Any], dict[Any, Any]]]:
    """Return what modules hold in place of tensors that a call may leave behind with their graph.

    A graph is walked once; what a call keeps for the next, such as the biases of an attention in
    eval mode, must not lead back into a graph that is gone.
    """
    places: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
    for module in model.modules():
        for held in (module.__dict__, *module.__dict__.values()):
            if type(held) is dict:
                places.append((held, dict(held)))
    return places


def forget(places: Iterable[tuple[dict[Any, Any], dict[Any, Any]]]) -> None:
    """Take out the tensors with a graph that were put there since."""
    for held, then in places:
        for key, now in list(held.items()):
            if isinstance(now, Tensor) and now.grad_fn is not None and now is not then.get(key):
                if key in then:
                    held[key] = then[key]
                else:
                    del held[key]


@contextmanager
def gradients_of_others_kept(model: nn.Module, nodes: Iterable[Node]) -> Iterator[None]:
    """Leave the gradients of tensors that are no parameters of the model as they were."""
    own = set(map(id, model.parameters()))
    others = [(t, t.grad) for t in leaves(nodes) if id(t) not in own]
    for tensor, _ in others:
        tensor.grad = None
    try:
        yield
    finally:
        for tensor, gradient in others:
            tensor.grad = gradient
