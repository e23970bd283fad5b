"""What the package is measured against: PyTorch's autograd, its optimizers, a plain loop."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from zeroinit import MLP, Data, units
from zeroinit.training import Loss

#: Every optimizer of ``torch.optim`` that takes a plain step for parameters of any shape. Left out
#: are the base class, LBFGS (wants a closure), SparseAdam (sparse gradients) and Muon (matrices).
OPTIMIZERS: list[type[Optimizer]] = [
    found
    for name, found in vars(torch.optim).items()
    if isinstance(found, type)
    and issubclass(found, Optimizer)
    and name not in {"Optimizer", "LBFGS", "SparseAdam", "Muon"}
]

#: The optimizers of :mod:`zeroinit.functional`, as PyTorch has them.
NAMED: dict[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
}


def autograd(model: nn.Module, data: Data) -> dict[str, Tensor]:
    """Return the gradient of the mean cross-entropy by the name of each parameter."""
    parameters = dict(model.named_parameters())
    loss = F.cross_entropy(model(data.x), data.y)
    return dict(zip(parameters, torch.autograd.grad(loss, [*parameters.values()]), strict=True))


def plain_loop(
    model: nn.Module,
    data: Data,
    optimizer: Optimizer,
    *,
    steps: int,
    loss: Loss = F.cross_entropy,
) -> Tensor:
    """Train as every tutorial does, and return the loss before each step and after the last."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(data.x), data.y)
        losses.append(value.detach())
        value.backward()
        optimizer.step()
    return torch.stack([*losses, loss(model(data.x), data.y).detach()])


def lbfgs(model: nn.Module, data: Data, *, lr: float, iterations: int) -> float:
    """Let LBFGS lower the mean cross-entropy, and return what it is then."""
    optimizer = LBFGS(model.parameters(), lr, max_iter=iterations)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data.x), data.y)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(closure().detach())


def assert_twins(model: MLP) -> None:
    """Assert that every hidden layer holds one unit many times over, but for rounding.

    A machine may round the gradients of two twins apart by some 1e-17. SGD hands that on as it is;
    Adam and its kin divide by the gradient's size plus a constant of at least 1e-10 (Adagrad's), so
    at the rate 0.01 a step parts them by 1e-9 at most, and some tens of steps by far less than
    1e-6. Units that differ in earnest differ by some 1e-1.
    """
    for layer in range(1, len(model.layers)):
        table = units(model, layer)
        torch.testing.assert_close(table, table[:1].expand_as(table), rtol=0, atol=1e-6)
