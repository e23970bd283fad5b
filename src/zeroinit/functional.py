"""One training step as a pure function: all that it reads goes in, all that it changes comes out.

It computes what ``loss.backward()`` and a step of ``torch.optim`` do to a model, but holds nothing
between two calls. So it can be traced and compiled, and run where there is no PyTorch.
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
#: and 1 if the step is divided by the size of the gradient.
OPTIMIZERS: Mapping[str, tuple[float, float, float, float, float]] = MappingProxyType(
    {
        "sgd": (0.0, 0.0, 0.0, 0.0, 0.0),
        "momentum": (0.9, 0.0, 0.0, 0.0, 0.0),
        "adam": (0.9, 0.9, 0.999, 1e-8, 1.0),
    }
)


def settings(optimizer: str, lr: float) -> Tensor:
    """Return what a step needs to know of an optimizer: ``lr`` and its row in :data:`OPTIMIZERS`.

    Parameters
    ----------
    optimizer : str
        A name in :data:`OPTIMIZERS`: ``"sgd"``, ``"momentum"`` (SGD with 0.9) or ``"adam"``.
    lr : float, above 0
        Learning rate, of a size that single precision holds.

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
    found = torch.tensor([lr, *row], dtype=torch.float32)
    if not 0 < found[0] < math.inf:
        raise ValueError(f"lr must fit into single precision, got {lr}: 0.1 is a good first try")
    return found


class State(NamedTuple):
    r"""What training carries from step to step.

    Parameters
    ----------
    numbers : dict of str to Tensor, shape (3, \*shape)
        For each parameter, by its name: the parameter, the running mean of its gradient (the
        momentum), and that of the gradient's square.
    weights : Tensor, shape (2,)
        What the two means weigh so far: 1 − βᵗ, by which Adam divides them.

    Examples
    --------
    A step gives a new state, and leaves the old one as it is:

    >>> from zeroinit import MLP, half_plane
    >>> model, data = MLP([2, 4, 2]), half_plane()
    >>> old = beginning(dict(model.named_parameters()))
    >>> how = settings("adam", 0.01)
    >>> new, _ = functional_step(model)(old, data.x, F.one_hot(data.y).float(), how)
    >>> old.weights, new.weights
    (tensor([0., 0.]), tensor([0.1000, 0.0010]))
    """

    numbers: Tensors
    weights: Tensor

    @property
    def parameters(self) -> Tensors:
        r"""The network, by the names of its parameters; each of shape \*shape."""
        return {name: t[0] for name, t in self.numbers.items()}


class Seen(NamedTuple):
    """What a step saw before it moved anything.

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
    It belongs to the point before the step, where the all-zero network says nothing:

    >>> from zeroinit import MLP, half_plane, zeros_
    >>> model, data = zeros_(MLP([2, 4, 2])), half_plane()
    >>> state, y = beginning(dict(model.named_parameters())), F.one_hot(data.y).float()
    >>> _, seen = functional_step(model)(state, data.x, y, settings("sgd", 0.1))
    >>> bool(seen.logits.any()), seen.loss
    (False, tensor(0.6931))
    """

    loss: Tensor
    logits: Tensor
    norms: Tensor


def beginning(parameters: Mapping[str, Tensor]) -> State:
    """Return the state before the first step.

    Examples
    --------
    >>> from zeroinit import MLP
    >>> state = beginning(dict(MLP([2, 16, 2]).named_parameters()))
    >>> state.numbers["layers.0.bias"].shape, state.weights
    (torch.Size([3, 16]), tensor([0., 0.]))
    """
    at = {name: p.detach() for name, p in parameters.items()}
    numbers = {name: torch.stack([p, *[torch.zeros_like(p)] * 2]) for name, p in at.items()}
    return State(numbers, next(iter(at.values())).new_zeros(2))


def functional_step(
    model: nn.Module,
) -> Callable[[State, Tensor, Tensor, Tensor], tuple[State, Seen]]:
    r"""Return one step of full-batch training as a pure function.

    Parameters
    ----------
    model : nn.Module
        Says how logits come from points; its own parameters are neither read nor moved.

    Returns
    -------
    callable
        Takes a :class:`State`; the points, shape (n, fan_in); a share of each class for each point,
        shape (n, classes), such as ``F.one_hot(y).float()``; and :func:`settings`. Returns the next
        :class:`State` and what was :class:`Seen`. The loss is the mean cross-entropy.

    Examples
    --------
    It does what an optimizer does:

    >>> from zeroinit import MLP, half_plane, train
    >>> model, data = MLP([2, 16, 2]), half_plane()
    >>> step, state = functional_step(model), beginning(dict(model.named_parameters()))
    >>> classes = F.one_hot(data.y).float()
    >>> for _ in range(50):
    ...     state, seen = step(state, data.x, classes, settings("sgd", 0.1))
    >>> run = train(model, data, lr=0.1, steps=50)
    >>> torch.allclose(seen.loss, run.losses[49])
    True

    At the all-zero start of ReLU nothing but the last bias has a gradient, to the last bit:

    >>> from zeroinit import zeros_
    >>> state = beginning(dict(zeros_(model).named_parameters()))
    >>> _, seen = step(state, data.x, classes, settings("sgd", 0.1))
    >>> (seen.norms != 0).tolist()
    [False, False, False, True]
    """

    def measure(parameters: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(model, parameters, (x,))
        return F.cross_entropy(logits, y), logits

    def step(state: State, x: Tensor, y: Tensor, how: Tensor) -> tuple[State, Seen]:
        slopes, (loss, logits) = grad_and_value(measure, has_aux=True)(state.parameters, x, y)
        lr, momentum, dampening, beta2, eps, adaptive = how.unbind()
        # As running means they are 1 − βᵗ without a power, and without cancellation.
        kept = torch.stack([dampening, beta2])
        weights = kept * state.weights + (1 - kept)
        # All parameters as one vector: the fewer operations, the sooner they are compiled.
        slope = torch.cat([g.flatten() for g in slopes.values()])
        flat = [t.reshape(3, -1) for t in state.numbers.values()]
        point, mean, square = torch.cat(flat, 1).unbind()
        mean = momentum * mean + (1 - dampening) * slope
        square = beta2 * square + (1 - beta2) * (slope * slope)
        size = torch.sqrt(square / weights[1]) + eps
        move = lr / weights[0] * torch.where(adaptive > 0, mean / size, mean)
        sizes = [g.numel() for g in slopes.values()]
        parts = torch.stack([point - move, mean, square]).split(sizes, 1)
        numbers = {k: t.view_as(state.numbers[k]) for k, t in zip(slopes, parts, strict=True)}
        # In float64 no square of a float32 number is rounded to 0.
        norms = torch.stack([g.double().square().sum() for g in slopes.values()]).sqrt()
        return State(numbers, weights), Seen(loss, logits, norms.to(slope))

    return step
