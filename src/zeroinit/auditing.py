"""Audit a network before it is trained: which parameters can never move, which units are twins.

A few steps of gradient descent on a copy answer both. A parameter whose gradient is exactly zero at
every step does not move (Theorems *Dead* and those beside it); units whose weights are equal, and
whose gradients are equal, stay equal (Theorem *Twins stay twins*).
"""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy

from zeroinit._equal_rows import groups_of_equal, split_groups
from zeroinit.report import Audit, Finding

#: The layers whose every unit sees every batch; of others, some rows may be for what a batch lacks.
LAYERS = (nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)

#: The operations of autograd that turn, cut or cast a weight, and compute nothing.
VIEWS = frozenset(
    {"Clone", "Expand", "Permute", "ReshapeAlias", "Select", "Slice", "Split", "Squeeze", "T"}
    | {"ToCopy", "Transpose", "UnsafeView", "Unsqueeze", "View"}
)


def audit(model: nn.Module, loss: Callable[[nn.Module], Tensor], *, steps: int = 3) -> Audit:
    r"""Take a few steps of gradient descent on a copy, and say what can move and what is equal.

    Parameters
    ----------
    model : nn.Module
        Any network. It is left as it is: parameters, gradients, buffers, mode.
    loss : callable
        Called as ``loss(copy)``; gives the scalar that training would minimize, on a batch of your
        choice.
    steps : int, at least 1, default 3
        Steps to take at least; as long as a step wakes another parameter, one more follows.

    Returns
    -------
    Audit
        A finding for every parameter.

    Raises
    ------
    TypeError
        If ``steps`` is not an int.
    ValueError
        If the model has no parameters, or none that is trained, or one without numbers (lazy, or on
        the meta device); if ``steps`` is below 1; if the loss or a gradient is not a finite scalar,
        or does not depend on the model that the loss is given.

    Notes
    -----
    A step moves each parameter against its gradient, by a hundredth of its root mean square at most
    (or of 1, if it is zero). Gradients count as equal if they differ by rounding only, and if that
    is more than chance: units with few numbers, or in a coarse dtype, are often equal by chance.
    In single and double precision a parameter's first gradient counts as zero if it is what
    rounding leaves of terms that cancel: if it is below a hundred times the rounding of the loss,
    and a change of the last two thirds of the digits of every number of the backward pass changes
    it by its own size.
    Nothing that :func:`torch.compile` made is compiled again: the copy runs as plain PyTorch.

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
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise TypeError(f"steps must be an int, got {steps!r}: 3 is enough for most networks")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}: 3 is enough for most networks")
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper holds the model itself
    _check(model)
    with _random_state_kept(), _plainly(), torch.inference_mode(False):  # so gradients are on
        copy = deepcopy(model)
        layers = _layers(copy)
        trained = [layer for layer in layers if layer.parameter.requires_grad]
        for step in count(1):
            for layer, gradient in _gradients(copy, loss, trained, step):
                layer.learn(gradient, step)
            new = {s for layer in trained for s in (layer.wakes, layer.rounding)}
            if step >= steps and step not in new:
                break
    moving = any(layer.wakes for layer in trained)
    return Audit(tuple(layer.finding(moving) for layer in layers), step)


class _Probe:
    """A parameter on its way through the steps, seen as units: one for each output."""

    def __init__(self, name: str, module: nn.Module, own: str) -> None:
        self.name, self.module, self.own = name, module, own
        self.turned = type(module).__name__ == "Conv1D"  # GPT-2's layer, in transformers
        self.parameter: Tensor = getattr(module, own)
        self.weight: _Probe | None = None  # of a bias, the weights of the same units
        rows = self.rows(self.parameter)
        self.group = groups_of_equal(rows)
        self.distinct = len(self.group.unique())
        _, inverse, size = self.group.unique(return_inverse=True, return_counts=True)
        self.watched = ((size[inverse] > 1) | (self.group == 0)).nonzero().flatten()
        self.zero = ~rows[self.watched].any(1)  # of the units to watch, as what follows
        self.moved = torch.zeros_like(self.zero)
        self.group = inverse[self.watched]
        self.units = len(rows)
        self.size = float(rows.norm()) / math.sqrt(rows.numel() or 1) or 1.0
        self.wakes: int | None = None
        self.used = False
        self.rounding: int | None = None  # its first step with a gradient that is rounding
        self.noise = 0.0  # as large a gradient can be made of rounding
        self.output = False

    def rows(self, t: Tensor) -> Tensor:
        """Return a matrix with a row for each unit."""
        t = t.detach()
        if t.is_complex():
            t = torch.view_as_real(t)
        if not t.is_floating_point():
            t = t.float()  # the integers of a frozen, quantized weight
        if t.ndim > 1 and isinstance(self.module, _ConvTransposeNd):
            t = t.unflatten(0, (self.module.groups, -1)).transpose(1, 2).flatten(0, 1)
        elif t.ndim == 2 and self.turned:
            t = t.T
        if t.ndim > 2 and not isinstance(self.module, LAYERS):
            t = t.flatten(0, -2)  # a stack of matrices, such as those of experts
        return t.reshape(len(t), math.prod(t.shape[1:])) if t.ndim else t.reshape(1, 1)

    def join(self, weight: "_Probe") -> None:
        """Join a bias to the weights of its units: twins are equal in both."""
        self.weight = weight
        mine = groups_of_equal(self.rows(self.parameter))[weight.watched]
        pairs = torch.stack([weight.group, mine], 1)
        weight.group = pairs.unique(dim=0, return_inverse=True)[1]

    @torch.no_grad()
    def learn(self, gradient: Tensor, step: int) -> None:
        """Take in what a gradient says, and move against it.

        The steepest number moves by a hundredth of the parameter's root mean square at most; as no
        step is as long as another, none undoes another.
        """
        self.used = True
        steepest = _steepest(gradient)
        if not math.isfinite(steepest):
            raise ValueError(
                f"the gradient of {self.name} is not finite at step {step}: "
                "mend the batch or the scale of the start"
            )
        if not steepest:
            return
        self.wakes = self.wakes or step
        if len(self.watched):
            rows = self.rows(gradient)[self.watched]
            self.moved |= rows.any(1)
            self.group = split_groups(self.group, rows)
        self.parameter.sub_(gradient / steepest, alpha=0.01 * self.size * step / (step + 1))

    def act_as(self) -> int:
        """Return as how many units the units learn."""
        if self.weight is not None:
            return self.weight.act_as()
        if self.output or self.parameter.ndim < 2:  # one number a unit is too little to go by
            return self.units
        members = self.group[self.moved]
        return self.units - len(members) + len(members.unique())

    def finding(self, moving: bool) -> Finding:
        """Say what was seen, in a network of which something moves, or nothing."""
        act_as = self.act_as()
        asleep = int((self.zero & ~self.moved).sum())
        if self.parameter.ndim < 2 or not (self.turned or isinstance(self.module, LAYERS)):
            asleep = 0  # a token or a position may be missing, a bias may be out of reach
        if not self.parameter.requires_grad:
            kind = "frozen"
        elif not self.used:
            kind = "not used by this loss"
        elif not self.parameter.numel():
            kind = "fine"
        elif asleep or (self.wakes is None and not (self.rounding and moving)):
            kind = "dead"
        elif act_as < self.units:
            kind = "twins"
        elif self.wakes is None:
            kind = "not used by this loss"  # such as the bias of a key, or one before a BatchNorm
        elif self.wakes > 1 or (
            len(self.zero) == self.units and self.zero.all() and "bias" not in self.own
        ):
            kind = "zero on purpose"
        else:
            kind = "fine"
        return Finding(
            name=self.name,
            shape=tuple(self.parameter.shape),
            wakes=self.wakes,
            units=self.units,
            distinct=self.distinct,
            distinct_after=len(groups_of_equal(self.rows(self.parameter)).unique()),
            act_as=act_as,
            dead=self.units if self.wakes is None else asleep,
            kind=kind,
        )


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
        raise ValueError("every parameter is frozen: set requires_grad on those that train")


def _layers(model: nn.Module) -> list[_Probe]:
    """Return the model's parameters, each bias joined to its weights."""
    owners = {
        id(p): (module, own) for module in model.modules() for own, p in module._parameters.items()
    }
    layers = {id(p): _Probe(name, *owners[id(p)]) for name, p in model.named_parameters()}
    for layer in layers.values():
        weight = getattr(layer.module, layer.own.replace("bias", "weight"), None)
        partner = layers.get(id(weight))
        if partner and partner is not layer and len(partner.group) == layer.parameter.numel():
            layer.join(partner)
    return list(layers.values())


