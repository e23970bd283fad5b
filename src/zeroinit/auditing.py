"""Audit a network before it is trained: which parameters can never move, which units are twins.

A few steps of gradient descent answer both. A parameter whose gradient is exactly zero at
every step does not move (Theorems *Dead* and those beside it); units whose weights are equal, and
whose gradients are equal, stay equal (Theorem *Twins stay twins*).
"""

import inspect
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.parameter import is_lazy

from zeroinit._causes import Calls, Cause, Cuts, causes, joined, listed
from zeroinit._graph import leaves, rounding, uses, walk, with_other_targets
from zeroinit._kept import kept
from zeroinit._remedies import Change, changes, fill_rows
from zeroinit._watched import Slope, Watched
from zeroinit.report import Audit

Loss = Callable[[nn.Module], Tensor]

#: As many more steps are taken, at most, before what may be left out by a draw is called dead.
MORE = 20


def audit(model: nn.Module, loss: Loss, *, steps: int = 3) -> Audit:
    r"""Take a few steps of gradient descent, and say what can move and what is equal.

    Parameters
    ----------
    model : nn.Module
        Any network. The steps are taken on it, and it is left as it was, bit for bit, also after an
        error: parameters, gradients, buffers, modes, attributes of its modules, random states.
    loss : callable
        Called as ``loss(model)``; gives the scalar that training would minimize, on a batch of your
        choice. The audit calls ``backward()``.
    steps : int, at least 1, default 3
        Steps to take at least; as long as a step wakes another parameter, one more follows, and
        where a draw or a router may leave something out, up to twenty more before it is called
        dead.

    Returns
    -------
    Audit
        A finding for every parameter.

    Raises
    ------
    TypeError
        If ``steps`` is not an int, the model no module, or the loss no function of the model alone.
    ValueError
        If the model has no parameters, or none that is trained, or one without numbers (lazy, or on
        the meta device); if ``steps`` is below 1; if the loss or a gradient is not a finite scalar,
        or does not depend on the model that the loss is given.

    Notes
    -----
    A step moves each parameter against its gradient, by a hundredth of its root mean square at most
    (or of 1, if it is zero, and less if it is wide). Gradients count as equal if they differ by
    rounding only, and if that is more than chance: units with few numbers, or in a coarse dtype,
    are often equal by chance.
    In single and double precision a parameter's first gradient counts as zero if it is what
    rounding leaves of terms that cancel: if it is below a hundred times the rounding of the loss or
    of the largest gradient, and below the precision, to the power of two thirds, of the sum of its
    terms without their signs, which a second backward pass with changed numbers tells.
    Beside the weights and their gradients it needs one copy of the weights, to put them back.
    Nothing that :func:`torch.compile` made is compiled again: the model runs as plain PyTorch. A
    model that was made in inference mode is copied, for nobody may change it.

    Examples
    --------
    The all-zero ReLU network is dead but for its last bias:

    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, constant_, half_plane, zeros_
    >>> data = half_plane()
    >>> def loss(model):
    ...     return F.cross_entropy(model(data.x), data.y)
    >>> [f.verdict for f in audit(zeros_(MLP([2, 16, 2])), loss).findings]
    ['dead', 'dead', 'dead', 'fine']

    Equal units act as one, and random ones are fine:

    >>> audit(constant_(MLP([2, 16, 2], "tanh"), 0.1), loss)["layers.0.weight"].verdict
    'twins (16 units act as 1)'
    >>> audit(MLP([2, 16, 2]), loss).faults
    ()
    """
    _check_steps(steps)
    _check_arguments(model, loss)
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper holds the model itself
    _check(model)
    with torch.inference_mode(False):  # so gradients are on
        note = ""
        if any(t.is_inference() for t in (*model.parameters(), *model.buffers())):
            model = deepcopy(model)
            note = "on a copy: what was made in inference mode cannot be changed"
        with _plainly(), kept(model) as restore:
            run = _Run(model, loss)
            run.steps(steps)
            return replace(run.report(restore), note=note)


