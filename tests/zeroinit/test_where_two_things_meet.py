"""Routers over equal experts: which gradients are zero, and which experts stay equal."""

from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from zeroinit import MLP, default_, distinct_units, train, xor, zeros_

DATA = xor(8, dtype=torch.float64)
SIZES = [*product((True, False), ((1, 4), (2, 4), (3, 4), (3, 6)))]


class Experts(nn.Module):
    """A router and its experts, with one loop for each sample."""

    def __init__(self, n: int, k: int, *, renormalize: bool, equal: bool) -> None:
        super().__init__()
        draw = Generator().manual_seed(0)
        self.experts = nn.ModuleList(MLP([2, 8, 2], "tanh").double() for _ in range(n))
        for expert in self.experts:
            default_(expert, generator=draw)
            if equal:
                expert.load_state_dict(deepcopy(self.experts[0].state_dict()))
        self.router = default_(nn.Linear(2, n, bias=False).double(), generator=draw)
        self.k, self.renormalize = k, renormalize

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.of_one(sample) for sample in x])

    def of_one(self, sample: Tensor) -> Tensor:
        p = F.softmax(self.router(sample), dim=0)
        chosen = sorted(range(len(p)), key=lambda i: -p[i].item())[: self.k]  # ties: the first
        all_ = sum(p[i] for i in chosen) if self.renormalize else 1
        said = [p[i] / all_ * self.experts[i](sample) for i in chosen]
        return torch.stack(said).sum(0)

    def rows(self) -> Tensor:
        """All numbers of an expert in a row, rounded."""
        flat = [torch.cat([p.flatten() for p in one.parameters()]) for one in self.experts]
        return torch.stack(flat).detach().round(decimals=9)


def router_gradient(layer: Experts) -> Tensor:
    return torch.autograd.grad(F.cross_entropy(layer(DATA.x), DATA.y), layer.router.weight)[0]


@pytest.mark.theorem("routers")
@pytest.mark.parametrize(("renormalize", "sizes"), SIZES)
@pytest.mark.parametrize("equal", [True, False])
def test_a_score_moves_by_what_its_expert_says_beside_the_others(
    renormalize: bool, sizes: tuple[int, int], equal: bool
) -> None:
    k, n = sizes
    layer = Experts(n, k, renormalize=renormalize, equal=equal)
    wanted = torch.zeros(n, 2, dtype=torch.float64)
    for x, y in zip(DATA.x, DATA.y, strict=True):
        says = layer.of_one(x)
        delta = (says.softmax(0) - F.one_hot(y, 2)) / len(DATA.x)
        p = layer.router(x).softmax(0)
        chosen = p.topk(k).indices
        inside = torch.zeros(n).double().index_fill(0, chosen, 1)
        w = p * inside / (p @ inside if renormalize else 1)
        a = torch.stack([delta @ expert(x) for expert in layer.experts])
        slope = (w if renormalize else p) * (inside * a - w @ a)
        wanted += slope.detach()[:, None] * x
    torch.testing.assert_close(router_gradient(layer), wanted, rtol=0, atol=1e-14)
    # Parts (b) and (c): where it is zero, and where it is not.
    still = renormalize and (equal or k == 1)
    assert (wanted.abs().max() < 1e-15) == still


@pytest.mark.theorem("routers")
def test_a_router_with_one_renormalized_expert_never_moves() -> None:
    layer = Experts(4, 1, renormalize=True, equal=False)
    run = train(layer, DATA, lr=0.5, steps=10)
    start, *_, end = run.parameters["router.weight"]
    torch.testing.assert_close(end, start, rtol=0, atol=1e-13)
    assert all(step == 1 for name, step in run.wakes().items() if "experts" in name)


