"""What the package is measured against: PyTorch's autograd, its optimizers, a plain loop."""

from collections.abc import Callable, Iterable
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


State = dict[str, Tensor]


class MatrixRule(Optimizer):
    """Step against ``rule(G, state)``; G is the gradient as a matrix, a vector being a column."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, rule: Callable[[Tensor, State], Tensor]
    ) -> None:
        super().__init__(params, {"lr": lr})
        self.rule = rule

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter."""
        for group in self.param_groups:
            for p in group["params"]:
                answer = self.rule(p.grad.view(len(p), -1), self.state[p])
                p.data -= group["lr"] * answer.view_as(p)


def shampoo(gradient: Tensor, state: State, damping: float = 1e-8) -> Tensor:
    """Return ``L^(-1/4) G R^(-1/4)``; L and R are the sums of all GGᵀ and GᵀG, and the damping."""
    roots = []
    for name, product in (("L", gradient @ gradient.T), ("R", gradient.T @ gradient)):
        state[name] = state.get(name, torch.zeros_like(product)) + product
        values, basis = torch.linalg.eigh(state[name])
        roots.append(basis @ (values.clamp(min=0) + damping).pow(-0.25).diag() @ basis.T)
    step: Tensor = roots[0] @ gradient @ roots[1]
    return step


def soap(gradient: Tensor, state: State, eps: float = 1e-8) -> Tensor:
    """Return Adagrad's step, made in the eigenbases of Shampoo's L and R."""
    shampoo(gradient, state)  # keeps L and R
    left, right = (torch.linalg.eigh(state[name]).eigenvectors for name in "LR")
    turned = left.T @ gradient @ right
    state["squares"] = state.get("squares", torch.zeros_like(turned)) + turned**2
    step: Tensor = left @ (turned / (state["squares"].sqrt() + eps)) @ right.T
    return step


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