class _Run:
    """The steps of an audit on a model, and what they show of its parameters."""

    def __init__(self, model: nn.Module, loss: Loss, *, why: bool = True) -> None:
        self.model, self.loss, self.why = model, loss, why
        self.step = 0
        self.watched: list[Watched] = []
        self.kept: Tensor | None = None  # the last loss, with its graph, if there may be twins
        self.random = self.chooses = False
        self.calls = Calls()
        self.causes: dict[int, Cause] = {}

    def steps(self, steps: int) -> None:
        """Take the steps, and more of them while they bring news."""
        while True:
            self.take(last=self.step + 1 >= steps)
            news = any(self.step in (w.wakes, w.rounding) for w in self.watched)
            if self.step >= steps and not news and not self.doubtful(steps):
                break
        if self.kept is not None:
            self.ask_for_something_else(self.kept)

    def report(self, restore: Callable[[], None]) -> Audit:
        """Say what was found, why, and what helps."""
        moving = any(w.wakes for w in self.watched)
        for w in self.watched:
            cause = self.causes.get(id(w.parameter))
            w.left_out = cause is not None and cause.what in ("mask", "choice")
        found = [w.finding(moving) for w in self.watched]
        reasons = explain(self, restore, {f.name: f.kind for f in found})
        return Audit(
            tuple(
                replace(f, cause=reasons[f.name][0], remedy=reasons[f.name][1])
                if f.name in reasons
                else f
                for f in found
            ),
            self.step,
        )

    def doubtful(self, steps: int) -> bool:
        """Whether another draw, or another choice of a router, may reach what seems dead."""
        may_change = (self.random or self.chooses) and any(w.wakes for w in self.watched)
        more = self.step < steps + MORE
        return (may_change or self.random) and more and any(w.seems_dead() for w in self.watched)

    def take(self, *, last: bool) -> None:
        """Take a step: the loss, its gradients, and what they say."""
        self.step += 1
        self.kept = None
        for p in self.model.parameters():
            p.grad = None
        caches = _graphs_held(self.model)
        value = self.value()
        nodes = walk(value)
        if self.step == 1:
            self.begin(value, nodes)
        trained = [w for w in self.watched if w.trained]
        asleep = any(w.wakes is None for w in trained)
        twins = last and any(w.may_be_twins() for w in trained)
        with _gradients_of_others_kept(self.model, nodes):
            value.backward(retain_graph=asleep or twins)
        slopes = self.slopes(trained)
        self.drop_rounding(value, nodes, slopes)
        if self.step == 1 and self.why:
            self.look_for_causes(value, nodes, slopes)
        for w, slope in slopes.items():
            w.learn(slope, self.step)
            w.parameter.grad = None
        slopes.clear()
        self.kept = value if twins else None
        _forget(caches)

    def begin(self, value: Tensor, nodes: Sequence[Node]) -> None:
        """Look at the parameters as they start."""
        used = uses(value, nodes)
        self.chooses = used.chooses
        names: dict[int, list[str]] = {}
        for name, p in self.model.named_parameters(remove_duplicate=False):
            names.setdefault(id(p), []).append(name)
        owners = {
            id(p): (module, own)
            for module in self.model.modules()
            for own, p in module._parameters.items()
        }
        watched = {
            key: Watched(names[key], *owners[key], used) for key in map(id, self.model.parameters())
        }
        for w in watched.values():
            weight = watched.get(id(_weight_of(w)))
            if weight and weight is not w and weight.units == w.parameter.numel():
                w.join(weight)
        for one, other in used.biases.items():
            weight, bias = watched.get(one), watched.get(other)
            if weight and bias and not bias.weight and weight.units == bias.parameter.numel():
                bias.join(weight)
        self.watched = list(watched.values())

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
            raise ValueError(_no_number(value))
        if any(p.grad is not None for p in self.model.parameters()):
            raise ValueError(
                "the loss calls backward(): return its value, for the audit calls backward() itself"
            )
        if not value.isfinite():
            raise ValueError(
                f"the loss is {value.item()} at step {self.step}: "
                f"{self.first_not_finite()}mend the batch or the scale of the start"
            )
        if not value.requires_grad:
            raise ValueError(NO_PATH)
        return value

    def first_not_finite(self) -> str:
        """Say which module is the first to give a number that is not finite."""
        found: list[str] = []
        names = {module: name for name, module in self.model.named_modules()}

        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not _finite(output) and _finite(inputs):
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
        for w in trained:
            if w.parameter.grad is None:
                w.missed |= self.step == 1
                continue
            w.used = True
            slopes[w] = w.look(w.parameter.grad)
            if not math.isfinite(slopes[w].steepest):
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
        large = 100 * max(abs(value.item()), *(s.steepest for s in slopes.values()))
        asked = []
        for w, slope in slopes.items():
            eps = torch.finfo(slope.rows.dtype).eps
            if w.wakes is None and eps < 1e-6 and w.noise < slope.steepest <= eps * large:
                asked.append(w)
        if asked:
            lost = rounding(value, nodes, [w.parameter for w in asked])
            for w, part in zip(asked, lost, strict=True):
                if part is not None:
                    w.noise = w.look(part).steepest
        for w, slope in list(slopes.items()):
            if w.wakes is None and 0 < slope.steepest <= w.noise:
                w.rounding = w.rounding or self.step
                w.parameter.grad = None
                del slopes[w]

    def look_for_causes(
        self, value: Tensor, nodes: Sequence[Node], slopes: dict[Watched, Slope]
    ) -> None:
        """Find what hides the parameters that the first step gives no gradient."""
        asleep = [w for w, slope in slopes.items() if not slope.steepest]
        for w in asleep:
            w.parameter.grad = None
            del slopes[w]
        if asleep:
            self.causes = causes(
                self.model, value, nodes, self.calls, [w.parameter for w in asleep]
            )
        for w in self.watched:
            if w.rounding:
                self.causes[id(w.parameter)] = Cause("cancel")

    def ask_for_something_else(self, value: Tensor) -> None:
        """Part the units that are equal only because this batch asks the same of them."""
        asked = [w for w in self.watched if w.trained and w.may_be_twins()]
        others = with_other_targets(value, [w.parameter for w in asked])
        for w, other in zip(asked, others, strict=True):
            if other is not None:
                w.split(w.look(other))


