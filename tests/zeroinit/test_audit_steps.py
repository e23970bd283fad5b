"""The steps of an audit: how often they call what, and what they read off the gradients."""

import math
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from audited import Made, X, Y, classify
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from zeroinit._watched import Slope, measure
from zeroinit.auditing import audit
from zeroinit.report import Finding

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SHAPES = [(2, 3), (3, 2), (1, 1), (6, 1), (0, 2), (2, 0), (70, 60)]


@given(st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES),
                          st.sampled_from([0.0, 1e-30, 1.0, float("nan")])), max_size=8),
       st.integers(0, 2**32))  # fmt: skip
def test_gradients_that_are_measured_together_are_measured_right(
    kinds: list[tuple[tuple[int, int], torch.dtype, float]], seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    drawn = [(torch.randn(s, generator=draw) * size).to(dtype) for s, dtype, size in kinds]
    watched: Any = SimpleNamespace(rows=lambda gradient: gradient)
    slopes = [Slope(rows, watched, None) for rows in drawn]
    measure(slopes)
    for slope, rows in zip(slopes, drawn, strict=True):
        tall = [max(map(abs, row), default=0.0) for row in rows.tolist()]
        tall = [float("nan") if row.isnan().any() else t for t, row in zip(tall, rows, strict=True)]
        assert slope.heights.dtype == rows.dtype
        torch.testing.assert_close(slope.heights.double(), torch.tensor(tall).double(),
                                   rtol=0, atol=0, equal_nan=True)  # fmt: skip
        assert slope.steepest == max(tall, default=0.0) or rows.isnan().any()
        assert math.isnan(slope.steepest) == bool(rows.isnan().any())


def passes(model: Any) -> int:
    """Return how often an audit goes back from the first value of the loss."""
    gone: list[int] = []
    calls = count()

    def loss(m: Any) -> Tensor:
        value, call = classify(m), next(calls)
        value.register_hook(lambda g: gone.append(call))
        return value

    audit(model, loss, steps=2)
    return gone.count(0)


@pytest.mark.parametrize("learns", [True, False])
def test_causes_are_seen_in_the_first_pass_where_a_matrix_is_zero(learns: bool) -> None:
    """Where nothing is zero that hides what is below, a second pass is made if it is needed."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    assert passes(model) == 1
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    nn.init.constant_(model[0].bias, -50)
    assert passes(model) == 2
    nn.init.zeros_(model[2].weight).requires_grad_(learns)
    assert passes(model) == (1 if learns else 2)


def test_two_equal_pairs_are_told_apart_by_their_gradients_alone() -> None:
    """Matrices without a gradient stay together, and those whose gradients differ part."""
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Any:
        a, b, c, d = (layer(x) for layer in s.layers)
        return s.head(a + b) + s.other(c) + 0 * d

    start = nn.Linear(8, 8, bias=False)
    layers = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(4)])
    layers.load_state_dict({f"{n}.weight": start.weight for n in range(4)})
    model: Any = Made(how, layers=layers, head=nn.Linear(8, 8), other=nn.Linear(8, 8))
    found = audit(model, lambda m: (m(X) - 1).square().mean())
    assert {f.name: f.kind for f in found.faults} == {
        "layers.0.weight": "equal modules",
        "layers.1.weight": "equal modules",
        "layers.3.weight": "dead",
    }


def test_each_step_is_a_part_of_the_size_and_no_two_are_alike() -> None:
    """The slopes of a linear loss are its numbers, so that every step is known by hand."""
    torch.manual_seed(0)
    slopes = {
        "drawn": torch.tensor([[2.0, -1.0]]), "wide": torch.ones(1, 128),
        "scale": torch.tensor(4.0), "vector": torch.arange(1.0, 9), "still": torch.ones(2, 2),
    }  # fmt: skip
    starts = {
        "drawn": torch.tensor([[3.0, 4.0]]), "wide": torch.zeros(1, 128),
        "scale": torch.tensor(-2.0), "vector": torch.ones(8), "still": torch.ones(2, 2),
    }  # fmt: skip
    sizes = {"drawn": 12.5**0.5, "wide": 0.5, "scale": 2.0, "vector": 1.0, "still": 0.0}
    model: Any = Made(lambda s, x: x, **{k: nn.Parameter(t) for k, t in starts.items()})
    model.still.requires_grad_(False)
    seen: list[dict[str, Tensor]] = []

    def loss(m: Any) -> Any:
        seen.append({name: p.detach().clone() for name, p in m.named_parameters()})
        return sum((slopes[name] * p).sum() for name, p in m.named_parameters())

    found = audit(model, loss, steps=4)
    assert found.steps == 4
    assert {f.name: f.kind for f in found} == {
        "drawn": "fine", "wide": "zero on purpose", "scale": "fine", "vector": "fine",
        "still": "frozen",
    }  # fmt: skip
    for call in range(4):
        length = 0.01 * sum(k / (k + 1) for k in range(1, call + 1))
        for name, start in starts.items():
            way = length * sizes[name] * slopes[name] / slopes[name].abs().max()
            torch.testing.assert_close(seen[call][name], start - way, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_progress_counts_the_steps_that_are_asked_for(
    rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    @contextmanager
    def shown(*given: Any) -> Iterator[Any]:
        told.append(given)
        yield told.append

    monkeypatch.setattr("zeroinit._run.progress", shown)
    monkeypatch.setenv("RANK", rank)
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    audit(model, classify, steps=2)
    nn.init.zeros_(model[2].weight)  # so that the first layer wakes at step 2, and one more follows
    audit(model, classify, steps=2)
    assert told == [(2, rank == "0"), 1, 2, (2, rank == "0"), 1, 2, 3]


def test_everything_of_a_healthy_network_with_a_frozen_and_an_unused_part() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.b(s.a(x).tanh()), a=nn.Linear(8, 4), b=nn.Linear(4, 3))
    model.fixed = nn.Linear(2, 5, bias=False).requires_grad_(False)
    model.spare = nn.Linear(2, 6, bias=False)
    found = audit(model, classify)
    assert (found.steps, found.note, found.remarks, found.faults) == (3, "", (), ())
    fine = {"wakes": 1, "dead": 0, "unreached": 0, "kind": "fine", "cause": "", "remedy": ""}
    never = {"wakes": None, "unreached": 0, "remedy": ""}
    expected: list[Any] = [
        ("a.weight", (4, 8), 4, 4, fine), ("a.bias", (4,), 4, 4, fine),
        ("b.weight", (3, 4), 3, 3, fine), ("b.bias", (3,), 3, 3, fine),
        ("fixed.weight", (5, 2), 5, 5,
         never | {"dead": 5, "kind": "frozen", "cause": ""}),
        ("spare.weight", (6, 2), 6, 6,
         never | {"dead": 6, "kind": "not used by this loss", "cause": "spare is never called"}),
    ]  # fmt: skip
    assert found.findings == tuple(
        Finding(name=name, names=(name,), shape=shape, units=units, distinct=distinct,
                distinct_after=distinct, act_as=units, **rest)
        for name, shape, units, distinct, rest in expected
    )  # fmt: skip


def test_a_tied_parameter_has_all_its_names_in_the_order_of_the_model() -> None:
    model: Any = Made(lambda s, x: s.b(s.a(x).tanh()), a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    model.b.weight = model.a.weight
    found = audit(model, classify)
    assert [f.names for f in found] == [("a.weight", "b.weight"), ("a.bias",), ("b.bias",)]
    assert found["b.weight"] is found["a.weight"]


def test_the_columns_of_stacked_matrices_are_units_where_the_input_stands_before_them() -> None:
    """Of three experts the first has four equal units, which four equal rows use."""
    torch.manual_seed(0)
    into, out = torch.randn(3, 8, 4), torch.randn(3, 4, 3)
    into[0], out[0] = into[0, :, :1].clone(), out[0, :1].clone()

    def how(s: Any, x: Tensor) -> Any:
        return sum(torch.tanh(x @ s.into[n]) @ s.out[n] for n in range(3))

    model: Any = Made(how, into=nn.Parameter(into), out=nn.Parameter(out))
    found = audit(model, classify)["into"]
    assert (found.units, found.distinct, found.distinct_after, found.act_as) == (12, 9, 9, 9)
    assert found.verdict == "twins (12 units act as 9)"


def test_rows_of_a_table_with_sparse_gradients_step_against_them() -> None:
    """Of four tokens two are seen, the second of them twice; the slopes are 1, 2, 1 and −4, 2."""
    torch.manual_seed(0)
    table = nn.Embedding(4, 2, sparse=True)
    start = table.weight.detach().clone()
    slope = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-3.0, 2.0], [0.0, 0.0]])
    weights = torch.tensor([[1.0, 0.0], [1.0, 2.0], [-4.0, 2.0]])
    seen: list[Tensor] = []

    def loss(m: Any) -> Any:
        seen.append(m.weight.detach().clone())
        return (m(torch.tensor([2, 0, 2])) * weights).sum()

    found = audit(table, loss)["weight"]
    assert (found.kind, found.wakes, found.unreached) == ("fine", 1, 2)
    size = float(start.square().mean().sqrt())
    for call, length in enumerate([0, 0.005, 0.005 + 0.02 / 3]):
        torch.testing.assert_close(seen[call], start - length * size * slope / 3)


def doubled() -> Any:
    """Return a network with a vector whose halves are factors of one product."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(s.fixed(x) * s.scale[:8] * s.scale[8:]),
        scale=nn.Parameter(torch.ones(16)), head=nn.Linear(8, 3), fixed=nn.Linear(8, 8),
    )  # fmt: skip
    model.fixed.requires_grad_(False)
    return model


