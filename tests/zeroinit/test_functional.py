"""The functional step does what autograd and torch.optim do."""

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from oracles import NAMED
from torch import Tensor, nn

from zeroinit import MLP, Data, half_plane, linear_layers, moons, xor, zeros_
from zeroinit.functional import (
    OPTIMIZERS,
    State,
    StepReport,
    functional_step,
    initial_state,
    settings,
)


def run(
    model: MLP, data: Data, hyperparameters: Tensor, steps: int
) -> tuple[State, list[StepReport]]:
    step, state = functional_step(model), initial_state(dict(model.named_parameters()))
    classes, reports = F.one_hot(data.y).to(data.x), []
    for _ in range(steps):
        state, report = step(state, data.x, classes, hyperparameters)
        reports.append(report)
    return state, reports


@pytest.mark.parametrize("optimizer", NAMED)
@pytest.mark.parametrize("widths", [[2, 16, 2], [2, 5, 7, 2], [2, 4, 4, 4, 4, 2]])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_it_takes_the_steps_of_torch_optim(
    activation: str, widths: list[int], optimizer: str
) -> None:
    model = MLP(widths, activation, seed=1, dtype=torch.float64)
    data = xor(64, dtype=torch.float64)
    hyperparameters = settings(optimizer, 0.05).double()
    if optimizer == "adam":  # float32 holds β and ε to seven digits only
        hyperparameters[1:] = torch.tensor([0.9, 0.9, 0.999, 1e-8, 1.0], dtype=torch.float64)
    else:
        hyperparameters[1] = OPTIMIZERS[optimizer][0]
    state, reports = run(model, data, hyperparameters, 60)
    update = NAMED[optimizer](model.parameters(), lr=hyperparameters[0].item())
    for report in reports:
        logits = model(data.x)
        loss = F.cross_entropy(logits, data.y)
        update.zero_grad()
        loss.backward()
        torch.testing.assert_close(report.loss, loss.detach(), rtol=1e-9, atol=0)
        torch.testing.assert_close(report.logits, logits.detach(), rtol=1e-9, atol=1e-12)
        norms = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None])
        torch.testing.assert_close(report.norms, norms, rtol=1e-7, atol=1e-12)
        update.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(state.parameters[name], p.detach(), rtol=1e-7, atol=1e-10)


def test_it_changes_neither_the_model_nor_its_arguments() -> None:
    model, data = MLP([2, 4, 2]), half_plane()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = initial_state(dict(model.named_parameters()))
    functional_step(model)(state, data.x, F.one_hot(data.y).float(), settings("adam", 0.1))
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
        assert torch.equal(state.parameters[name], before[name])
        assert not state.slots[name][1:].any()
    assert not state.corrections.any()


def test_it_moves_a_parameter_without_axes() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.scale = nn.Linear(2, 2), nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            return cast(Tensor, self.scale * self.layer(x))

    model, data = Scaled(), half_plane()
    state = initial_state(dict(model.named_parameters()))
    classes = F.one_hot(data.y).float()
    state, _ = functional_step(model)(state, data.x, classes, settings("sgd", 0.5))
    F.cross_entropy(model(data.x), data.y).backward()
    assert model.scale.grad is not None
    torch.testing.assert_close(state.parameters["scale"], 2 - 0.5 * model.scale.grad)


def test_a_norm_is_zero_only_where_every_number_is() -> None:
    # Squares of the gradients of the first layer are below what float32 can hold.
    model = MLP([2, 4, 2], "tanh")
    with torch.no_grad():
        linear_layers(model)[1].weight.mul_(1e-25)
    _, (report,) = run(model, half_plane(), settings("sgd", 0.1), 1)
    assert 0 < report.norms[0] < 1e-22
    assert (report.norms != 0).all()


@pytest.mark.parametrize("optimizer", NAMED)
def test_all_zero_with_balanced_classes_stays_to_the_last_bit(optimizer: str) -> None:
    model = zeros_(MLP([2, 8, 8, 2], "tanh"))
    state, reports = run(model, moons(), settings(optimizer, 0.1), 20)
    assert not any(p.any() for p in state.parameters.values())
    assert not reports[-1].norms.any()


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 1e39), ("sgd", 1e-46), ("sgd", 5e-324)])
def test_a_rate_that_single_precision_cannot_hold_is_refused(optimizer: str, lr: float) -> None:
    with pytest.raises(ValueError, match="lr must fit into single precision, got"):
        settings(optimizer, lr)


def test_the_smallest_and_the_largest_rate() -> None:
    for lr in (1e-38, 3e38):
        assert settings("sgd", lr)[0].item() == pytest.approx(lr, rel=1e-6)


def test_settings_are_in_single_precision_whatever_the_default_is() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert settings("adam", 0.1).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_table_holds_the_numbers_that_pytorch_takes_if_told_none() -> None:
    defaults = torch.optim.Adam([torch.zeros(1)]).defaults
    beta1, beta2 = defaults["betas"]
    assert OPTIMIZERS["adam"] == (beta1, beta1, beta2, defaults["eps"], 1)
    defaults = torch.optim.SGD([torch.zeros(1)]).defaults
    assert OPTIMIZERS["sgd"][:2] == (defaults["momentum"], defaults["dampening"])
    assert OPTIMIZERS["momentum"][1] == defaults["dampening"]


def test_the_norms_are_in_the_precision_of_the_network() -> None:
    model, data = MLP([2, 4, 2]), half_plane()
    _, (seen,) = run(model, data, settings("sgd", 0.1), 1)
    assert seen.norms.dtype == torch.float32
