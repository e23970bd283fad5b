"""The formula gives what autograd gives, and is used only where it is all that happens."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from oracles import autograd, plain_loop
from torch import Generator, Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torch.utils._python_dispatch import TorchDispatchMode

from zeroinit import MLP, Data, half_plane, train, train_many, xor
from zeroinit._closed_form import holds, of_many, of_one
from zeroinit.networks import ACTIVATIONS

WIDTHS = [2, 7, 5, 4]  # no point has the last class


def three_classes(points: int, seed: int = 0) -> Data:
    """Return points with labels 0, 1 and 2."""
    x = torch.randn(points, 2, generator=Generator().manual_seed(seed))
    return Data(x, torch.arange(points) % 3)


def trainable(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def four_targets(points: int) -> Data:
    """Return points with four numbers for each."""
    x = three_classes(points).x
    return Data(x, torch.cat([x, x.sum(1, keepdim=True), x.prod(1, keepdim=True)], 1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("loss", "data"), [(F.cross_entropy, three_classes(50)), (F.mse_loss, four_targets(50))]
)
def test_one_network_trains_as_by_autograd_to_the_last_bit(
    activation: str, bias: bool, loss: Callable[[Tensor, Tensor], Tensor], data: Data
) -> None:
    model, by_hand = (MLP(WIDTHS, activation, bias=bias) for _ in range(2))
    assert holds(model, trainable(model), loss, data)
    run = train(model, data, lr=0.3, steps=10, loss=loss)
    losses = plain_loop(by_hand, data, SGD(by_hand.parameters(), lr=0.3), steps=10, loss=loss)
    assert torch.equal(run.losses, losses)
    for p, q in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_slope_is_autograds_to_the_last_bit_also_far_from_zero(activation: str) -> None:
    """PyTorch takes softplus for a line above 20."""
    z = torch.arange(-25, 25, 0.5, dtype=torch.float64)
    data = Data(z[:, None], torch.arange(len(z)) % 2)
    model = MLP([1, 1, 2], activation, bias=False, dtype=torch.float64)
    nn.init.ones_(model.get_parameter("layers.0.weight"))
    _, gradients = of_one(model, data.x, data.y)(*model.parameters())
    assert all(map(torch.equal, gradients, autograd(model, data).values()))


def test_each_of_many_classes_counts() -> None:
    """PyTorch leaves out the label −100; there is a hundredth class here."""
    model, data = MLP([2, 3, 101]), Data(three_classes(101).x, torch.arange(101))
    loss, gradients = of_one(model, data.x, data.y)(*model.parameters())
    assert torch.equal(loss, F.cross_entropy(model(data.x), data.y))
    assert all(map(torch.equal, gradients, autograd(model, data).values()))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("held", [1, 4 * 50 * 18, 2**18])  # one, four and all seeds at once
@pytest.mark.parametrize("shared", [False, True])
def test_the_gradients_of_many_are_those_of_each(
    activation: str, bias: bool, held: int, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroinit._closed_form._HELD", held)
    models = [MLP(WIDTHS, activation, bias=bias, seed=k).double() for k in range(7)]
    sets = [three_classes(50, 0 if shared else k) for k in range(7)]
    sets = [Data(one.x.double(), (one.y + (0 if shared else k)) % 3) for k, one in enumerate(sets)]
    x, y = (torch.stack([vars(one)[name] for one in sets[: 1 if shared else 7]]) for name in "xy")
    stacked = [torch.stack(p) for p in zip(*(m.parameters() for m in models), strict=True)]
    losses, gradients = of_many(models[0], x, y, 7)(*stacked)
    for k, (model, data) in enumerate(zip(models, sets, strict=True)):
        loss = F.cross_entropy(model(data.x), data.y).detach()
        torch.testing.assert_close(losses[k], loss, rtol=1e-12, atol=0)
        for g, expected in zip(gradients, autograd(model, data).values(), strict=True):
            torch.testing.assert_close(g[k], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("width", [5, 6, 17, 33, 100])
def test_many_seeds_keep_twins_to_the_last_bit_at_any_width(width: int) -> None:
    run = train_many(
        MLP([2, width, 2]), half_plane(), start="tied", seeds=range(3), lr=0.1, steps=50
    )
    first, last = run.parameters["layers.0.weight"][-1], run.parameters["layers.1.weight"][-1]
    assert torch.equal(first, first[:, :1].expand_as(first))
    assert torch.equal(last, last[:, :, :1].expand_as(last))


def test_an_impossible_other_class_leaves_the_loss_finite() -> None:
    """Its logarithm is minus infinity, and does not count."""
    model, data = MLP([1, 2], bias=False), Data(torch.tensor([[2.0], [0.0]]), torch.tensor([1, 0]))
    values = torch.tensor([[[-3e38], [1.0]], [[1.0], [2.0]]])
    for one in (values[:1], values):
        losses, _ = of_many(model, data.x[None, :], data.y[None], len(one))(one)
        expected = [F.cross_entropy(data.x @ W.T, data.y) for W in one]
        assert losses.isfinite().all()
        torch.testing.assert_close(losses, torch.stack(expected))


class Watch(TorchDispatchMode):
    """Sees every operation, and lets it be."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return operation(*args, **(kwargs or {}))


class Other(MLP):
    """A network that may do anything."""


def changed(change: Callable[[MLP], object]) -> MLP:
    model = MLP([2, 4, 2])
    change(model)
    return model