def test_equal_numbers_are_doubted_with_all_trained_matrices_drawn_anew_and_nothing_else() -> None:
    model, seen = doubled(), []

    def loss(m: Any) -> Tensor:
        seen.append({name: p.detach().clone() for name, p in m.named_parameters()})
        return classify(m)

    assert audit(model, loss)["scale"].verdict == "twins (16 units act as 8)"
    start, anew = seen[0], seen[3]
    assert [name for name in start if not torch.equal(start[name], anew[name])] == ["head.weight"]
    assert not torch.equal(seen[4]["scale"], start["scale"])
    seen.clear()
    model.how = lambda s, x: s.head(s.fixed(x) * s.scale[:8] + s.scale[8:])
    assert audit(model, loss)["scale"].kind == "fine"
    assert len(seen) == 3  # there is nothing to doubt


@pytest.mark.parametrize("error", [ValueError, RuntimeError, StopIteration])
def test_equal_numbers_are_no_twins_where_no_other_numbers_can_be_tried(error: Any) -> None:
    calls = count(1)

    def loss(m: Any) -> Tensor:
        if next(calls) > 3:
            raise error("the numbers are not the ones that were saved")
        return classify(m)

    found = audit(doubled(), loss)
    assert found["scale"].kind == "fine"
    assert bool(found.note) == (error is StopIteration)


