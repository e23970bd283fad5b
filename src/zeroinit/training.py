"""Full-batch training of one network, or of hundreds of seeds at once; the result is a Run.

The optimizers are those of ``torch.optim``. Seeds are a leading axis of every parameter. The
gradient of an MLP under cross-entropy is written out (``zeroinit._closed_form``). For all others
:func:`torch.vmap` gives each seed its own loss; the operations of one step of a few hundred seeds
are traced once, and replayed (``zeroinit.replay``).
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from zeroinit import _closed_form
from zeroinit._checks import check_count, check_fit, check_rate, lookup
from zeroinit.data import Data
from zeroinit.initialization import INITIALIZERS
from zeroinit.replay import recorded

M = TypeVar("M", bound=nn.Module)
Loss = Callable[[Tensor, Tensor], Tensor]
Start = str | Callable[[nn.Module, Generator], object]


_REPLAYED = 256  # seeds up to which a replay is faster: benchmarks/replays.py


@dataclass(frozen=True, eq=False)
class Run:
    r"""Losses, parameters and gradients of a training run.

    Shapes are of one network; of many seeds there is one more axis, the second, of size seeds.

    Parameters
    ----------
    losses : Tensor, shape (steps + 1,)
        The loss before each step, and after the last.
    steps : Tensor, shape (records,), int64
        The steps at which parameters and gradients were recorded, from 0.
    parameters : dict of str to Tensor, shape (records, \*shape)
        Every parameter by its name in the network, before step ``steps[k]``.
    gradients : dict of str to Tensor, shape (records, \*shape)
        The gradient of the loss at that point.

    Examples
    --------
    >>> from zeroinit import MLP, half_plane
    >>> run = train(MLP([2, 16, 2]), half_plane(), lr=0.1, steps=50, every=20)
    >>> run.losses.shape, run.steps
    (torch.Size([51]), tensor([ 0, 20, 40, 50]))
    >>> run.parameters["layers.0.weight"].shape
    torch.Size([4, 16, 2])
    """

    losses: Tensor
    steps: Tensor
    parameters: dict[str, Tensor]
    gradients: dict[str, Tensor]

    @property
    def diverged(self) -> Tensor:
        """The first step with an infinite or NaN loss, shape () or (seeds,); -1 if none has."""
        bad = ~self.losses.isfinite()
        return torch.where(bad.any(0), bad.int().argmax(0), -1)

    @torch.no_grad()
    def network(self, model: M, *, record: int = -1, seed: int | None = None) -> M:
        """Return a copy of ``model`` as it was at a record of this run.

        Parameters
        ----------
        model : nn.Module
            The network that was trained; it is left as it is.
        record : int, default -1
            Index in ``steps``; by default the end.
        seed : int, optional
            Of many seeds, the place of the one wanted, from 0.

        Raises
        ------
        ValueError
            If the run is of many seeds and none is given, or of one and a seed is given.

        Examples
        --------
        >>> from zeroinit import MLP, distinct_units, half_plane, units
        >>> model, data = MLP([2, 16, 2]), half_plane()
        >>> run = train_many(model, data, start="tied", seeds=range(8), lr=0.1, steps=5)
        >>> distinct_units(units(run.network(model, seed=3), 1))
        1

        Of many seeds one must be named:

        >>> run.network(model)
        Traceback (most recent call last):
            ...
        ValueError: the run is of many seeds: give one
        """
        if (self.losses.ndim == 2) != (seed is not None):
            held = "one network: leave seed out" if seed is not None else "many seeds: give one"
            raise ValueError(f"the run is of {held}")
        model = deepcopy(model)
        for name, values in self.parameters.items():
            value = values[record]
            model.get_parameter(name).copy_(value if seed is None else value[seed])
        return model

    def wakes(self) -> dict[str, int | None]:
        """Return for every parameter the step, from 1, that first moves it; None if none does.

        It is the first recorded step with a gradient that is not exactly zero (for some seed), so
        it is exact if every step was recorded, ``every=1``.

        Examples
        --------
        The all-zero sigmoid network thaws from the top, a layer a step:

        >>> from zeroinit import MLP, half_plane, zeros_
        >>> model = zeros_(MLP([2, 4, 2], "sigmoid"))
        >>> train(model, half_plane(), lr=0.1, steps=5).wakes()["layers.0.weight"]
        2

        With ReLU it never does:

        >>> model = zeros_(MLP([2, 4, 2], "relu"))
        >>> train(model, half_plane(), lr=0.1, steps=5).wakes()["layers.0.weight"] is None
        True
        """
        # No step follows the last record.
        moving = {name: (g[:-1] != 0).flatten(1).any(1) for name, g in self.gradients.items()}
        return {
            name: int(self.steps[m.int().argmax()]) + 1 if m.any() else None
            for name, m in moving.items()
        }


def train(
    model: nn.Module,
    data: Data,
    *,
    lr: float,
    steps: int,
    optimizer: Callable[..., Optimizer] = torch.optim.SGD,
    loss: Loss = F.cross_entropy,
    every: int = 1,
) -> Run:
    r"""Train ``model`` in place on all of ``data`` at every step, and return what happened.

    Parameters
    ----------
    model : nn.Module
        Called as ``model(data.x)``; its parameters are trained where they stand.
    data : Data
        The whole batch, of the dtype and device of the model.
    lr : float, above 0
        Learning rate.
    steps : int, at least 1
        Number of updates.
    optimizer : callable, default :class:`torch.optim.SGD`
        Called as ``optimizer(parameters, lr=lr)``: a class of ``torch.optim``, or
        ``functools.partial(torch.optim.SGD, momentum=0.9)``.
    loss : callable, default :func:`torch.nn.functional.cross_entropy`
        Called as ``loss(model(data.x), data.y)``; gives a scalar.
    every : int, at least 1, default 1
        Record parameters and gradients at every such step, and at the last.

    Returns
    -------
    Run
        Losses of every step; parameters and gradients of the recorded ones.

    Raises
    ------
    TypeError
        If ``lr`` is not a number, ``steps`` or ``every`` not an int, or the dtype of the data not
        that of the model.
    ValueError
        If ``lr`` is not positive and finite, ``steps`` or ``every`` is below 1, the model has no
        parameter that requires a gradient, a shape or a device does not fit, or a label has no
        output.

    Warns
    -----
    RuntimeWarning
        If the loss becomes infinite or NaN: training stops there, and the run holds all up to it.

    Examples
    --------
    From all-zero the loss falls to the entropy of the labels and no further:

    >>> from zeroinit import MLP, half_plane, zeros_
    >>> data = half_plane()
    >>> run = train(zeros_(MLP([2, 16, 2])), data, lr=0.1, steps=500)
    >>> bool(run.losses[-1] - data.entropy < 1e-6)
    True

    A rate of 0 is refused before anything is done:

    >>> train(zeros_(MLP([2, 16, 2])), data, lr=0, steps=500)
    Traceback (most recent call last):
        ...
    ValueError: lr must be a positive finite number, got 0: 0.1 is a good first try
    """
    _check_numbers(lr, steps, every)
    parameters = _trainable(model)
    check_fit(model, data.x, data.y)

    values = list(parameters.values())
    update = optimizer(values, lr=lr)

    def measure() -> Tensor:
        value = loss(model(data.x), data.y)
        for p in values:
            p.grad = None
        value.backward()
        return value.detach().clone()

    if _closed_form.holds(model, values, loss, data):
        measure = _measure(values, _closed_form.of_one(model, data.x, data.y))
    return _descend(parameters, measure, update, steps, every)


def train_many(
    model: nn.Module,
    data: Data | Sequence[Data],
    *,
    start: Start,
    seeds: Iterable[int],
    lr: float,
    steps: int,
    optimizer: Callable[..., Optimizer] = torch.optim.SGD,
    loss: Loss = F.cross_entropy,
    every: int | None = None,
) -> Run:
    r"""Train one network from many starts at once, in one batched computation.

    Parameters
    ----------
    model : nn.Module
        The network; it is left as it is, only copies are trained. Layers that keep state
        (BatchNorm's running mean) or draw numbers (dropout) are not for this; nor is such a loss.
    data : Data or sequence of Data
        One data set for all seeds, or one for each seed, all of one size.
    start : str or callable
        A name in :data:`~zeroinit.initialization.INITIALIZERS`, or a function of the model and a
        :class:`torch.Generator` that fills the model in place.
    seeds : iterable of int
        One network is trained for each; its start draws from a generator with that seed.
    lr, steps, loss
        As for :func:`train`.
    optimizer : callable, default :class:`torch.optim.SGD`
        As for :func:`train`, but one that computes the step of a number from that number alone,
        as those of ``torch.optim`` do, but for Adafactor, LBFGS and Muon. Three steps of two seeds,
        together and each alone, are compared before the training.
    every : int, at least 1, optional
        As for :func:`train`; if not given, the start and the end are recorded.

    Returns
    -------
    Run
        With an axis of seeds behind the first of every tensor.

    Raises
    ------
    TypeError, ValueError
        As :func:`train`; and if the start is unknown, there is no seed, the data sets differ in
        size, their number is not that of the seeds, a step of the optimizer for one seed depends on
        another, or the network or the loss draws numbers or keeps state.

    Warns
    -----
    RuntimeWarning
        If the loss of a seed becomes infinite or NaN, with the first such step; the rest train on.

    Examples
    --------
    Eight random starts, each as if trained alone:

    >>> from zeroinit import MLP, half_plane
    >>> data = half_plane()
    >>> run = train_many(MLP([2, 16, 2]), data, start="default", seeds=range(8), lr=0.1, steps=50)
    >>> run.losses.shape, run.parameters["layers.0.weight"].shape
    (torch.Size([51, 8]), torch.Size([2, 8, 16, 2]))
    >>> alone = train(MLP([2, 16, 2], seed=3), data, lr=0.1, steps=50)
    >>> torch.allclose(run.losses[:, 3], alone.losses)
    True
    """
    _check_numbers(lr, steps, every if every is not None else 1)
    fill = lookup("start", start, INITIALIZERS) if isinstance(start, str) else start
    seeds = list(seeds)
    if not seeds:
        raise ValueError("seeds is empty: give at least one, as range(1)")
    sets = [data] if isinstance(data, Data) else list(data)
    if len(sets) not in (1, len(seeds)):
        raise ValueError(
            f"{len(sets)} data sets for {len(seeds)} seeds: give one, or one for each seed"
        )
    if len({(one.x.shape, one.y.shape) for one in sets}) > 1:
        raise ValueError(
            f"the data sets must be of one size, got {sorted({len(one) for one in sets})} points"
        )
    network = deepcopy(model)
    parameters = _trainable(network)
    for one in sets:
        check_fit(network, one.x, one.y)
    kind = type(optimizer(list(parameters.values()), lr=lr)).__name__
    if _mixes(partial(optimizer, lr=lr), list(parameters.values())):
        raise ValueError(
            f"{kind} does not treat every number by itself, and would mix the seeds: "
            "call train for each seed, or choose another optimizer"
        )

    stacked: dict[str, Tensor] = {
        name: p.new_empty(len(seeds), *p.shape) for name, p in parameters.items()
    }
    draft = deepcopy(network).cpu()  # a seed draws the same numbers for every device
    for k, seed in enumerate(seeds):
        fill(draft, Generator().manual_seed(seed))
        for name in parameters:
            stacked[name][k] = draft.get_parameter(name).detach()
    for p in stacked.values():
        p.requires_grad_()

    x, y = torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    values = list(stacked.values())
    update = optimizer(values, lr=lr)
    if y.dtype == torch.int64 and _closed_form.holds(
        network, list(parameters.values()), loss, sets[0]
    ):
        measure = _measure(values, _closed_form.of_many(network, x, y, len(seeds)))
        return _descend(stacked, measure, update, steps, every or steps)

    def one_loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output = functional_call(network, parameters, (x,))
        if loss is F.cross_entropy and output.shape[:-1] == y.shape:
            # The same with the classes first: along a short last axis log_softmax is slow.
            return -F.log_softmax(output.mT, 0).gather(0, y[None]).mean()
        return loss(output, y)

    dims = None if len(sets) == 1 else 0
    all_losses = torch.vmap(one_loss, in_dims=(0, dims, dims))
    if len(sets) == 1:
        x, y = x[0], y[0]

    def losses_and_gradients(*values: Tensor) -> tuple[Tensor, Sequence[Tensor | None]]:
        free = [p.detach().requires_grad_() for p in values]
        try:
            losses = all_losses(dict(zip(stacked, free, strict=True)), x, y)
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise ValueError(
                "the network or the loss draws numbers or keeps state, as dropout and BatchNorm do "
                "in training, and all seeds at once share it: call model.eval(), leave that layer "
                "out, or call train for each seed"
            ) from error
        ones = torch.ones(losses.shape, dtype=losses.dtype, device=losses.device)
        return losses.detach(), torch.autograd.grad(losses, free, ones, allow_unused=True)

    compute: Callable[..., tuple[Tensor, Sequence[Tensor | None]]] = losses_and_gradients
    if len(seeds) <= _REPLAYED:
        compute = recorded(losses_and_gradients, [p.detach() for p in values])

    def evaluate(*values: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        losses, gradients = compute(*values)
        contiguous = torch.contiguous_format
        return losses, [None if g is None else g.clone(memory_format=contiguous) for g in gradients]

    return _descend(stacked, _measure(values, evaluate), update, steps, every or steps)


def _mixes(make: Callable[..., Optimizer], like: Sequence[Tensor]) -> bool:
    """Return whether three steps of two seeds together differ from those of each alone."""
    draw = Generator().manual_seed(0)

    def numbers(size: float) -> list[Tensor]:
        return [(size * torch.randn(p.shape, generator=draw, device="cpu")).to(p) for p in like]

    def moved(start: Sequence[Tensor], *gradients: Sequence[Tensor]) -> list[Tensor]:
        weights = [p.clone().requires_grad_() for p in start]
        optimizer = make(weights)
        for given in gradients:
            for p, g in zip(weights, given, strict=True):
                p.grad = g.clone()
            optimizer.step()
        return [p.detach() - old for p, old in zip(weights, start, strict=True)]

    # Weights and gradients of two sizes, so that what is measured over both seeds shows.
    small, large = ([numbers(w), *(numbers(g) for _ in range(3))] for w, g in ((0.1, 0.1), (1, 10)))
    both = [
        [torch.stack(pair) for pair in zip(*lists, strict=True)]
        for lists in zip(small, large, strict=True)
    ]
    with torch.random.fork_rng(devices=[]):
        try:
            together, *alone = (moved(*lists) for lists in (both, small, large))
        except Exception:  # it takes no axis of seeds, or wants a closure
            return True
    close = all(
        (here - there).norm() <= math.sqrt(torch.finfo(here.dtype).eps) * there.norm()
        for k, ways in enumerate(alone)
        for here, there in zip([way[k] for way in together], ways, strict=True)
    )
    return not close


def _measure(
    parameters: Sequence[Tensor],
    evaluate: Callable[..., tuple[Tensor, Sequence[Tensor | None]]],
) -> Callable[[], Tensor]:
    """Return what sets the gradients and returns the losses, which ``evaluate`` gives together."""

    def measure() -> Tensor:
        losses, gradients = evaluate(*parameters)
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        return losses

    return measure


def _descend(
    parameters: dict[str, Tensor],
    measure: Callable[[], Tensor],
    optimizer: Optimizer,
    steps: int,
    every: int,
) -> Run:
    """Train: ``measure`` returns the loss, or one for each seed, and sets the gradients."""
    losses: list[Tensor] = []
    records: list[int] = []
    values: dict[str, list[Tensor]] = {name: [] for name in parameters}
    gradients: dict[str, list[Tensor]] = {name: [] for name in parameters}
    warned = False
    take_step = _stepper(optimizer)
    for step in range(steps + 1):
        loss = measure()
        losses.append(loss)
        finite = math.isfinite(loss.sum())  # the sum of losses is finite only if each of them is
        last = step == steps or not (finite or loss.isfinite().any())
        if step % every == 0 or last:
            records.append(step)
            for name, p in parameters.items():
                values[name].append(p.detach().clone())
                gradients[name].append(torch.zeros_like(p) if p.grad is None else p.grad.clone())
        if not (warned or finite or loss.isfinite().all()):
            warned = True
            bad = int((~loss.isfinite()).sum())
            which = "training" if loss.ndim == 0 else f"training of {bad} seeds"
            warnings.warn(
                f"{which} diverged: the loss was not finite at step {step}; "
                "the run keeps what was measured. Try a smaller lr.",
                RuntimeWarning,
                stacklevel=3,
            )
        if last:
            break
        take_step()
    return Run(
        losses=torch.stack(losses),
        steps=torch.tensor(records, device=losses[0].device),
        parameters={name: torch.stack(p) for name, p in values.items()},
        gradients={name: torch.stack(g) for name, g in gradients.items()},
    )


def _stepper(optimizer: Optimizer) -> Callable[[], object]:
    """Return what takes a step of ``optimizer``; of plain SGD without asking for its options."""
    options = [
        {name: value for name, value in group.items() if name not in ("params", "lr")}
        for group in optimizer.param_groups
    ]
    usual = torch.optim.SGD([torch.empty(0)]).defaults
    plain = (
        type(optimizer) is torch.optim.SGD
        and all(group | {"lr": usual["lr"]} == usual for group in options)
        and all(isinstance(group["lr"], float) for group in optimizer.param_groups)
        and "step" not in vars(optimizer)  # a schedule of the rate puts its own there
        and not (optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)
        and not (_global_optimizer_pre_hooks or _global_optimizer_post_hooks)
    )
    if not plain:
        return optimizer.step

    @torch.no_grad()
    def step() -> None:
        for group in optimizer.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            torch._foreach_add_(moved, [p.grad for p in moved], alpha=-group["lr"])

    return step


def _trainable(model: nn.Module) -> dict[str, Tensor]:
    parameters: dict[str, Tensor] = {
        name: p for name, p in model.named_parameters() if p.requires_grad
    }
    if not parameters:
        raise ValueError(
            f"{type(model).__name__} has no parameter that requires a gradient: nothing to train"
        )
    return parameters


def _check_numbers(lr: float, steps: int, every: int) -> None:
    check_rate(lr)
    check_count("steps", steps)
    check_count("every", every)
