r"""How fast gradient descent leaves a saddle: curvature, growth of a difference, waiting time.

Near a point with gradient zero a step multiplies a small difference along the lowest eigenvalue
:math:`\lambda < 0` of the Hessian by about :math:`1 + \eta|\lambda|` (Theorem *The escape law*).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev
from torch.nn.utils import parameters_to_vector
from torch.optim import SGD, Optimizer

from zeroinit._checks import check_count, check_fit, check_not_negative, check_rate, lookup
from zeroinit.data import Data
from zeroinit.networks import ACTIVATIONS, MLP, linear_layers
from zeroinit.training import Loss, train


def twins_at_rest(
    data: Data,
    n: int,
    *,
    lr: float,
    steps: int,
    weight_decay: float = 0.0,
    activation: str = "tanh",
    seed: int = 0,
) -> MLP:
    r"""Return a network of one hidden layer whose n units are twins and have come to rest.

    One unit is trained, at the rates of Theorem *Collapse*, and then copied n times. So rounding
    cannot make the twins differ.

    Parameters
    ----------
    data : Data
        Points with class labels; the network takes their dtype.
    n : int, at least 2
        Number of twins.
    lr, steps
        Of the gradient descent on the wide network that this is; see
        :func:`~zeroinit.training.train`. Enough steps bring the gradient near 0.
    weight_decay : float, at least 0, default 0
        As in :class:`torch.optim.SGD`.
    activation : str, default ``"tanh"``
        A name in :data:`~zeroinit.networks.ACTIVATIONS`.
    seed : int, default 0
        Seed of the unit's start.

    Raises
    ------
    TypeError, ValueError
        As :func:`~zeroinit.training.train` and :class:`~zeroinit.networks.MLP`; and if ``n`` is
        below 2, or ``weight_decay`` is negative or not finite.

    Examples
    --------
    >>> from zeroinit import twins, xor
    >>> twins(twins_at_rest(xor(64), 4, lr=1.0, steps=100, weight_decay=0.01), 1)
    [[0, 1, 2, 3]]
    """
    check_count("n", n, 2, ", for one unit has no twin")
    check_not_negative("weight_decay", weight_decay)
    fan_in, classes = data.x.shape[1], len(data.frequencies)
    one = MLP([fan_in, 1, classes], activation, seed=seed, dtype=data.x.dtype)

    def rates(parameters: list[Tensor], lr: float) -> Optimizer:
        *incoming, outgoing, bias = parameters
        return SGD(
            [
                {"params": incoming, "lr": lr / n, "weight_decay": weight_decay * n},
                {"params": [outgoing], "lr": lr * n, "weight_decay": weight_decay / n},
                {"params": [bias], "lr": lr, "weight_decay": weight_decay},
            ]
        )

    train(one, data, lr=lr, steps=steps, optimizer=rates, every=steps)
    wide = MLP([fan_in, n, classes], activation, dtype=data.x.dtype)
    (here, last), (wide_here, wide_last) = linear_layers(one), linear_layers(wide)
    with torch.no_grad():
        wide_here.weight.copy_(here.weight.expand_as(wide_here.weight))
        wide_here.bias.copy_(here.bias.expand_as(wide_here.bias))
        wide_last.weight.copy_((last.weight / n).expand_as(wide_last.weight))
        wide_last.bias.copy_(last.bias)
    return wide


def hessian_eigenvalues(
    model: nn.Module, data: Data, *, loss: Loss = F.cross_entropy, weight_decay: float = 0.0
) -> Tensor:
    r"""Return the eigenvalues of the Hessian of the objective, the lowest first.

    Parameters
    ----------
    model : nn.Module
        The point: a network of some hundred parameters at most, for the Hessian is a full matrix.
    data : Data
        All the points, of the dtype and device of the model.
    loss : callable, default :func:`torch.nn.functional.cross_entropy`
        Called as ``loss(model(data.x), data.y)``; gives a scalar.
    weight_decay : float, at least 0, default 0
        As in :class:`torch.optim.SGD`: the objective is the loss and half of it times the squared
        length of the parameters.

    Returns
    -------
    Tensor, shape (parameters,)
        Eigenvalues in ascending order.

    Raises
    ------
    TypeError, ValueError
        If the data do not fit the model, it has no parameters, or ``weight_decay`` is negative or
        not finite.

    Examples
    --------
    The all-zero tanh network sits on a saddle, with one way out for each of its four units:

    >>> from zeroinit import half_plane, log_prior_, zeros_
    >>> data, model = half_plane(), zeros_(MLP([2, 4, 2], "tanh"))
    >>> _ = log_prior_(model.layers[-1], data)
    >>> (hessian_eigenvalues(model, data) < -1e-6).sum()
    tensor(4)
    """
    check_fit(model, data.x, data.y)
    check_not_negative("weight_decay", weight_decay)
    if not (named := dict(model.named_parameters())):
        raise ValueError(f"{type(model).__name__} has no parameters: there is no Hessian")
    names, tensors = list(named), list(named.values())

    def objective(point: Tensor) -> Tensor:
        parts = point.split([t.numel() for t in tensors])
        parameters = {
            name: part.view_as(t) for name, part, t in zip(names, parts, tensors, strict=True)
        }
        value = loss(functional_call(model, parameters, (data.x,)), data.y)
        return value + weight_decay / 2 * point.square().sum()

    # Reverse mode twice: torch.func.hessian's forward mode imports a deprecated module of PyTorch.
    hessian = jacrev(grad(objective))(parameters_to_vector(tensors).detach())
    eigenvalues: Tensor = torch.linalg.eigvalsh(hessian)
    return eigenvalues


def dead_eigenvalue(activation: str, data: Data) -> float:
    r"""Return the lowest eigenvalue of the Hessian where a network of one hidden layer is dead.

    There all is zero but the output bias, which is the log-prior, and the eigenvalue is
    :math:`-|\sigma'(0)|\,s`, with s the largest singular value of the mean of
    :math:`(\hat y - y)\,x^{\top}` and :math:`\hat y = p` (Theorem *Leaving the dead point*).

    Parameters
    ----------
    activation : str
        A name in :data:`~zeroinit.networks.ACTIVATIONS`, with :math:`\sigma(0) = 0` and a
        derivative at 0.
    data : Data
        Points with class labels.

    Raises
    ------
    TypeError
        If ``data.y`` holds targets of a regression.
    ValueError
        If the activation is unknown, is not 0 at 0, or has a kink there; if a class has no point,
        for then the bias has no rest; if s is 0, as where x is zero: then the point is no strict
        saddle, and nothing grows.

    Examples
    --------
    GELU's slope at 0 is half of tanh's:

    >>> from zeroinit import half_plane
    >>> dead_eigenvalue("gelu", half_plane()) / dead_eigenvalue("tanh", half_plane())
    0.5

    ReLU has no derivative at 0, so it has no law:

    >>> dead_eigenvalue("relu", half_plane())
    Traceback (most recent call last):
        ...
    ValueError: relu has a kink at 0, with slopes 0 and 1: the law needs a derivative there
    """
    sigma = lookup("activation", activation, ACTIVATIONS)
    at = torch.tensor([-1e-6, 0.0, 1e-6], dtype=torch.float64)
    value = float(sigma.function(at)[1])
    if value != 0:
        raise ValueError(
            f"{activation} is {value:g} at 0: the all-zero network is dead only if it is 0 there"
        )
    below, slope, above = sigma.derivative(at).tolist()
    if abs(above - below) > 1e-3:
        raise ValueError(
            f"{activation} has a kink at 0, with slopes {below:g} and {above:g}: "
            "the law needs a derivative there"
        )
    if not data.frequencies.all():
        raise ValueError(
            f"class {int(data.frequencies.argmin())} has no point: its log-prior is -inf, and the "
            "bias never comes to rest"
        )
    frequencies = torch.bincount(data.y).double() / len(data)
    onehot = F.one_hot(data.y, len(frequencies))
    pull = (frequencies - onehot).T @ data.x.double() / len(data)
    largest = float(torch.linalg.matrix_norm(pull, 2))
    if largest <= torch.finfo(torch.float64).eps * float(data.x.abs().max()):
        raise ValueError(
            "the mean of (ŷ − y) xᵀ is zero: the classes have the same mean point, and the law "
            "says nothing of how the dead point is left"
        )
    return -abs(float(slope)) * largest


def steps_per_decade(eigenvalue: float, *, lr: float) -> float:
    r"""Return :math:`\ln 10 / \ln(1 + \eta|\lambda|)`, the steps of a tenfold growth.

    Parameters
    ----------
    eigenvalue : float, below 0
        The lowest eigenvalue :math:`\lambda` of the Hessian.
    lr : float, above 0
        Learning rate :math:`\eta` of gradient descent.

    Raises
    ------
    TypeError
        If ``lr`` is not a number.
    ValueError
        If ``eigenvalue`` is not a negative finite number, or ``lr`` not a positive finite one.

    Examples
    --------
    >>> round(steps_per_decade(-0.02, lr=0.2), 1)
    576.8

    Where the Hessian has no negative eigenvalue nothing grows:

    >>> steps_per_decade(0.01, lr=0.2)
    Traceback (most recent call last):
        ...
    ValueError: eigenvalue must be a negative finite number, got 0.01: no difference grows there
    """
    check_rate(lr)
    if not (math.isfinite(eigenvalue) and eigenvalue < 0):
        raise ValueError(
            f"eigenvalue must be a negative finite number, got {eigenvalue}: "
            "no difference grows there"
        )
    return math.log(10) / math.log1p(-lr * eigenvalue)


def waiting_steps(size: float, eigenvalue: float, *, lr: float, until: float = 1.0) -> float:
    r"""Return the steps in which a difference of one size grows to another.

    Parameters
    ----------
    size : float, at least 0
        Size :math:`\varepsilon` of the difference at the start.
    eigenvalue, lr
        As for :func:`steps_per_decade`.
    until : float, above 0, default 1
        The size at which the wait ends.

    Returns
    -------
    float
        :math:`\ln(\text{until}/\varepsilon) / \ln(1 + \eta|\lambda|)`; 0 if the difference is as
        large already, and ``math.inf`` for a difference of 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`steps_per_decade`; and if ``size`` is negative, ``until`` not above 0, or either
        not finite.

    Examples
    --------
    Every decade takes equally long, and a difference of 0 never grows:

    >>> [round(waiting_steps(size, -0.02, lr=0.2)) for size in (0.1, 0.01, 0.001)]
    [577, 1154, 1730]
    >>> waiting_steps(0, -0.02, lr=0.2)
    inf
    """
    decade = steps_per_decade(eigenvalue, lr=lr)
    check_not_negative("size", size)
    if not (math.isfinite(until) and until > 0):
        raise ValueError(f"until must be a positive finite number, got {until}")
    if size == 0:
        return math.inf
    return max(0.0, (math.log10(until) - math.log10(size)) * decade)


def escape_step(losses: Tensor, level: float) -> Tensor:
    """Return the first step at which the loss is below a level.

    Parameters
    ----------
    losses : Tensor, shape (steps + 1,) or (steps + 1, seeds)
        The ``losses`` of a :class:`~zeroinit.training.Run`.
    level : float
        A loss clearly below the saddle's, in nats.

    Returns
    -------
    Tensor, shape () or (seeds,), int64
        The step, from 0, for each run.

    Raises
    ------
    ValueError
        If a run is never below the level: such a run has no escape step. If there is no loss.

    Examples
    --------
    >>> escape_step(torch.tensor([0.7, 0.7, 0.6, 0.2, 0.1]), 0.5)
    tensor(3)

    A run that stays gives no number:

    >>> escape_step(torch.tensor([[0.7, 0.7], [0.7, 0.4]]), 0.5)
    Traceback (most recent call last):
        ...
    ValueError: 1 of 2 runs not below 0.5 within 1 steps: train longer, or from a larger difference
    """
    if losses.ndim == 0 or not losses.numel():
        raise ValueError(
            f"losses must hold a loss for each step, got shape {tuple(losses.shape)}: "
            "give run.losses"
        )
    below = losses < level
    never = int((~below.any(0)).sum())
    if never:
        raise ValueError(
            f"{never} of {losses[0].numel()} runs not below {level:g} within {len(losses) - 1} "
            "steps: train longer, or from a larger difference"
        )
    return below.int().argmax(0)