@pytest.mark.theorem("routers")
@pytest.mark.parametrize(("renormalize", "sizes"), SIZES)
def test_experts_that_tie_are_twins(renormalize: bool, sizes: tuple[int, int]) -> None:
    k, n = sizes
    layer = Experts(n, k, renormalize=renormalize, equal=True)
    zeros_(layer.router)
    start = layer.rows()
    train(layer, DATA, lr=0.5, steps=8)
    end = layer.rows()
    moved = [i for i in range(n) if not torch.equal(start[i], end[i])]
    if renormalize and k != 3:  # a third is rounded, and so is the tie
        assert not layer.router.weight.any()
        assert moved == [*range(k)]  # the tie is for the first, and the others are dead
        assert distinct_units(end[:k]) == 1
    elif not renormalize and n == 2 * k:
        assert moved == [*range(n)]
        assert distinct_units(end[:k]) == distinct_units(end[k:]) == 1
        assert distinct_units(end) == 2


@pytest.mark.theorem("routers")
def test_other_rows_part_equal_experts() -> None:
    # The hypothesis of part (d): with a random router equal experts differ after a step or two.
    for renormalize in (True, False):
        layer = Experts(4, 2, renormalize=renormalize, equal=True)
        train(layer, DATA, lr=0.5, steps=2)
        assert distinct_units(layer.rows()) == 4
        assert router_gradient(layer).abs().max() > 1e-4


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.parametrize(
    ("name", "positive"),
    [
        ("default_weight_fake_quant", 0),
        ("default_per_channel_weight_fake_quant", 0),
        ("default_fused_wt_fake_quant", 12),
        ("default_fused_per_channel_wt_fake_quant", 12),
    ],
)
def test_a_positive_constant_is_outside_of_a_grid_and_a_negative_one_is_not(
    name: str, positive: int
) -> None:
    for sign, awake in ((1, positive), (-1, 12), (0, 12)):
        weight = torch.full((4, 3), 0.1 * sign, requires_grad=True)
        getattr(torch.ao.quantization, name)()(weight).sum().backward()
        assert weight.grad is not None
        assert weight.grad.count_nonzero() == awake


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
def test_three_positive_constants_of_four_are_outside_of_a_grid() -> None:
    draws = torch.rand(4000, generator=Generator().manual_seed(0))
    draws[:2] = torch.tensor([0.5, 1.0])
    weight = draws[:, None].repeat(1, 3).requires_grad_()
    torch.ao.quantization.default_per_channel_weight_fake_quant()(weight).sum().backward()
    assert weight.grad is not None
    asleep = (weight.grad == 0).all(1)
    assert not asleep[:2].any()
    assert 0.7 < asleep.double().mean() < 0.8


def test_the_grid_of_training_for_eight_bits_is_a_fused_one() -> None:
    grid = torch.ao.quantization.get_default_qat_qconfig().weight()
    fused = torch.ao.quantization.default_fused_per_channel_wt_fake_quant()
    assert type(grid) is type(fused)
    assert type(grid) is not type(torch.ao.quantization.default_per_channel_weight_fake_quant())


# What the page says of parts of PyTorch


def test_zeros_stay_zeros_where_a_matrix_is_to_be_orthogonal() -> None:
    square: Any = orthogonal(zeros_(nn.Linear(4, 4, bias=False)))
    descent = torch.optim.SGD(square.parameters(), lr=1)
    for _ in range(3):
        descent.zero_grad()
        (square(DATA.x.float().repeat(1, 2)) - 1).square().mean().backward()
        descent.step()
        assert not square.weight.any()
    other: Any = orthogonal(zeros_(nn.Linear(4, 4, bias=False)), use_trivialization=False)
    torch.testing.assert_close(other.weight @ other.weight.T, torch.eye(4))


@pytest.mark.parametrize(("weight", "broken"), [(0.0, True), (1.0, False)])
@pytest.mark.filterwarnings("ignore")  # it is to move to another package
def test_a_batchnorm_at_zero_is_divided_by_where_it_is_trained_for_eight_bits(
    weight: float, broken: bool
) -> None:
    ao = torch.ao.quantization
    model: Any = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2)).train()
    nn.init.constant_(model[1].weight, weight)
    model.qconfig = ao.get_default_qat_qconfig("x86")
    prepared = ao.prepare_qat(ao.fuse_modules_qat(model, [["0", "1"]]))
    assert prepared(torch.ones(4, 2, 3, 3)).isnan().any() == broken