def explain(
    run: _Run, restore: Callable[[], None], kinds: dict[str, str]
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
    run: _Run, restore: Callable[[], None], several: Iterable[Change], dead: Sequence[str]
) -> str:
    """Return the first change with which all that was dead gets a gradient."""
    for text, change in several:
        restore()
        trial = _Run(run.model, run.loss, why=False)
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
    run: _Run, restore: Callable[[], None], unused: Sequence[Watched]
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


#: What is said of a loss that no parameter has a part in.
NO_PATH = (
    "the loss does not depend on the model: compute it from the model that it is given, "
    "with gradients on; if the model works on another one, audit a module that holds both"
)


def _no_number(value: Any) -> str:
    """Say what came in place of a loss, and what to return."""
    expected = "the loss must be a tensor with one number, got "
    if isinstance(value, Tensor):
        return f"{expected}{tuple(value.shape)}: take its mean"
    kind = type(value).__name__
    if isinstance(getattr(value, "loss", None), Tensor):
        return f"{expected}{kind}: return its .loss"
    if isinstance(value, dict):
        keys = ", ".join(map(repr, list(value)[:5]))
        return f"{expected}{kind} with {keys}: return the entry that is the loss"
    if isinstance(value, tuple | list):
        return f"{expected}{kind} of {len(value)}: return the entry that is the loss, such as [0]"
    if isinstance(value, int | float):
        return f"{expected}{kind}: return the tensor itself, without .item() or float()"
    return f"{expected}{kind}: return the loss that training would minimize"