def patched(model: nn.Module) -> None:
    model.forward = lambda x: x


#: Networks of which the formula may not hold.
CHANGED: dict[str, MLP] = {
    "a class of its own": Other([2, 4, 2]),
    "frozen": changed(lambda m: m.layers[0].requires_grad_(False)),
    "another activation": changed(
        lambda m: setattr(m, "sigma", m.sigma._replace(function=torch.sin))
    ),
    "another layer": changed(lambda m: m.layers.append(nn.Dropout())),
    "one layer twice": changed(lambda m: m.layers.insert(1, m.layers.append(nn.Linear(2, 2))[2])),
    "a parameter more": changed(
        lambda m: m.register_parameter("more", nn.Parameter(torch.ones(1)))
    ),
    "a hook": changed(lambda m: m.register_forward_hook(lambda *_: None)),
    "a hook before": changed(lambda m: m.layers.register_forward_pre_hook(lambda *_: None)),
    "a hook of a layer": changed(
        lambda m: m.layers[1].register_full_backward_hook(lambda *_: None)
    ),
    "a hook before it": changed(
        lambda m: m.layers[1].register_full_backward_pre_hook(lambda *_: None)
    ),
    "a hook of a parameter": changed(
        lambda m: m.get_parameter("layers.0.weight").register_hook(lambda g: g)
    ),
    "a hook after a gradient": changed(
        lambda m: m.get_parameter("layers.0.bias").register_post_accumulate_grad_hook(
            lambda p: None
        )
    ),
    "a forward of its own": changed(patched),
    "a layer's own forward": changed(lambda m: patched(m.layers[0])),
}


@pytest.mark.parametrize("name", CHANGED)
def test_the_formula_is_not_used_of_a_network_that_was_changed(name: str) -> None:
    model = CHANGED[name]
    assert not holds(model, trainable(model), F.cross_entropy, half_plane())


def test_the_formula_is_for_class_labels_and_cross_entropy() -> None:
    model, data = MLP([2, 4, 2]), half_plane()
    ask = partial(holds, model, trainable(model))
    assert ask(F.cross_entropy, data)
    assert not ask(nn.CrossEntropyLoss(), data)
    assert not ask(F.cross_entropy, Data(data.x, F.one_hot(data.y).float()))
    left_out = Data(data.x, data.y)
    object.__setattr__(left_out, "y", torch.where(data.y == 0, -100, data.y))
    assert not ask(F.cross_entropy, left_out)


def test_the_formula_is_for_targets_of_the_outputs_shape_and_the_mean_square() -> None:
    model, data = MLP([2, 4, 2]), half_plane()
    ask = partial(holds, model, trainable(model))
    assert ask(F.mse_loss, Data(data.x, data.x))
    assert not ask(nn.MSELoss(), Data(data.x, data.x))
    assert not ask(F.l1_loss, Data(data.x, data.x))
    for other in (data.y, data.y[:, None], data.x[:, :1], data.x[None], data.x.double()):
        unfit = Data(data.x, data.x)
        object.__setattr__(unfit, "y", other)
        assert not ask(F.mse_loss, unfit)


@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
        Watch,
        lambda: register_module_forward_hook(lambda *_: None),
    ],
    ids=["autocast", "a function mode", "a dispatch mode", "a hook of all modules"],
)
def test_the_formula_is_not_used_where_something_else_sees_or_changes_the_step(
    context: Callable[[], Any],
) -> None:
    model, data = MLP([2, 4, 2]), half_plane()
    with context():
        assert not holds(model, trainable(model), F.cross_entropy, data)


def test_each_option_and_each_hook_of_sgd_is_heeded() -> None:
    """Plain SGD moves without them; any other is asked."""
    calls: list[int] = []

    def hooked(parameters: Any, lr: float) -> SGD:
        optimizer = SGD(parameters, lr=lr)
        optimizer.register_step_post_hook(lambda *_: calls.append(1))
        return optimizer

    def scheduled(parameters: Any, lr: float) -> SGD:
        optimizer = SGD(parameters, lr=lr)
        schedule = StepLR(optimizer, 1, 0.5)
        optimizer.register_step_post_hook(lambda *_: schedule.step())
        return optimizer

    def replaced(parameters: Any, lr: float) -> SGD:
        optimizer = SGD(parameters, lr=lr)
        usual = optimizer.step

        def twice(closure: None = None) -> None:
            usual()
            usual()

        vars(optimizer)["step"] = twice
        return optimizer

    def grouped(parameters: Any, lr: float) -> SGD:
        first, *rest = parameters
        return SGD([{"params": [first], "weight_decay": 0.5}, {"params": rest, "lr": 2 * lr}], lr)

    makers: list[Callable[..., SGD]] = [
        SGD, hooked, scheduled, replaced, grouped,
        partial(SGD, momentum=0.5), partial(SGD, maximize=True), partial(SGD, weight_decay=0.5),
    ]  # fmt: skip
    for make in makers:
        model, by_hand = MLP([2, 4, 2]), MLP([2, 4, 2])
        run = train(model, xor(), lr=0.1, steps=6, optimizer=make)
        assert len(calls) == (6 if make is hooked else 0)
        optimizer = make(list(by_hand.parameters()), lr=0.1)
        assert torch.equal(run.losses, plain_loop(by_hand, xor(), optimizer, steps=6))
        calls.clear()
