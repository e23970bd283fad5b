"""One training step as a pure function: it takes a state and returns the next one.

It computes the same numbers as ``loss.backward()`` and a step of ``torch.optim``, but keeps nothing
between two calls. So it can be traced, compiled, and run without PyTorch.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from zeroinit._checks import check_rate, lookup

Tensors = dict[str, Tensor]

#: The optimizers, each as five numbers. They are momentum (Adam's β₁), dampening (β₁ again), β₂, ε,
#: and 1 if the step is divided by the root of the mean squared gradient.
#:
#: :meta hide-value:
OPTIMIZERS: Mapping[str, tuple[float, float, float, float, float]] = MappingProxyType(
    {
        "sgd": (0.0, 0.0, 0.0, 0.0, 0.0),
        "momentum": (0.9, 0.0, 0.0, 0.0, 0.0),
        "adam": (0.9, 0.9, 0.999, 1e-8, 1.0),
    }
)


def settings(optimizer: str, lr: float) -> Tensor:
    """Return the hyperparameters of a step: ``lr`` and the optimizer's row in :data:`OPTIMIZERS`.

    Parameters
    ----------
    optimizer : str
        A name in :data:`OPTIMIZERS`: ``"sgd"``, ``"momentum"`` (SGD with 0.9) or ``"adam"``.
    lr : float, above 0
        Learning rate; it must not round to 0 or infinity in single precision.

    Returns
    -------
    Tensor, shape (6,), float32

    Raises
    ------
    TypeError
        If ``lr`` is not a number.
    ValueError
        If the optimizer is unknown, or ``lr`` not positive and finite, in single precision too.

    Examples
    --------
    >>> settings("momentum", 0.5)
    tensor([0.5000, 0.9000, 0.0000, 0.0000, 0.0000, 0.0000])
    >>> settings("rmsprop", 0.5)
    Traceback (most recent call last):
        ...
    ValueError: unknown optimizer 'rmsprop': choose one of sgd, momentum, adam
    """
    row = lookup("optimizer", optimizer, OPTIMIZERS)
    check_rate(lr)
    hyperparameters = torch.tensor([lr, *row], dtype=torch.float32)
    if not 0 < hyperparameters[0] < math.inf:
        raise ValueError(f"lr must fit into single precision, got {lr}: 0.1 is a good first try")
    return hyperparameters


class State(NamedTuple):
    r"""The parameters and the state of the optimizer between two steps.

    Parameters
    ----------
    slots : dict of str to Tensor, shape (3, \*shape)
        For each parameter, by its name: the parameter, the running mean of its gradient (the
        momentum), and the running mean of the gradient's square.
    corrections : Tensor, shape (2,)
        Adam's bias corrections :math:`1 - \beta_1^t` and :math:`1 - \beta_2^t` after t steps.

    Examples
    --------
    A step gives a new state, and leaves the old one as it is:

    >>> from zeroinit import MLP, half_plane
    >>> model, data = MLP([2, 4, 2]), half_plane()
    >>> old = initial_state(dict(model.named_parameters()))
    >>> adam = settings("adam", 0.01)
    >>> new, _ = functional_step(model)(old, data.x, F.one_hot(data.y).float(), adam)
    >>> old.corrections, new.corrections
    (tensor([0., 0.]), tensor([0.1000, 0.0010]))
    """

    slots: Tensors
    corrections: Tensor

    @property
    def parameters(self) -> Tensors:
        r"""The network, by the names of its parameters; each of shape \*shape."""
        return {name: t[0] for name, t in self.slots.items()}


class StepReport(NamedTuple):
    """Loss, logits and gradient norms at the parameters before a step.

    Parameters
    ----------
    loss : Tensor, shape ()
        The loss.
    logits : Tensor, shape (n, classes)
        The network's output.
    norms : Tensor, shape (parameters,)
        Norm of each parameter's gradient; 0 if, and only if, every number of it is 0.

    Examples
    --------
    Before its first step the all-zero network gives the same logits, zeros, for every point:

    >>> from zeroinit import MLP, half_plane, zeros_
    >>> model, data = zeros_(MLP([2, 4, 2])), half_plane()
    >>> state, y = initial_state(dict(model.named_parameters())), F.one_hot(data.y).float()
    >>> _, report = functional_step(model)(state, data.x, y, settings("sgd", 0.1))
    >>> bool(report.logits.any()), report.loss
    (False, tensor(0.6931))
    """

    loss: Tensor
    logits: Tensor
    norms: Tensor


def initial_state(parameters: Mapping[str, Tensor]) -> State:
    """Return the state before the first step.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> state = initial_state(dict(MLP([2, 16, 2]).named_parameters()))
    >>> state.slots["layers.0.bias"].shape, state.corrections
    (torch.Size([3, 16]), tensor([0., 0.]))
    """
    values = {name: p.detach() for name, p in parameters.items()}
    slots = {name: torch.stack([p, *[torch.zeros_like(p)] * 2]) for name, p in values.items()}
    return State(slots, next(iter(values.values())).new_zeros(2))


def functional_step(
    model: nn.Module,
) -> Callable[[State, Tensor, Tensor, Tensor], tuple[State, StepReport]]:
    r"""Return one step of full-batch training as a pure function.

    Parameters
    ----------
    model : nn.Module
        Computes logits from points; its own parameters are neither read nor changed.

    Returns
    -------
    callable
        Takes a :class:`State`; the points, shape (n, fan_in); a share of each class for each point,
        shape (n, classes), such as ``F.one_hot(y).float()``; and :func:`settings`. Returns the next
        :class:`State` and a :class:`StepReport`. The loss is the mean cross-entropy.

    Examples
    --------
    It computes the steps of an optimizer:

    >>> from zeroinit import MLP, half_plane, train
    >>> model, data = MLP([2, 16, 2]), half_plane()
    >>> step, state = functional_step(model), initial_state(dict(model.named_parameters()))
    >>> classes = F.one_hot(data.y).float()
    >>> for _ in range(50):
    ...     state, report = step(state, data.x, classes, settings("sgd", 0.1))
    >>> run = train(model, data, lr=0.1, steps=50)
    >>> torch.allclose(report.loss, run.losses[49])
    True

    At the all-zero start of ReLU nothing but the last bias has a gradient, to the last bit:

    >>> from zeroinit import zeros_
    >>> state = initial_state(dict(zeros_(model).named_parameters()))
    >>> _, report = step(state, data.x, classes, settings("sgd", 0.1))
    >>> (report.norms != 0).tolist()
    [False, False, False, True]
    """

    def measure(parameters: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(model, parameters, (x,))
        return F.cross_entropy(logits, y), logits

    def step(
        state: State, x: Tensor, y: Tensor, hyperparameters: Tensor
    ) -> tuple[State, StepReport]:
        gradients, (loss, logits) = grad_and_value(measure, has_aux=True)(state.parameters, x, y)
        lr, momentum, dampening, beta2, eps, adaptive = hyperparameters.unbind()
        # A running mean of ones is 1 − βᵗ, computed without a power and without cancellation.
        decay = torch.stack([dampening, beta2])
        corrections = decay * state.corrections + (1 - decay)
        # All parameters as one vector: fewer operations compile faster.
        gradient = torch.cat([g.flatten() for g in gradients.values()])
        flat = [t.reshape(3, -1) for t in state.slots.values()]
        value, mean, square = torch.cat(flat, 1).unbind()
        mean = momentum * mean + (1 - dampening) * gradient
        square = beta2 * square + (1 - beta2) * (gradient * gradient)
        size = torch.sqrt(square / corrections[1]) + eps
        change = lr / corrections[0] * torch.where(adaptive > 0, mean / size, mean)
        lengths = [g.numel() for g in gradients.values()]
        parts = torch.stack([value - change, mean, square]).split(lengths, 1)
        slots = {k: t.view_as(state.slots[k]) for k, t in zip(gradients, parts, strict=True)}
        # In float64 no square of a float32 number is rounded to 0.
        norms = torch.stack([g.double().square().sum() for g in gradients.values()]).sqrt()
        return State(slots, corrections), StepReport(loss, logits, norms.to(gradient))

    return step