@pytest.mark.parametrize(
    ("steps", "draw"),
    [(1, torch.rand), (3, torch.rand), (3, np.random.random), (3, lambda size: random.random())],
)
def test_a_draw_has_twenty_steps_more_to_reach_what_seems_dead(
    steps: int, draw: Callable[..., Any]
) -> None:
    def loss(model: nn.Module) -> Tensor:
        draw(())
        return classify(model)

    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.constant_(model[0].bias, -50)
    found = audit(model, loss, steps=steps)
    assert (found.steps, found["0.weight"].kind) == (steps + 20, "dead")


def test_a_draw_at_every_other_step_has_as_many() -> None:
    drawn: list[bool] = []

    def loss(model: nn.Module) -> Tensor:
        drawn.append(len(drawn) % 2 == 0)
        if drawn[-1]:
            torch.rand(())
        return classify(model)

    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.constant_(model[0].bias, -50)
    assert audit(model, loss, steps=4).steps == 24


def test_a_state_that_a_call_leaves_for_the_next_is_the_one_it_started_with() -> None:
    start, seen = torch.ones(32, 3), []

    def how(s: Any, x: Tensor) -> Any:
        seen.append(s.state)
        s.state = s.head(x) + s.state
        return s.state

    model: Any = Made(how, head=nn.Linear(8, 3))
    model.state = start
    assert audit(model, classify).faults == ()
    assert all(state is start for state in (*seen, model.state))