def _finite(value: Any) -> bool:
    """Whether all numbers in a tensor, or in a collection of tensors, are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, tuple | list) else True


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


def _graphs_held(model: nn.Module) -> list[tuple[dict[Any, Any], Any, Any]]:
    """Return what modules hold in place of tensors that a call may leave behind with their graph.

    A graph is walked once; what a call keeps for the next, such as the biases of an attention in
    eval mode, must not lead back into a graph that is gone.
    """
    places: list[tuple[dict[Any, Any], Any, Any]] = []
    for module in model.modules():
        for held in (module.__dict__, *module.__dict__.values()):
            if type(held) is dict:
                places.append((held, dict(held), None))
    return places


def _forget(places: Iterable[tuple[dict[Any, Any], Any, Any]]) -> None:
    """Take out the tensors with a graph that were put there since."""
    for held, then, _ in places:
        for key, now in list(held.items()):
            if isinstance(now, Tensor) and now.grad_fn is not None and now is not then.get(key):
                if key in then:
                    held[key] = then[key]
                else:
                    del held[key]


@contextmanager
def _gradients_of_others_kept(model: nn.Module, nodes: Iterable[Node]) -> Iterator[None]:
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


def _check_steps(steps: int) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise TypeError(f"steps must be an int, got {steps!r}: 3 is enough for most networks")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}: 3 is enough for most networks")


def _check_arguments(model: Any, loss: Any) -> None:
    """Say what came in place of a model, or of a function of it."""
    write = "write `lambda model: criterion(model(x), y)`"
    if not isinstance(model, nn.Module):
        if isinstance(loss, nn.Module) and callable(model):
            raise TypeError("the model comes first, then the loss: write audit(model, loss)")
        raise TypeError(f"the model must be an nn.Module, got {type(model).__name__}")
    if isinstance(loss, Tensor):
        raise TypeError(f"the loss must be a function of the model, got its value: {write}")
    if not callable(loss):
        raise TypeError(f"the loss must be a function, got {type(loss).__name__}: {write}")
    if isinstance(loss, nn.modules.loss._Loss):
        name = type(loss).__name__
        raise TypeError(f"the loss must be a function of the model, got {name}: {write}")
    try:
        inspect.signature(loss).bind(model)
    except ValueError:
        return  # a function of C, which does not say what it takes
    except TypeError as error:
        raise TypeError(f"the loss is called with the model alone ({error}): {write}") from None


def _check(model: nn.Module) -> None:
    parameters = dict(model.named_parameters())
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters: there is nothing to audit")
    for name, p in parameters.items():
        if is_lazy(p):
            raise ValueError(
                f"{name} has no shape yet: call the model once on a batch, then audit it"
            )
        if p.is_meta:
            raise ValueError(
                f"{name} is on the meta device: move the model with to_empty, then start it"
            )
    if not any(p.requires_grad for p in parameters.values()):
        raise ValueError(
            "every parameter is frozen: set requires_grad on those that train, or audit the module "
            "that holds them"
        )


def _plainly() -> AbstractContextManager[object]:
    """Run what was compiled as plain PyTorch, for a few steps do not repay compiling."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    plainly: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return plainly


def assert_trainable(model: nn.Module, loss: Loss, *, steps: int = 3) -> None:
    """Raise if :func:`audit` finds a parameter that is dead, or units that are twins.

    Parameters
    ----------
    model, loss, steps
        As for :func:`audit`.

    Raises
    ------
    AssertionError
        With the causes of the faults.
    TypeError, ValueError
        As :func:`audit`.

    Examples
    --------
    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, half_plane, zeros_
    >>> data = half_plane()
    >>> assert_trainable(MLP([2, 16, 2]), lambda m: F.cross_entropy(m(data.x), data.y))

    It speaks of an all-zero network:

    >>> assert_trainable(zeros_(MLP([2, 16, 2])), lambda m: F.cross_entropy(m(data.x), data.y))
    Traceback (most recent call last):
        ...
    AssertionError: 3 of 4 parameters cannot train as they should:
    ...
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    found = audit(model, loss, steps=steps)
    if found.faults:
        from zeroinit import _tables  # here, as few imports of the package need it

        raise AssertionError(_tables.failure(found))
