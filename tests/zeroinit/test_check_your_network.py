"""What an audit cannot miss: twins, what the theorems call dead, and rest."""

from copy import deepcopy
from itertools import combinations
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import (
    MLP,
    Data,
    audit,
    half_plane,
    linear_layers,
    permute,
    units,
    zeros_,
)

DATA = half_plane(dtype=torch.float64)


class Watched:
    """A loss that keeps the models that it is given, as they were at each step."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.seen: list[MLP] = []

    def __call__(self, model: nn.Module) -> Tensor:
        self.seen.append(deepcopy(cast(MLP, model)))
        return F.cross_entropy(model(self.data.x), self.data.y)


@pytest.mark.theorem("audit-misses-nothing")
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("width", [3, 8, 16])
def test_twins_stay_equal_in_an_audit_and_are_found(activation: str, width: int) -> None:
    model = MLP([2, width, 2], activation, seed=width).double()
    first, last = linear_layers(model)
    with torch.no_grad():
        first.weight[1], first.bias[1], last.weight[:, 1] = (
            first.weight[0], first.bias[0], last.weight[:, 0]
        )  # fmt: skip
        first.bias[:2] = 1  # on, for some points
    watched = Watched(DATA)
    found = audit(model, watched)
    assert len(watched.seen) == found.steps
    for copy in watched.seen:
        rows = units(copy, 1).detach()
        torch.testing.assert_close(rows[0], rows[1], rtol=0, atol=1e-12)
    assert not torch.equal(units(watched.seen[0], 1), units(watched.seen[-1], 1))
    assert found["layers.0.weight"].verdict == f"twins ({width} units act as {width - 1})"


@pytest.mark.theorem("audit-misses-nothing")
def test_a_loss_that_singles_out_a_unit_parts_twins() -> None:
    """The loss must be a function of the outputs: a penalty on one unit's weights is not."""
    model = MLP([2, 4, 2], "tanh").double()
    first, last = linear_layers(model)
    with torch.no_grad():
        for own in (first.weight, first.bias, last.weight.T):
            own[1] = own[0]

    def loss(penalty: float) -> Tensor:
        return F.cross_entropy(model(DATA.x), DATA.y) + penalty * first.weight[0].square().sum()

    for penalty, equal in ((0.0, True), (0.1, False)):
        (gradient,) = torch.autograd.grad(loss(penalty), first.weight)
        assert torch.allclose(gradient[0], gradient[1], rtol=0, atol=1e-12) == equal
    torch.testing.assert_close(gradient[0] - gradient[1], 0.2 * first.weight[0].detach())


@pytest.mark.theorem("audit-misses-nothing")
def test_outgoing_weights_that_differ_by_one_number_for_all_classes_do_not_part() -> None:
    """Softmax does not see it: the incoming gradients are equal, and the audit finds twins."""
    for difference, verdict in (((1, 1), "twins (4 units act as 3)"), ((1, 0), "fine")):
        model = MLP([2, 4, 2], "tanh").double()
        first, last = linear_layers(model)
        with torch.no_grad():
            first.weight[1], first.bias[1] = first.weight[0], first.bias[0]
            last.weight[:, 1] = last.weight[:, 0] + torch.tensor(difference)
        gradients = torch.autograd.grad(
            F.cross_entropy(model(DATA.x), DATA.y), [first.weight, first.bias]
        )
        for gradient in gradients:
            equal = torch.allclose(gradient[0], gradient[1], rtol=0, atol=1e-12)
            assert equal == (difference == (1, 1))
        assert audit(model, Watched(DATA))["layers.0.weight"].verdict == verdict


@pytest.mark.theorem("audit-misses-nothing")
def test_a_step_of_an_audit_commutes_with_permutations() -> None:
    model, order = MLP([2, 6, 5, 2], "tanh").double(), [3, 1, 5, 0, 4, 2]
    straight, shuffled = Watched(DATA), Watched(DATA)
    audit(model, straight)
    audit(permute(model, 1, order), shuffled)
    for copy, other in zip(straight.seen, shuffled.seen, strict=True):
        expected = permute(copy, 1, order).state_dict()
        for name, value in other.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)


@pytest.mark.theorem("audit-misses-nothing")
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("pair", list(combinations(range(4), 2)))
def test_what_two_zeros_kill_is_found_dead(activation: str, pair: tuple[int, int]) -> None:
    model = MLP([2, 4, 4, 4, 2], activation).double()
    for k, layer in enumerate(linear_layers(model)):
        nn.init.zeros_(layer.bias)
        if k in pair:
            zeros_(layer)
    found = audit(model, Watched(DATA))
    for k in range(pair[1] + 1):
        assert found[f"layers.{k}.weight"].kind == "dead"
    assert found["layers.3.bias"].kind == "fine"


@pytest.mark.theorem("audit-misses-nothing")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_where_every_gradient_is_zero_all_is_dead_and_stays(activation: str) -> None:
    data = Data(DATA.x, torch.arange(len(DATA)) % 2)
    assert data.frequencies.tolist() == [0.5, 0.5]
    model = zeros_(MLP([2, 4, 2], activation).double())
    watched = Watched(data)
    found = audit(model, watched, steps=5)
    assert {finding.kind for finding in found.findings} == {"dead"}
    for copy in watched.seen[: found.steps]:  # after which it tries remedies
        assert not any(p.any() for p in copy.parameters())