def test_what_cancels_in_one_loss_and_learns_in_another_gets_no_remark() -> None:
    """A BatchNorm takes off the bias before it; the other loss has none."""
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: x, a=nn.Linear(8, 3), norm=nn.BatchNorm1d(3))
    losses = [lambda m: F.cross_entropy(m.norm(m.a(X)), Y), lambda m: F.cross_entropy(m.a(X), Y)]
    assert audit(model, losses[0])["a.bias"].kind == "not used by this loss"
    assert audit(model, losses).remarks == ()


class Twice(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@pytest.mark.parametrize("how", ["convolution", "transposed", "weight norm", "computed"])
def test_a_bias_belongs_to_the_units_of_its_weight(how: str) -> None:
    torch.manual_seed(0)
    layer: Any = nn.Linear(8, 4)
    if how in ("convolution", "transposed"):
        layer = (nn.ConvTranspose1d if how == "transposed" else nn.Conv1d)(8, 4, 1)
    nn.init.constant_(layer.weight, 0.1)
    nn.init.constant_(layer.bias, 0.2)
    if how == "weight norm":
        parametrizations.weight_norm(layer)
    elif how == "computed":
        nn.utils.parametrize.register_parametrization(layer, "weight", Twice())
    x = X if isinstance(layer, nn.Linear) else X[:, :, None]
    model: Any = Made(lambda s, x: s.b(s.a(x).tanh().flatten(1)), a=layer, b=nn.Linear(4, 3))
    with torch.no_grad():
        model.b.weight.copy_(model.b.weight[:, :1].clone())
    found = audit(model, lambda m: F.cross_entropy(m(x), Y))
    assert found["a.bias"].verdict == "twins (4 units act as 1)"
    assert found["b.bias"].verdict == "fine"


def test_rows_are_counted_as_they_are_at_the_end() -> None:
    """Three tokens of one start are seen and part; three of another are not, and stay one."""
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x + s.table[Y]), head=nn.Linear(8, 3))
    model.table = nn.Parameter(torch.randn(2, 8).repeat_interleave(3, 0))
    nn.init.zeros_(model.head.weight)
    found = audit(model, classify)
    table, head = found["table"], found["head.weight"]
    assert (table.units, table.distinct, table.distinct_after, table.unreached) == (6, 2, 4, 3)
    assert (head.units, head.distinct, head.distinct_after) == (3, 1, 3)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_rows_that_every_sample_uses_alike_are_twins(sparse: bool) -> None:
    """Two of the rows that start equal are used, by all samples, and added up: they stay equal."""
    torch.manual_seed(0)
    table = nn.Embedding(4, 8, sparse=sparse)
    nn.init.ones_(table.weight)
    model: Any = Made(lambda s, x: x, table=table, head=nn.Linear(8, 3))
    places = torch.tensor([1, 3]).expand(32, 2)
    for weights, verdict in [([1.0, 1.0], "twins (4 units act as 3)"), ([1.0, 2.0], "fine")]:
        both = torch.tensor(weights)[:, None]
        model.how = lambda s, x, both=both: s.head((x[:, None] * s.table(places) * both).sum(1))
        assert audit(model, classify)["table.weight"].act_as == (3 if "twins" in verdict else 4)


def test_equal_numbers_of_outputs_and_of_tokens_are_no_twins() -> None:
    """The batch lacks nine of twelve classes, and has all tokens in every sample."""
    torch.manual_seed(0)
    prior: Any = Made(lambda s, x: s.prior.expand(32, 12), prior=nn.Parameter(torch.zeros(12)))
    found = audit(prior, classify)["prior"]
    assert (found.units, found.act_as) == (12, 12)
    words = torch.stack([torch.randperm(12) for _ in range(32)])
    table = nn.Embedding(12, 1)
    nn.init.zeros_(table.weight)
    bag: Any = Made(lambda s, x: s.head(x + s.table(words).sum(1)), table=table)
    bag.head = nn.Linear(8, 3)
    found = audit(bag, classify)["table.weight"]
    assert (found.units, found.act_as) == (12, 12)


