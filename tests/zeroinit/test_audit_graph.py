"""What the audit reads in autograd's graph, and what other backward passes over it give."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from audited import Made
from torch import Tensor, nn
from torch.distributed.tensor import _api, _redistribute

from zeroinit import _graph
from zeroinit._graph import (
    Uses,
    coarsest,
    gradients,
    gradients_again,
    operation,
    rounding,
    uses,
    viewed,
    walk,
    with_other_targets,
)

NODES = torch._C._functions  # autograd's classes of nodes, those of other devices as well


def test_the_tables_hold_operations_that_autograd_has() -> None:
    named = {node.partition("Backward")[0] for node in dir(NODES)}
    named |= {*dir(_api), *dir(_redistribute)}
    tables = _graph.VIEWS, _graph.TURNS, _graph.PRODUCTS, _graph.LOOKUPS, _graph.GATES
    for table in (*tables, _graph.STACKED, _graph.CHOICES):
        assert table
        assert not table - named


@pytest.mark.parametrize(
    ("view", "turns"),
    [
        (lambda p: p.clone(), 0),
        (lambda p: p.expand(2, 4, 4), 0),
        (lambda p: p.permute(1, 0), 1),
        (lambda p: p[0], 0),
        (lambda p: p[1:], 0),
        (lambda p: p.split(2)[1], 0),
        (lambda p: p.unsqueeze(0), 0),
        (lambda p: p.unsqueeze(0).squeeze(0), 0),
        (lambda p: p.t(), 1),
        (lambda p: p.transpose(0, 1), 1),
        (lambda p: p.double(), 0),
        (lambda p: p.reshape(2, 8), 0),
        (lambda p: p.t().clone().t()[1:].reshape(-1), 2),
    ],
)
def test_a_parameter_is_seen_through_its_views(
    view: Callable[[Tensor], Tensor], turns: int
) -> None:
    parameter = nn.Parameter(torch.ones(4, 4))
    found, turned = viewed(view(parameter).grad_fn)
    assert found is parameter
    assert turned == turns
    assert viewed((2 * view(parameter)).grad_fn)[0] is None
    assert viewed(None) == (None, 0)


def test_a_graph_is_walked_once_from_the_loss() -> None:
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    left, right = a.exp(), (a * b).sin()
    nodes = walk((left + right).sum())
    names = [operation(node) for node in nodes]
    assert sorted(names) == sorted(["Sum", "Add", "Exp", "Sin", "Mul", *2 * ["AccumulateGrad"]])
    assert names[:2] == ["Sum", "Add"]
    assert names.index("Sin") < names.index("Mul")


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


def test_an_operation_has_the_name_that_its_author_gave() -> None:
    x = torch.ones(2, requires_grad=True)
    doubled: Any = Doubled.apply  # which has no annotations
    names = [operation(node) for node in walk(doubled(x.expand(3, 2)))]
    assert names == ["Doubled", "Expand", "AccumulateGrad"]


ONES = torch.ones(2, 2, requires_grad=True)
BATCH = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def twice_used(sums: Tensor) -> Tensor:
    return (sums * sums.exp()).sum()


TOKENS = torch.tensor([[0, 1], [2, 1]])


@pytest.mark.parametrize(
    ("how", "found"),
    [
        (lambda s, x: s.b(torch.tanh(s.a(x))),
         {"rows": {"a.weight", "b.weight"}, "outputs": {"b.weight"},
          "biases": {"a.weight": "a.bias", "b.weight": "b.bias"}}),
        (lambda s, x: F.relu(s.b(s.a(x))),
         {"rows": {"a.weight", "b.weight"}, "gated": {"b.weight"},
          "biases": {"a.weight": "a.bias", "b.weight": "b.bias"}}),
        (lambda s, x: torch.where(x > 0, s.b(x), s.a(x)),
         {"rows": {"a.weight", "b.weight"}, "gated": {"a.weight", "b.weight"},
          "biases": {"a.weight": "a.bias", "b.weight": "b.bias"}}),
        (lambda s, x: torch.tanh(x @ s.w) @ s.v.T,
         {"rows": {"v"}, "outputs": {"v"}, "turned": {"w"}}),
        (lambda s, x: torch.tanh(torch.addmm(s.c, x, s.w)) @ s.v.T,
         {"rows": {"v"}, "outputs": {"v"}, "turned": {"w"}, "biases": {"w": "c"}}),
        (lambda s, x: torch.tanh(F.linear(x[None], s.w) + s.c),
         {"rows": {"w"}, "outputs": {"w"}, "biases": {"w": "c"}}),
        (lambda s, x: torch.tanh(s.c + F.linear(x[None], s.w)),
         {"rows": {"w"}, "outputs": {"w"}, "biases": {"w": "c"}}),
        (lambda s, x: s.b(torch.tanh(F.linear(x, s.w) + s.v)),  # a number for each sample
         {"rows": {"b.weight", "w"}, "outputs": {"b.weight"}, "biases": {"b.weight": "b.bias"}}),
        (lambda s, x: torch.tanh(torch.tanh(x @ s.w.T) * s.c + s.c),
         {"rows": {"w"}, "outputs": {"w"}}),
        (lambda s, x: F.linear(s.e(TOKENS), s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"e.weight"}}),
        (lambda s, x: F.linear(s.e(TOKENS[:1]), s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"e.weight"}}),
        (lambda s, x: F.linear(s.e(TOKENS[0]), s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"e.weight"}}),
        (lambda s, x: F.linear(s.e(TOKENS[[0, 0], 0]), s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"e.weight"}}),
        (lambda s, x: F.linear(s.e(TOKENS[[0, 0]]), s.w),
         {"rows": {"w"}, "outputs": {"w"}}),  # a prefix
        (lambda s, x: F.linear(s.v.index_select(0, TOKENS[0]), s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"v"}}),
        (lambda s, x: F.linear(s.v[TOKENS], s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"v"}}),
        (lambda s, x: F.linear(s.v[TOKENS[[0, 0]]], s.w),
         {"rows": {"w"}, "outputs": {"w"}, "tables": {"v"}}),
        (lambda s, x: F.linear(x, s.w).topk(2).values,
         {"rows": {"w"}, "outputs": {"w"}, "chooses": True}),
        (lambda s, x: x @ s.s, {"turned": {"s"}, "outputs": {"s"}}),
        (lambda s, x: torch.bmm(s.s.mT, x.expand(3, 4, 4)), {"turned": {"s"}, "outputs": {"s"}}),
        (lambda s, x: x[:, :2] @ s.s.mT, {"rows": {"s"}, "outputs": {"s"}}),
        (lambda s, x: s.s @ x[:2], {"rows": {"s"}, "outputs": {"s"}}),
        (lambda s, x: x[:, :3] @ s.s.transpose(0, 1), {"outputs": {"s"}}),  # (in, matrices, out)
        (lambda s, x: s.s.permute(2, 1, 0) @ x[:3], {"outputs": {"s"}}),
        (lambda s, x: x @ s.s.view(3, 2, 2, 2).mT.reshape(3, 4, 2), {"outputs": {"s"}}),
        (lambda s, x: F.conv1d(x[None], s.k), {"outputs": {"k"}}),
    ],
)  # fmt: skip
def test_what_a_loss_uses_its_parameters_for(
    how: Callable[[Any, Tensor], Tensor], found: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    model = Made(
        how, a=nn.Linear(4, 4), b=nn.Linear(4, 4), e=nn.Embedding(4, 4),
        w=nn.Parameter(torch.randn(4, 4)), v=nn.Parameter(torch.randn(4, 4)),
        c=nn.Parameter(torch.ones(4)), k=nn.Parameter(torch.randn(4, 4, 2)),
        s=nn.Parameter(torch.randn(3, 4, 2)),
    )  # fmt: skip
    loss = model(torch.randn(4, 4)).square().sum()
    name = {id(p): name for name, p in model.named_parameters()}
    seen: Any = uses(loss, walk(loss))
    for kind in ("outputs", "gated", "rows", "turned", "tables"):
        setattr(seen, kind, {name[p] for p in getattr(seen, kind)})
    seen.biases = {name[weight]: name[bias] for weight, bias in seen.biases.items()}
    assert seen == Uses(**found)


@pytest.mark.parametrize(
    ("dtypes", "precision"),
    [
        ([torch.float64], torch.finfo(torch.float64).eps),
        ([torch.float64, torch.float32], torch.finfo(torch.float32).eps),
        ([torch.bfloat16, torch.float64], torch.finfo(torch.float64).eps),
        ([torch.float16], 0.0),
    ],
)
def test_the_coarsest_numbers_are_those_of_the_graph(
    dtypes: list[torch.dtype], precision: float
) -> None:
    x = torch.ones(2, dtype=dtypes[0], requires_grad=True)
    y = x.exp()
    for dtype in dtypes[1:]:
        y = y.to(dtype).exp()
    assert coarsest(walk(y.exp())) == precision


def test_of_a_process_alone_rounding_gives_the_largest_number() -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = [(), (3,), (5, 4), (2**20 + 7,), (2**11, 2**10 + 1), (0,), (3, 0)]
    parameters = [torch.randn(shape, generator=draw, requires_grad=True) for shape in shapes]
    parameters += [torch.randn(2, 3, dtype=torch.cfloat, generator=draw, requires_grad=True)]
    parameters += [torch.randn(4, 3, generator=draw, requires_grad=True)]  # with a sparse gradient
    table = parameters[-1]
    unused = torch.ones(2, requires_grad=True)
    loss = torch.stack([p.abs().square().sum() - 2 * p.abs().sum() for p in parameters[:-1]]).sum()
    loss = loss + F.embedding(TOKENS, table, sparse=True).square().sum()
    loss.backward(retain_graph=True)
    before = [p.grad if p is unused or p is table else p.grad.clone() for p in parameters]  # type: ignore
    asked = [p for p in [*parameters, unused] if p.numel()]
    whole = rounding(loss, walk(loss), asked, 0.0, alone=False)
    most = rounding(loss, walk(loss), asked, 0.0, alone=True)
    assert whole[-1] is None
    assert most[-1] is None
    for p, all_, one in zip(asked[:-1], whole, most, strict=False):
        assert all_ is not None
        assert one is not None
        assert all_.shape == p.shape
        numbers = torch.view_as_real(all_) if all_.is_complex() else all_
        if p is table:
            assert torch.equal(one, all_)
        else:
            assert one.shape == ()
            assert one == numbers.abs().max() > 0
    for p, gradient in zip(parameters, before, strict=True):
        assert p is table or torch.equal(p.grad, gradient)  # type: ignore[arg-type]
        assert not p._backward_hooks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alone", [True, False])
def test_rounding_is_measured_by_the_terms_and_not_by_their_sum(
    alone: bool, dtype: torch.dtype
) -> None:
    """The terms are 8 and −8; their sum is zero."""
    p = torch.ones(1000, dtype=dtype, requires_grad=True)
    loss = (8 * p.square() / 2 - 8 * p).sum()
    loss.backward(retain_graph=True)
    assert p.grad is not None
    assert not p.grad.any()
    eps = torch.finfo(dtype).eps
    (lost,), (coarse,), (fine,) = (
        rounding(loss, walk(loss), [p], least, alone=alone) for least in (0.0, 0.001, eps / 2)
    )
    assert lost is not None
    assert coarse is not None
    assert fine is not None
    assert 2 < float(lost.abs().max()) / eps ** (2 / 3) < 32
    torch.testing.assert_close(coarse, lost * (0.001 / eps) ** (2 / 3))
    assert torch.equal(fine, lost)


@pytest.mark.parametrize("alone", [True, False])
def test_each_number_changes_by_half_of_it_at_most(alone: bool) -> None:
    """One operation is changed: that is twice the rounding, as a quarter counts as one."""
    p = torch.ones(1000, requires_grad=True)
    loss = p.sum()
    loss.backward(retain_graph=True)
    (lost,) = rounding(loss, walk(loss), [p], 0.0, alone=alone)
    assert lost is not None
    assert 0 < float(lost.abs().max()) <= 2 * torch.finfo(p.dtype).eps ** (2 / 3)


@pytest.mark.parametrize(
    "out_of",
    [
        lambda weight: BATCH @ weight.T,
        lambda weight: BATCH[0] @ weight.T,
        lambda weight: (BATCH[0] * weight).sum(1),
    ],
)
@pytest.mark.parametrize(
    "loss_of",
    [
        lambda out: (out - 1).square().sum(),
        lambda out: out.sum(-1).square().sum(),  # sends no error back: the sums are zero
        lambda out: (out - 1).square().sum() + twice_used((ONES * 2).sum(1)),
    ],
)
def test_units_that_are_asked_the_same_are_equal_no_more(
    loss_of: Callable[[Tensor], Tensor], out_of: Callable[[Tensor], Tensor]
) -> None:
    weight, unused = torch.zeros(2, 3, requires_grad=True), torch.ones(2, requires_grad=True)
    loss = loss_of(out_of(weight))
    (now,) = torch.autograd.grad(loss, [weight], retain_graph=True)
    assert torch.equal(now[0], now[1])
    other, none = with_other_targets(loss, [weight, unused])
    assert none is None
    assert other is not None
    assert (other[0] - other[1]).abs().max() > 0.1
    assert weight.grad is None


def test_gradients_of_shards_come_by_backward_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_graph, "sharded", lambda tensor: True)
    weight = torch.tensor([1.0, 2], requires_grad=True)
    weight.grad = before = torch.ones(2)
    loss = weight.exp().sum()
    for _ in range(2):
        (found,) = gradients(loss, [weight])
        assert torch.equal(found, weight.detach().exp())  # type: ignore[arg-type]
        assert weight.grad is before
    assert torch.equal(before, torch.ones(2))


def test_noise_is_drawn_where_its_tensor_is() -> None:
    """Without a word of a device it is drawn on the default one: here it has no numbers."""
    like = torch.ones(3)
    with torch.device("meta"):
        found = _graph._Noise()(like)
    assert torch.equal(found, _graph._Noise()(like))


def test_gradients_that_are_dense_and_have_a_point_are_changed_alone() -> None:
    whole, sparse = torch.tensor([1, 2]), torch.eye(2).to_sparse()
    several = [torch.ones(2), None, whole, sparse, torch.ones(2, dtype=torch.cfloat)]
    first, none, *others, last = _graph._changed(several, lambda g: 3 * g)
    assert first is not None
    assert last is not None
    assert first.tolist() == last.tolist() == [3, 3]
    assert none is None
    assert others[0] is whole
    assert others[1] is sparse


def test_hooks_are_taken_off_and_sparse_gradients_are_filled_up() -> None:
    table = torch.ones(4, 2, requires_grad=True)
    loss = F.embedding(torch.tensor([1, 1]), table, sparse=True).sum()
    (node,) = (n for n in walk(loss) if operation(n) == "Sum")
    for factor, hooks in ((3, {node: lambda g: (3 * g[0],)}), (1, {})):
        (found,) = gradients_again(loss, [table], hooks)
        assert torch.equal(found, 2.0 * factor * torch.eye(4)[1][:, None].expand(4, 2))  # type: ignore
