"""The loss of an MLP and its gradient by the formula of backprop.py, without autograd.

One network is computed with autograd's own operations in autograd's order, so every bit is as
autograd has it. Of many networks the points are the last axis, along which all operations are fast.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from zeroinit.data import Data
from zeroinit.networks import ACTIVATIONS, MLP

#: Parameters, in their order in the model, to the loss and the gradients in the same order.
Evaluate = Callable[..., tuple[Tensor, list[Tensor]]]

aten = torch.ops.aten

#: What autograd computes behind each activation: the gradient at z from the one at h = σ(z).
_BACKWARD: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "relu": lambda d, z, h: aten.threshold_backward.default(d, h, 0),
    "leaky_relu": lambda d, z, h: aten.leaky_relu_backward.default(d, z, 0.01, False),
    "tanh": lambda d, z, h: aten.tanh_backward.default(d, h),
    "gelu": lambda d, z, h: aten.gelu_backward.default(d, z),
    "silu": lambda d, z, h: aten.silu_backward.default(d, z),
    "elu": lambda d, z, h: aten.elu_backward.default(d, 1, 1, 1, False, z),
    "identity": lambda d, z, h: d,
    "sigmoid": lambda d, z, h: aten.sigmoid_backward.default(d, h),
    "softplus": lambda d, z, h: aten.softplus_backward.default(d, z, 1, 20),
}

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

#: The numbers z of all layers that are held at once: with what comes of them they fit in a cache.
_HELD = 2**18


def holds(model: nn.Module, parameters: Sequence[Tensor], loss: object, data: Data) -> bool:
    """Return whether the formula is all that a step of ``model`` computes.

    It is for an :class:`~zeroinit.networks.MLP` as it was made, all of it trained by cross-entropy
    on class labels, without hooks that would see the step or a context that would change it.
    """
    if not (type(model) is MLP and loss is F.cross_entropy and data.y.dtype == torch.int64):
        return False
    layers = [*model.layers]
    return (
        bool(data.y.min() >= 0)  # a label below 0 is left out of the loss, or wrong
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
    """Return what computes the loss of one network; ``x`` is (n, fan_in) and ``y`` (n,)."""
    one = torch.ones((), dtype=x.dtype, device=x.device)

    def criterion(z: Tensor) -> tuple[Tensor, Tensor]:
        log_p = F.log_softmax(z, 1)
        loss, total = aten.nll_loss_forward.default(log_p, y, None, 1, -100)
        d = aten.nll_loss_backward.default(one, log_p, y, None, 1, -100, total)
        return loss, aten._log_softmax_backward_data.default(d, log_p, 1, z.dtype)

    def evaluate(*values: Tensor) -> tuple[Tensor, list[Tensor]]:
        return _passes(
            model, values, x, F.linear, criterion, lambda d, h: d.T @ h, lambda d, W: d @ W, 0
        )

    return torch.no_grad()(evaluate)


def of_many(model: MLP, x: Tensor, y: Tensor, seeds: int) -> Evaluate:
    """Return what computes the losses of many networks, whose parameters have an axis of seeds.

    ``x`` is (seeds, n, fan_in) and ``y`` (seeds, n), or (1, ...) for all seeds.
    """
    n, widths = x.shape[1], model.widths
    parts = min(seeds, -(-seeds * n * sum(widths) // _HELD))
    size = -(-seeds // parts)  # the seeds of a part
    slope = (F.one_hot(y, widths[-1]).mT / -n).to(x.dtype)  # of the loss by the logarithms
    data = [x.mT.contiguous(), y[:, None], slope.contiguous()]
    if shared := len(x) == 1:
        data = [*(t.expand(size, -1, -1) for t in data[:2]), slope.repeat(size, 1, 1)]

    def evaluate(*values: Tensor) -> tuple[Tensor, list[Tensor]]:
        results = []
        for k, some in enumerate(zip(*(v.split(size) for v in values), strict=True)):
            start = 0 if shared else k * size
            x, y, slope = (t[start : start + len(some[0])] for t in data)

            def criterion(z: Tensor, y: Tensor = y, slope: Tensor = slope) -> tuple[Tensor, Tensor]:
                log_p = F.log_softmax(z, 1)
                d = aten._log_softmax_backward_data.default(slope, log_p, 1, z.dtype)
                return -log_p.gather(1, y).mean((1, 2)), d

            results.append(
                _passes(
                    model, some, x, _linear, criterion, _outer, lambda d, W: torch.bmm(W.mT, d), 2
                )
            )
        losses, gradients = zip(*results, strict=True)
        return torch.cat(losses), [torch.cat(g) for g in zip(*gradients, strict=True)]

    return torch.no_grad()(evaluate)


def _linear(h: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
    return torch.bmm(W, h) if b is None else torch.baddbmm(b[..., None], W, h)


def _outer(d: Tensor, h: Tensor) -> Tensor:
    """Return d hᵀ; the longer side is that of the rows, which are all computed alike."""
    return torch.bmm(d, h.mT) if d.shape[1] >= h.shape[1] else torch.bmm(h, d.mT).mT


def _passes(
    model: MLP,
    values: Sequence[Tensor],
    x: Tensor,
    linear: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    criterion: Callable[[Tensor], tuple[Tensor, Tensor]],
    outer: Callable[[Tensor, Tensor], Tensor],
    back: Callable[[Tensor, Tensor], Tensor],
    points: int,
) -> tuple[Tensor, list[Tensor]]:
    """Return the loss and the gradients; ``points`` is the axis of the points."""
    sigma, sigma_back = model.sigma.function, _BACKWARD[model.activation]
    left = iter(values)
    layers = [(next(left), None if layer.bias is None else next(left)) for layer in model.layers]
    z: list[Tensor] = []
    h = [x]
    for W, b in layers:
        if z:
            h.append(sigma(z[-1]))
        z.append(linear(h[-1], W, b))
    loss, d = criterion(z[-1])
    gradients = []
    for l in range(len(layers) - 1, -1, -1):  # noqa: E741 - the book's letter
        W, b = layers[l]
        if b is not None:
            gradients.append(d.sum(points))
        gradients.append(outer(d, h[l]))
        if l > 0:
            d = sigma_back(back(d, W), z[l - 1], h[l])
    return loss, gradients[::-1]