def test_what_one_loss_has_in_its_graph_is_not_left_out() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: x, a=nn.Linear(8, 8), head=nn.Linear(8, 3))
    nn.init.zeros_(model.head.weight)

    def whole(m: Any) -> Tensor:
        return F.cross_entropy(m.head(m.a(X)), Y)

    def late() -> Any:
        calls = count()
        return lambda m: F.cross_entropy(m.head(m.a(X) if next(calls) else m.a(X).detach()), Y)

    assert audit(model, late())["a.weight"].verdict == "left out (wakes at step 2)"
    assert audit(model, [late(), late()])["a.weight"].verdict == "left out (wakes at step 2)"
    for losses in ([whole, late()], [late(), whole]):
        assert audit(model, losses)["a.weight"].verdict == "zero on purpose (wakes at step 2)"


@pytest.mark.parametrize(("dtype", "kind"), [(torch.float32, "not used by this loss"),
                                             (torch.bfloat16, "fine")])  # fmt: skip
def test_rounding_is_told_from_a_gradient_where_numbers_have_many_digits(
    dtype: torch.dtype, kind: str
) -> None:
    """A BatchNorm takes off the bias before it; two digits are too few to say so."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3))
    found = audit(model.to(dtype), lambda m: F.cross_entropy(m(X.to(dtype)), Y))
    assert found["0.bias"].kind == kind


def test_one_number_that_all_units_share_is_no_bias_of_theirs() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.b((s.a(x) + s.shift).tanh()), a=nn.Linear(8, 4, bias=False))
    model.b, model.shift = nn.Linear(4, 3), nn.Parameter(torch.zeros(1))
    nn.init.constant_(model.a.weight, 0.1)
    with torch.no_grad():
        model.b.weight.copy_(torch.randn(3, 1).expand(3, 4))
    found = audit(model, classify)
    assert found["a.weight"].verdict == "twins (4 units act as 1)"
    assert found["shift"].verdict == "zero on purpose (wakes at step 1)"


def test_two_rows_in_one_place_in_memory_are_a_fault() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x) @ s.w, head=nn.Linear(8, 2))
    model.w = nn.Parameter(torch.randn(1, 3).expand(2, 3))
    assert [(f.name, f.kind) for f in audit(model, classify).faults] == [("w", "shared memory")]


def test_a_model_that_makes_the_nan_itself_is_named() -> None:
    """The layer gives NaN, too, but was given it."""
    model: Any = Made(lambda s, x: s.head(x / 0), head=nn.Linear(8, 3))
    says = r"^the loss is nan at step 1: the model \(Made\) is the first module to give a number "
    with pytest.raises(ValueError, match=says):
        audit(model, classify)


def test_a_loss_that_cannot_be_called_again_names_no_module() -> None:
    batches = iter([X / 0])
    says = "^the loss is nan at step 1: mend the batch or the scale of the start$"
    with pytest.raises(ValueError, match=says):
        audit(nn.Linear(8, 3), lambda m: F.cross_entropy(m(next(batches)), Y))


def test_a_bias_without_a_weight_of_its_own_is_fine() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x + s.bias), head=nn.Linear(8, 3))
    model.bias = nn.Parameter(torch.zeros(8))
    assert {f.kind for f in audit(model, classify)} == {"fine"}


def test_the_graph_of_a_step_is_let_go_before_the_next() -> None:
    graphs: list[weakref.ref[Any]] = []
    alive: list[int] = []

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.kept = nn.Identity()
            graphs.append(weakref.ref(ctx.kept))
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0]

    class Layer(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = Kept.apply(super().forward(x))  # type: ignore[no-untyped-call]
            return out

    def loss(model: nn.Module) -> Tensor:
        alive.append(sum(graph() is not None for graph in graphs))
        return classify(model)

    audit(Layer(8, 3), loss)
    assert alive == [0, 0, 0]