def _gradients(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], layers: Sequence[_Probe], step: int
) -> Iterator[tuple[_Probe, Tensor]]:
    """Give the parameters that the loss uses, each with its gradient."""
    value = loss(model)
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"the loss must be a tensor with one number, got {got}: take its mean")
    if not value.isfinite():
        raise ValueError(
            f"the loss is {value.item()} at step {step}: mend the batch or the scale of the start"
        )
    gradients: Sequence[Tensor | None] = [None]
    if value.requires_grad:
        parameters = [layer.parameter for layer in layers]
        value = value.reshape(())
        gradients = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    if all(g is None for g in gradients):
        raise ValueError(
            "the loss does not depend on the model: compute it from the model that it is given, "
            "with gradients on"
        )
    if step == 1:
        outputs = _outputs(value)
        for layer in layers:
            layer.output = id(layer.parameter) in outputs
    found = [
        (layer, g.to_dense() if g.is_sparse else g)
        for layer, g in zip(layers, gradients, strict=True)
        if g is not None
    ]
    tiny = 100 * abs(value.item())  # in units of the precision; more than this is no rounding
    new = [
        n
        for n, (layer, g) in enumerate(found)
        if layer.wakes is None
        and (eps := torch.finfo(g.dtype).eps) < 1e-6
        and layer.noise < _steepest(g) <= eps * tiny
    ]
    for n, other in zip(new, _disturbed(value, [found[n][0].parameter for n in new]), strict=True):
        layer, g = found[n]
        layer.noise = _steepest(other - g)
    for n, (layer, g) in enumerate(found):
        if layer.wakes is None and 0 < _steepest(g) <= layer.noise:
            layer.rounding = layer.rounding or step
            found[n] = layer, torch.zeros_like(g)
    yield from found


