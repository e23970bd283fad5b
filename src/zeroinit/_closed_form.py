"""The loss of an MLP and its gradient by the formula of backprop.py, without autograd.

One network is computed with autograd's own operations in autograd's order, so every bit is as
autograd has it. Of many networks the points are the last axis, along which all operations are fast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from zeroinit.data import Data
from zeroinit.networks import ACTIVATIONS, MLP

#: Parameters, in their order in the model, to the loss and the gradients in the same order.
Evaluate = Callable[..., tuple[Tensor, list[Tensor]]]

aten = torch.ops.aten

#: Activations whose derivative is a function of h alone, so that h may take the place of z.
_IN_PLACE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}

#: What autograd computes behind each: from the gradient at h = σ(z), in place, the one at z.
_BACKWARD: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "relu": lambda d, z, h: aten.threshold_backward.grad_input(d, h, 0, grad_input=d),
    "leaky_relu": lambda d, z, h: aten.leaky_relu_backward.grad_input(
        d, z, 0.01, False, grad_input=d
    ),
    "tanh": lambda d, z, h: aten.tanh_backward.grad_input(d, h, grad_input=d),
    "gelu": lambda d, z, h: aten.gelu_backward.grad_input(d, z, grad_input=d),
    "silu": lambda d, z, h: aten.silu_backward.grad_input(d, z, grad_input=d),
    "elu": lambda d, z, h: aten.elu_backward.grad_input(d, 1, 1, 1, False, z, grad_input=d),
    "identity": lambda d, z, h: d,
    "sigmoid": lambda d, z, h: aten.sigmoid_backward.grad_input(d, h, grad_input=d),
    "softplus": lambda d, z, h: aten.softplus_backward.grad_input(d, z, 1, 20, grad_input=d),
}

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

#: The numbers z of all layers that are held at once: with what comes of them they fit in a cache.
_HELD = 2**18


def holds(
    model: nn.Module, parameters: Sequence[Tensor], loss: object, data: Data
) -> TypeGuard[MLP]:
    """Return whether the formula is all that a step of ``model`` computes.

    It is for an :class:`~zeroinit.networks.MLP` as it was made, all of it trained by cross-entropy
    on class labels or by the mean square on targets of its outputs' shape, without hooks that would
    see the step or a context that would change it.
    """
    if type(model) is not MLP:
        return False
    x, y = data.x, data.y
    if loss is F.cross_entropy and y.dtype == torch.int64:
        fits = bool(y.min() >= 0)  # a label below 0 is left out of the loss, or wrong
    else:
        outputs = (len(x), model.widths[-1])
        fits = loss is F.mse_loss and y.dtype == x.dtype and y.shape == outputs
    layers = [*model.layers]
    return (
        fits
        and model.sigma == ACTIVATIONS.get(model.activation)
        and all(type(layer) is nn.Linear for layer in layers)
        and [id(p) for p in parameters] == [id(p) for layer in layers for p in layer.parameters()]
        and not any(p._backward_hooks or p._post_accumulate_grad_hooks for p in parameters)
        and not any(vars(m)[hooks] for m in model.modules() for hooks in _HOOKS)
        and not any("forward" in vars(m) for m in model.modules())
        and not _has_any_global_hook()
        and not torch.is_autocast_enabled(data.x.device.type)
        and torch._C._len_torch_function_stack() == 0
        and torch._C._len_torch_dispatch_stack() == 0
    )


def of_one(model: MLP, x: Tensor, y: Tensor) -> Evaluate:
    """Return what computes the loss of one network.

    ``x`` is (n, fan_in); ``y`` (n,) for cross-entropy, (n, fan_out) for the mean square.
    """
    one = torch.ones((), dtype=x.dtype, device=x.device)

    def cross_entropy(z: Tensor) -> tuple[Tensor, Tensor]:
        log_p = torch.log_softmax(z, 1)
        loss, total = aten.nll_loss_forward.default(log_p, y, None, 1, -100)
        d = aten.nll_loss_backward.default(one, log_p, y, None, 1, -100, total)
        return loss, aten._log_softmax_backward_data.default(d, log_p, 1, z.dtype)

    def mean_square(z: Tensor) -> tuple[Tensor, Tensor]:
        return F.mse_loss(z, y), aten.mse_loss_backward.default(one, z, y, 1)

    def outer(d: Tensor, h: Tensor) -> Tensor:
        return torch.mm(d.T, h)

    criterion = cross_entropy if y.ndim == 1 else mean_square
    return _passes(model, x, F.linear, criterion, outer, torch.mm, points=0)


def of_many(model: MLP, x: Tensor, y: Tensor, seeds: int) -> Evaluate:
    """Return what computes the losses of many networks, whose parameters have an axis of seeds.

    ``x`` is (seeds, n, fan_in) and ``y`` (seeds, n), or (1, ...) for all seeds.
    """
    n, widths = x.shape[1], model.widths
    parts = min(seeds, -(-seeds * n * sum(widths) // _HELD))
    size = -(-seeds // parts)  # the seeds of a part
    places = [slice(k, min(k + size, seeds)) for k in range(0, seeds, size)]
    slope = F.one_hot(y, widths[-1]).mT.to(x.dtype) / -n  # of the loss by the logarithms
    data = [x.mT.contiguous(), y[:, None], slope.contiguous()]
    if len(x) == 1:  # one part of the data serves all parts of the seeds
        data = [t.expand(size, -1, -1) for t in data[:2]] + [slope.repeat(size, 1, 1)]
    evaluations = [
        _of_part(model, *(t[: k.stop - k.start] if len(x) == 1 else t[k] for t in data))
        for k in places
    ]
    if len(places) == 1:
        return evaluations[0]

    def evaluate(*values: Tensor) -> tuple[Tensor, list[Tensor]]:
        results = [
            evaluation(*(v[k] for v in values))
            for evaluation, k in zip(evaluations, places, strict=True)
        ]
        losses, gradients = zip(*results, strict=True)
        return torch.cat(losses), [torch.cat(g) for g in zip(*gradients, strict=True)]

    return evaluate


def _of_part(model: MLP, x: Tensor, y: Tensor, slope: Tensor) -> Evaluate:
    """Return what computes the losses of some seeds; ``slope`` is contiguous."""

    def criterion(z: Tensor) -> tuple[Tensor, Tensor]:
        log_p = torch.log_softmax(z, 1)
        d = aten._log_softmax_backward_data.default(slope, log_p, 1, z.dtype)
        losses = (log_p * slope).sum((1, 2))
        if not math.isfinite(losses.sum()):  # 0 times the infinite logarithm of another class
            losses = -log_p.gather(1, y).mean((1, 2))
        return losses, d

    def linear(h: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return torch.bmm(W, h) if b is None else torch.baddbmm(b[..., None], W, h)

    def outer(d: Tensor, h: Tensor) -> Tensor:
        """Return d hᵀ. Its rows are all computed alike, its columns are not: twins are rows."""
        if d.shape[1] < h.shape[1]:
            return torch.bmm(h, d.mT).mT
        return torch.bmm(d, h.mT)

    def back(d: Tensor, W: Tensor) -> Tensor:
        return torch.bmm(W.mT, d)

    return _passes(model, x, linear, criterion, outer, back, points=2)


def _passes(
    model: MLP,
    x: Tensor,
    linear: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    criterion: Callable[[Tensor], tuple[Tensor, Tensor]],
    outer: Callable[[Tensor, Tensor], Tensor],
    back: Callable[[Tensor, Tensor], Tensor],
    points: int,
) -> Evaluate:
    """Return what passes forward and backward; ``points`` is the axis of the points."""
    sigma = _IN_PLACE.get(model.activation, model.sigma.function)
    sigma_back = _BACKWARD[model.activation]
    biased = [layer.bias is not None for layer in model.layers]

    @torch.no_grad()
    def evaluate(*values: Tensor) -> tuple[Tensor, list[Tensor]]:
        left = iter(values)
        layers = [(next(left), next(left) if b else None) for b in biased]
        z: list[Tensor] = []
        h = [x]
        for W, b in layers:
            if z:
                h.append(sigma(z[-1]))
            z.append(linear(h[-1], W, b))
        loss, d = criterion(z.pop())
        gradients = []
        while True:
            W, b = layers.pop()
            if b is not None:
                gradients.append(d.sum(points))
            gradients.append(outer(d, h[-1]))
            if not z:
                return loss, gradients[::-1]
            d = sigma_back(back(d, W), z.pop(), h.pop())

    return evaluate