def _disturbed(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradients that come of changing every number of the backward pass a little.

    Those of one operation are changed more in one direction than in the other, as rounding changes
    them: the changes of many terms must not cancel.
    """
    if not parameters:
        return ()
    change = max(torch.finfo(p.dtype).eps for p in parameters) ** (2 / 3)
    noises: dict[tuple[torch.Size, torch.dtype, torch.device], Tensor] = {}

    def disturb(seed: int, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        lean = random.Random(seed).uniform(-1, 2)
        found = list(gradients)
        for n, g in enumerate(gradients):
            if g is not None and (g.is_floating_point() or g.is_complex()) and not g.is_sparse:
                kind = (g.shape, g.dtype, g.device)
                if kind not in noises:
                    generator = torch.Generator(g.device).manual_seed(0)
                    noises[kind] = torch.rand(
                        g.shape, generator=generator, device=g.device, dtype=g.dtype
                    )
                found[n] = g + change * g.abs() * (noises[kind] - lean)
        return tuple(found)

    nodes: dict[Node, int] = {}
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in nodes:
            nodes[node] = len(nodes)
            ahead += [before for before, _ in node.next_functions]
    hooks = [node.register_prehook(partial(disturb, seed)) for node, seed in nodes.items()]
    try:
        gradients = torch.autograd.grad(loss, parameters)
    finally:
        for hook in hooks:
            hook.remove()
    return [g.to_dense() if g.is_sparse else g for g in gradients]


def _steepest(gradient: Tensor) -> float:
    """Return the largest number of a gradient, without its sign."""
    if not gradient.numel():
        return 0.0
    numbers = torch.view_as_real(gradient) if gradient.is_complex() else gradient
    return max(abs(float(end)) for end in numbers.aminmax())


def _outputs(loss: Tensor) -> set[int]:
    """Return the ids of the weights whose units are outputs: no other weight stands behind them.

    Targets tell outputs apart, though those that a batch lacks have equal gradients.
    """
    found: set[int] = set()
    seen: set[Node] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        inputs = [before for before, _ in node.next_functions]
        weights = [w for w in map(_viewed, inputs) if w is not None and w.ndim > 1]
        found.update(map(id, weights))
        if not weights:
            ahead += inputs
    return found


def _viewed(node: Node | None) -> Tensor | None:
    """Return the parameter that a node of the graph gives a view of, if it does."""
    while node is not None and node.name().partition("Backward")[0] in VIEWS:
        node = node.next_functions[0][0]
    found = getattr(node, "variable", None)
    return found if isinstance(found, Tensor) else None


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the random states of torch, NumPy and Python as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002, what others may use
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _plainly() -> AbstractContextManager[object]:
    """Run what was compiled as plain PyTorch, for a few steps do not repay compiling."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    plainly: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return plainly


def assert_trainable(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], *, steps: int = 3
) -> None:
    """Raise if :func:`audit` finds a parameter that is dead, or units that are twins.

    Parameters
    ----------
    model, loss, steps
        As for :func:`audit`.

    Raises
    ------
    AssertionError
        With the table of what was found.
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
    found = audit(model, loss, steps=steps)
    if found.faults:
        raise AssertionError(
            f"{len(found.faults)} of {len(found.findings)} parameters cannot train as they should:"
            f"\n{found}"
        )
