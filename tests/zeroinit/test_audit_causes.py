"""Why a parameter is dead, waits or is not used, and the change that wakes it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from audited import SOME, Made, X, Y, classify
from torch import Tensor, nn

from zeroinit import MLP, _causes, zeros_
from zeroinit._causes import Calls, Cause, Search, _one_logit, _worst, joined, listed
from zeroinit._graph import operation
from zeroinit._kept import kept
from zeroinit._reasons import report
from zeroinit._remedies import changes, filled
from zeroinit._run import Run
from zeroinit._sharded import Ranks
from zeroinit.auditing import audit
from zeroinit.report import Finding

NODES = torch._C._functions  # autograd's classes of nodes, those of other devices as well


def test_the_tables_hold_operations_that_autograd_has() -> None:
    named = {node.partition("Backward")[0] for node in dir(NODES)}
    tables = (*_causes.FACTORS,), (*_causes.FLAT,), _causes.KEEP_ZERO, _causes.ROUND, _causes.CHOOSE
    for table in tables:
        assert table
        assert not {*table} - named


def test_autograd_keeps_the_factors_of_a_product_by_these_names() -> None:
    for product, factors in _causes.FACTORS.items():
        kept = dir(getattr(NODES, f"{product}Backward0"))
        assert {name for name in factors if name} <= set(kept)


@pytest.mark.parametrize(
    ("compute", "shapes", "kept"),
    [
        (torch.mul, [(2, 2), (2, 2)], [0, 1]),
        (torch.mm, [(2, 3), (3, 2)], [0, 1]),
        (torch.bmm, [(1, 2, 3), (1, 3, 2)], [0, 1]),
        (torch.mv, [(2, 3), (3,)], [0, 1]),
        (torch.dot, [(3,), (3,)], [0, 1]),
        (torch.addmm, [(2,), (2, 3), (3, 2)], [None, 1, 2]),
        (torch.baddbmm, [(1, 2, 2), (1, 2, 3), (1, 3, 2)], [None, 1, 2]),
        (F.conv1d, [(1, 2, 5), (3, 2, 2), (3,)], [0, 1]),
        (lambda x, w: F.layer_norm(x, (3,), w), [(2, 3), (3,)], [0, 1]),
        (lambda x, w: F.batch_norm(x, None, None, w, None, True), [(2, 3), (3,)], [0, 1]),
        (lambda x, w: F.group_norm(x, 3, w), [(2, 3, 4), (3,)], [0, 1]),
        (F.scaled_dot_product_attention, 3 * [(1, 1, 2, 4)], [0, 1, 2]),
    ],
)
def test_the_factors_of_a_product_stand_in_the_order_of_its_inputs(
    compute: Callable[..., Tensor], shapes: list[tuple[int, ...]], kept: list[int | None]
) -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=draw, requires_grad=True) for shape in shapes]
    node: Any = compute(*inputs).grad_fn
    factors = _causes.FACTORS[operation(node)]
    assert len(factors) == len(kept)
    for factor, place in zip(factors, kept, strict=True):
        assert (factor is None) == (place is None)
        if factor is not None and place is not None:
            assert torch.equal(getattr(node, factor), inputs[place])


@torch.no_grad()
def set_to(value: float, *parameters: Tensor) -> None:
    for p in parameters:
        p.fill_(value)


def gated() -> Any:
    """A zero Linear before a ReLU gate: of four dead parameters one is the cause."""
    model: Any = Made(
        lambda s, x: s.head(x + F.relu(s.gate(x)) * s.value(x)),
        gate=nn.Linear(8, 8), value=nn.Linear(8, 8), head=nn.Linear(8, 3),
    )  # fmt: skip
    set_to(0, model.gate.weight, model.gate.bias)
    model.register_buffer("empty", torch.empty(0))  # which has no place in memory
    return model


def off() -> Any:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3), nn.ReLU())
    set_to(-50, model[2].bias)
    return model


def function() -> Any:
    model: Any = Made(lambda s, x: s.b(F.relu(s.a(x))), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    set_to(-50, model.a.bias)
    return model


def saturated() -> Any:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3))
    set_to(300, model[0].bias)
    return model


def rounded() -> Any:
    return Made(lambda s, x: s.b(s.a(x).round()), a=nn.Linear(8, 8), b=nn.Linear(8, 3))


def clamped() -> Any:
    model: Any = Made(lambda s, x: s.b(s.a(x).clamp(0, 1)), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    set_to(50, model.a.bias)
    return model


def one_logit() -> Any:
    return Made(
        lambda s, x: s.b(x) * s.act(s.a(x)), a=nn.Linear(8, 1), b=nn.Linear(8, 3), act=nn.Softmax(1)
    )


def both_zero() -> Any:
    model: Any = Made(
        lambda s, x: s.head(x + s.up(s.down(x))),
        down=nn.Linear(8, 4, bias=False), up=nn.Linear(4, 8, bias=False), head=nn.Linear(8, 3),
    )  # fmt: skip
    set_to(0, model.down.weight, model.up.weight)
    return model


def dropped() -> Any:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    set_to(0, *model.parameters())
    return model


def frozen(last: nn.Module, own: str = "weight") -> Any:
    """A residual branch whose last layer is zero and not trained."""
    model: Any = Made(
        lambda s, x: s.head(x + s.last(torch.tanh(s.a(x)))),
        a=nn.Linear(8, 8), last=last, head=nn.Linear(8, 3),
    )  # fmt: skip
    set_to(0, getattr(last, own))
    last.requires_grad_(False)
    return model


class Scale(nn.Module):
    """A factor for each channel, in a buffer."""

    gamma: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gamma", torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Folded(Scale):
    """As a frozen norm does, which makes a factor of its buffers at each call."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (2 * self.gamma) + 1


def attention(tokens: int, dropout: float) -> nn.Module:
    def how(s: Any, x: Tensor) -> Tensor:
        x = x.view(4, 8, 8)[:, :tokens]
        keys = torch.cat([x.new_zeros(4, 0, 8), s.k(x)], 1)  # after those of an empty cache
        mixed = F.scaled_dot_product_attention(s.q(x), keys, s.v(x), dropout_p=dropout)
        out: Tensor = s.head(x + mixed).expand(-1, 8, -1) if tokens == 1 else s.head(x + mixed)
        return out.flatten(0, 1)

    parts = {name: nn.Linear(8, 8, bias=False) for name in "qkv"}
    return Made(how, head=nn.Linear(8, 3), **parts)


def without_scores() -> nn.Module:
    model = attention(8, 0.0)
    set_to(0, model.get_parameter("q.weight"), model.get_parameter("k.weight"))
    return model


@pytest.mark.parametrize(
    ("build", "dead", "cause", "remedy"),
    [
        (gated, 4, "gate.weight is zero", "give gate.weight small random numbers"),
        (off, 4, r"3 (ReLU) is off for every sample",
         "put a LeakyReLU in place of 3 (ReLU), or move the bias before it"),
        (function, 3, "relu() is off for every sample",
         "put leaky_relu() in place of relu(), or move the bias before it"),
        (saturated, 2, "1 (Sigmoid) is saturated for every sample",
         "scale the input of 1 (Sigmoid) down to about 1"),
        (rounded, 2, "round() has a slope of zero everywhere",
         "let a gradient pass round(): h + (round(h) - h).detach()"),
        (clamped, 2, "clamp() is off for every sample",
         "let a gradient pass clamp(): h + (clamp(h) - h).detach()"),
        (one_logit, 2, "act (Softmax) is a softmax over one logit",
         "put a sigmoid in place of act (Softmax)"),
        (lambda: attention(1, 0.1), 2, "safesoftmax() is a softmax over one logit", ""),
        (without_scores, 2, "k.weight and q.weight are zero",
         "give k.weight small random numbers"),
        (both_zero, 2, "down.weight and up.weight are zero",
         "give down.weight small random numbers"),
        (lambda: zeros_(MLP([8, 4, 3])), 3, "layers.0.weight and layers.1.weight are zero",
         "give layers.0.weight small random numbers"),
        (dropped, 3, "0.weight and 3.weight are zero", "give 0.weight small random numbers"),
        (lambda: frozen(nn.Linear(8, 8)), 2, "last.weight is zero and frozen",
         "give last.weight small random numbers"),
        (lambda: frozen(nn.LayerNorm(8)), 2, "last.weight is zero and frozen",
         "give last.weight small random numbers"),
        (lambda: frozen(nn.BatchNorm1d(8)), 2, "last.weight is zero and frozen",
         "give last.weight small random numbers"),
        *((lambda last=last: frozen(last(), "gamma"), 2, "last.gamma is zero and frozen",
           "give last.gamma small random numbers") for last in (Scale, Folded)),
    ],
)  # fmt: skip
def test_a_fault_names_its_cause_and_a_change_that_was_seen_to_help(
    build: Callable[[], nn.Module], dead: int, cause: str, remedy: str
) -> None:
    torch.manual_seed(0)
    model: Any = build()
    before = [p.detach().clone() for p in model.parameters()]
    found = audit(model, classify)
    assert len(found.faults) == dead
    assert {f.kind for f in found.faults} == {"dead"}
    assert {(f.cause, f.remedy) for f in found.faults} == {(cause, remedy)}
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    "build",
    [
        *(gated, off, function, saturated, rounded, one_logit, both_zero, dropped, without_scores),
        lambda: nn.Sequential(nn.Linear(8, 80), nn.Tanh(), nn.Linear(80, 80), nn.Linear(80, 3)),
    ],
)
@pytest.mark.parametrize("twins", [False, True])
def test_each_tensor_is_made_where_the_model_is(
    build: Callable[[], nn.Module], twins: bool
) -> None:
    """Without a word of a device they are made on the default one: here they have no numbers."""
    torch.manual_seed(0)
    model = build()
    for p in model.parameters() if twins else ():
        p.data[:] = p.data[:1].clone()
    found = audit(model, classify)
    with torch.device("meta"):
        assert [*audit(model, classify)] == [*found]


def leaky(s: Any, x: Tensor) -> Tensor:
    out: Tensor = F.leaky_relu(s[2](F.relu(s[0](x))))
    return out


class Shifted(nn.Module):
    def forward(self, x: Tensor, shift: float) -> Tensor:
        return torch.sigmoid(x + shift)


def scaled(s: Any, x: Tensor) -> Tensor:
    h = s[0](x)
    out: Tensor = s[2](torch.sigmoid(h / h.detach().abs().max().clamp(min=1)))
    return out


def shifted() -> Any:
    return Made(lambda s, x: s.act(s.a(x), 1.0), a=nn.Linear(8, 3), act=Shifted())


def inner(function: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Made(lambda s, x: s.b(function(s.a(x))), a=nn.Linear(8, 8), b=nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("build", "cause", "says", "gives"),
    [
        (off, Cause("off", frozenset({"3 (ReLU)"})),
         "put a LeakyReLU in place of 3 (ReLU), or move the bias before it", leaky),
        (function, Cause("off", frozenset({"relu()"})),
         "put leaky_relu() in place of relu(), or move the bias before it",
         lambda s, x: s.b(F.leaky_relu(s.a(x)))),
        (inner(torch.relu_), Cause("off", frozenset({"relu()"})),
         "put leaky_relu() in place of relu(), or move the bias before it",
         lambda s, x: s.b(F.leaky_relu(s.a(x)))),
        (saturated, Cause("saturated", frozenset({"1 (Sigmoid)"})),
         "scale the input of 1 (Sigmoid) down to about 1", scaled),
        (lambda: nn.Sequential(nn.Linear(8, 1), nn.Sigmoid(), nn.Linear(1, 3)),
         Cause("saturated", frozenset({"1 (Sigmoid)"})),
         "scale the input of 1 (Sigmoid) down to about 1", scaled),
        (shifted, Cause("saturated", frozenset({"act (Shifted)"})),
         "scale the input of act (Shifted) down to about 1",
         lambda s, x: torch.sigmoid(s.a(x) / s.a(x).abs().max().clamp(min=1) + 1)),
        (one_logit, Cause("one logit", frozenset({"act (Softmax)"})),
         "put a sigmoid in place of act (Softmax)", lambda s, x: s.b(x) * s.a(x).sigmoid()),
        (inner(lambda h: h.softmax(0)), Cause("one logit", frozenset({"softmax()"})),
         "put a sigmoid in place of softmax()", lambda s, x: s.b(s.a(x).sigmoid())),
    ],
)  # fmt: skip
def test_a_change_is_the_one_it_says(
    build: Callable[[], nn.Module], cause: Cause, says: str, gives: Callable[..., Tensor]
) -> None:
    torch.manual_seed(0)
    model = build()
    before = model(X)
    ((text, change),) = changes(model, cause, [])
    assert text == says
    with change():
        torch.testing.assert_close(model(X), gives(model, X))
        assert not torch.equal(model(X), before)
    assert torch.equal(model(X), before)


@pytest.mark.parametrize(
    ("function", "operation", "name"),
    [
        (torch.round, "round", "round"),
        (lambda h: (1 * h).round_(), "round", "round"),
        (lambda h: h.clamp(0, 1), "clamp", "clamp"),
        (lambda h: (1 * h).clamp_(0, 1), "clamp", "clamp"),
        (lambda h: h.clamp(min=0), "clampmin", "clamp_min"),
        (lambda h: h.clamp_min(0), "clampmin", "clamp_min"),
        (lambda h: torch.clamp_max(h, 0), "clampmax", "clamp_max"),
    ],
)
@pytest.mark.parametrize("what", ["round", "off"])
def test_a_gradient_passes_and_the_numbers_stay(
    function: Callable[[Tensor], Tensor], operation: str, name: str, what: str
) -> None:
    torch.manual_seed(0)
    model: Any = inner(function)()
    ((text, change),) = changes(model, Cause(what, frozenset({f"{operation}()"})), [])
    assert text == f"let a gradient pass {operation}(): h + ({operation}(h) - h).detach()"
    before = model(X)
    with change():
        after = model(X)
    torch.testing.assert_close(after, before)
    ours = torch.autograd.grad(after.sum(), model.a.weight)
    without = torch.autograd.grad(model.b(model.a(X)).sum(), model.a.weight)
    torch.testing.assert_close(ours, without)


def test_the_changes_of_zeros_are_the_smallest_first() -> None:
    names = [f"{n}.weight" for n in range(6)]
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(6)))
    for what in ("zero", "frozen"):
        found = changes(model, Cause(what, frozenset(names)), ["3.weight", "5.weight", "5.bias"])
        assert [text for text, _ in found] == [
            f"give {some} small random numbers"
            for some in (*names[:4], "0.weight, 1.weight and 4 others", "3.weight and 5.weight")
        ]


def test_small_numbers_are_those_of_a_start_by_fan_in_and_of_one_generator() -> None:
    """A vector is filled as the weights of ten inputs are."""
    model: Any = nn.Conv1d(4, 6, 3)
    torch.manual_seed(1)  # which changes nothing
    filled(model, ["weight", "bias"])
    draw = torch.Generator().manual_seed(0)
    for p, fan_in in [(model.weight, 12), (model.bias, 10)]:
        torch.testing.assert_close(p, torch.randn(p.shape, generator=draw) / fan_in**0.5)


@pytest.mark.parametrize(
    ("what", "at"),
    [("saturated", "sigmoid()"), ("round", "act (Quantizer)"), ("choice", ""), ("off", "b (ReLU)"),
     ("saturated", "b (Sigmoid)"), ("other", "fft()")],
)  # fmt: skip
def test_what_no_change_is_known_for_gets_none(what: str, at: str) -> None:
    assert [*changes(nn.Linear(8, 3), Cause(what, frozenset({at})), [])] == []


def test_columns_of_weight_zero_are_given_numbers() -> None:
    """The weight stands at the right of the product, so a unit is a column."""

    def attend(s: Any, x: Tensor) -> Tensor:
        query, key, value = (x.view(4, 8, 8) @ s.w).chunk(3, -1)
        out: Tensor = s.head(F.scaled_dot_product_attention(query, key, value).flatten(0, 1))
        return out

    torch.manual_seed(0)
    model: Any = Made(attend, w=nn.Parameter(torch.randn(8, 24)), head=nn.Linear(8, 3))
    set_to(0, model.w[:, :16])
    found = audit(model, classify)["w"]
    assert found.verdict == "dead (16 of 24 units)"
    assert found.remedy == "give its 16 units of weight zero small random numbers"


@pytest.mark.parametrize(
    ("what", "at", "says"),
    [
        ("zero", {"a"}, "a is zero"),
        ("zero", {"b", "a"}, "a and b are zero"),
        ("frozen", {"a"}, "a is zero and frozen"),
        ("off", {"relu()"}, "relu() is off for every sample"),
        ("saturated", {"tanh()"}, "tanh() is saturated for every sample"),
        ("one logit", {"a"}, "a is a softmax over one logit"),
        ("round", {"round()"}, "round() has a slope of zero everywhere"),
        ("mask", (), "a draw or a mask takes it out"),
        ("choice", (), "no sample chooses it"),
        ("data", (), "what it works on is zero"),
        ("apart", (), "it works on zeros wherever the loss sends an error"),
        ("cancel", (), "the terms of its gradient cancel"),
        ("other", {"fft()"}, "fft() passes on no gradient"),
    ],
)
def test_a_cause_is_a_sentence(what: str, at: Iterable[str], says: str) -> None:
    assert str(Cause(what, frozenset(at))) == says


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("abcd", "a, b, c and d"),
     ("abcde", "a, b and 3 others")],
)  # fmt: skip
def test_names_are_listed(names: str, text: str) -> None:
    assert listed(list(names)) == text


def test_of_several_causes_the_first_of_an_order_is_named() -> None:
    causes = ["mask", "zero", "frozen", "round", "one logit", "saturated", "off", "choice", "other"]
    causes += ["apart", "cancel", "data"]
    for n, what in enumerate(causes):
        several = [Cause(other, frozenset({other})) for other in reversed(causes[n:])]
        both = _worst([*several, Cause(what, frozenset({"b"}))])
        assert both == Cause(what, frozenset({what, "b"}))


def test_causes_that_hide_each_other_are_one() -> None:
    found = {
        1: Cause("zero", frozenset({"b", "outside"})), 2: Cause("zero", frozenset({"c"})),
        3: Cause("zero", frozenset({"a"})), 4: Cause("zero", frozenset({"e"})),
        5: Cause("off", frozenset({"d"})), 6: Cause("zero", frozenset({"f"})),
    }  # fmt: skip
    three = Cause("zero", frozenset({"a", "b", "c", "outside"}))
    names = dict(enumerate("abcdef", start=1))
    assert joined(found, names) == found | {1: three, 2: three, 3: three}


@pytest.mark.parametrize(
    ("shape", "dim", "one"),
    [((4, 1), 1, True), ((4, 1), -1, True), ((1, 4), 0, True), ((1, 4), -2, True),
     ((4, 1), 0, False), ((1, 4), 1, False), ((2, 2), -1, False), ((), 0, False)],
)  # fmt: skip
def test_a_softmax_over_one_logit_is_seen(shape: tuple[int, ...], dim: int, one: bool) -> None:
    node = torch.ones(shape, requires_grad=True).softmax(dim).grad_fn
    assert node is not None
    assert _one_logit(node) is one


@pytest.mark.parametrize(
    ("mine", "other", "both"),
    [
        ((False, (False, True)), (True, (True, False)), (True, (True, True))),
        ((True, (False,)), (True, (False,)), (True, (False,))),
        ((False, (False,)), (False, (True,)), (False, (False,))),
        ((False, (False,)), (True, (True, True)), (False, (False,))),
        ((False, (False,)), (True, ()), (False, (False,))),
        ((False, (False,)), (None, None), (False, (False,))),
        ((None, None), (True, (True,)), (None, None)),
    ],
)
def test_a_gradient_that_came_on_one_rank_came(mine: Any, other: Any, both: Any) -> None:
    node: Any = torch.ones(2, requires_grad=True).sum().grad_fn
    search = Search(nn.Linear(8, 3), Calls(), [node], [])
    if mine[0] is not None:
        search.came, search.went = {node: mine[0]}, {node: mine[1]}
    ranks: Any = SimpleNamespace(ranks=(0, 1), all=lambda said: [said, [other]])
    search.agree(ranks)
    assert (search.came.get(node), search.went.get(node)) == both


def often(function: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    for _ in range(40):
        h = function(h)
    return h


@pytest.mark.parametrize(
    ("join", "names"),
    [
        (lambda p, q: p + q, "p"),
        (lambda p, q: p - q, "p"),
        (lambda p, q: 1 * (p - q), "p"),
        (lambda p, q: torch.cat([p[:4], q[:4]]), "p"),
        (lambda p, q: torch.stack([p, q])[0], "p"),
        (lambda p, q: torch.tanh(p), "p"),
        (lambda p, q: F.relu(p + 0 * q), "p"),
        (lambda p, q: (p.view(2, 4) / 2).flatten(), "p"),
        (lambda p, q: often(torch.tanh, p), "p"),
        (lambda p, q: often(F.relu, p), "p"),
        (lambda p, q: often(lambda h: h + q, p), "p"),
    ],
)
def test_a_zero_is_found_behind_what_keeps_it(
    join: Callable[[Tensor, Tensor], Tensor], names: str
) -> None:
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(x + s.v(x) * join(s.p, s.q)), v=nn.Linear(8, 8), head=nn.Linear(8, 3),
        p=nn.Parameter(torch.zeros(8)), q=nn.Parameter(torch.zeros(8)),
    )  # fmt: skip
    cause = audit(model, classify)["v.weight"].cause
    assert cause in (f"waits for {names}, which is zero", f"{names} is zero")


@pytest.mark.parametrize(
    ("factor", "cause"),
    [(lambda p: p - p, "what it works on is zero"),
     (lambda p: torch.minimum(p + 1, torch.zeros(8)), "what it works on is zero"),
     (lambda p: torch.maximum(-p - 1, torch.zeros(8)), "what it works on is zero"),
     (lambda p: torch.where(p < 0, p, torch.zeros(8)), "what it works on is zero"),
     (lambda p: p[torch.tensor([0, 1] * 4)], "waits while what it works on is zero"),
     (lambda p: torch.zeros(8) / (p + 1), "a draw or a mask takes it out")],
)  # fmt: skip
def test_a_factor_may_be_zero_where_no_parameter_is(
    factor: Callable[[Tensor], Tensor], cause: str
) -> None:
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(x + s.v(x) * factor(s.p)), v=nn.Linear(8, 8), head=nn.Linear(8, 3),
        p=nn.Parameter(torch.tensor([0.0, 0, 1, 2, 3, 4, 5, 6])),
    )  # fmt: skip
    assert audit(model, classify)["v.weight"].cause == cause


@pytest.mark.parametrize("norm", [nn.LayerNorm(8), nn.BatchNorm1d(8), nn.GroupNorm(2, 8)])
def test_a_norm_may_pass_on_no_gradient_though_not_all_of_its_weight_is_zero(norm: Any) -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.b(x) + SOME * s.norm(s.a(x))[:, :1],
                      a=nn.Linear(8, 8), b=nn.Linear(8, 3), norm=norm)  # fmt: skip
    set_to(0, norm.weight[0])
    causes = {f.name: f.cause for f in audit(model, classify)}
    assert causes["a.weight"] == f"waits while norm ({type(norm).__name__}) passes on no gradient"


def test_weights_that_work_on_zeros_are_said_to() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.b(x) + s.a(0 * x), a=nn.Linear(8, 3), b=nn.Linear(8, 3))
    (fault,) = audit(model, classify).faults
    assert (fault.name, fault.cause) == ("a.weight", "what it works on is zero")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_of_many_zero_layers_all_need_numbers(activation: str) -> None:
    found = audit(zeros_(MLP([8, 4, 4, 4, 3], activation)), classify)
    assert len({f.cause for f in found.faults}) == 1
    (remedy,) = {f.remedy for f in found.faults}
    model = zeros_(MLP([8, 4, 4, 4, 3], activation))
    for name, p in model.named_parameters():
        if name in remedy:
            nn.init.normal_(p, generator=torch.Generator().manual_seed(0))
    assert not [f for f in audit(model, classify).findings if f.kind == "dead"]


def test_batches_that_end_after_the_steps_are_said_to() -> None:
    batches = iter([X] * 3)
    found = audit(zeros_(MLP([8, 4, 3])), lambda m: F.cross_entropy(m(next(batches)), Y), steps=3)
    assert len(found.faults) == 3
    assert {f.remedy for f in found.faults} == {""}
    assert found.note == (
        "the loss ran out of batches, so some causes and remedies are not known: "
        "give the same batch at every step, or use itertools.cycle"
    )
    assert audit(zeros_(MLP([8, 4, 3])), classify).note == ""


def test_what_nothing_wakes_has_no_remedy() -> None:
    model: Any = Made(lambda s, x: s.b(x) + 0 * s.a(x), a=nn.Linear(8, 3), b=nn.Linear(8, 3))
    found = audit(model, classify)
    assert {(f.name, f.cause, f.remedy) for f in found.faults} == {
        (name, "a draw or a mask takes it out", "") for name in ("a.weight", "a.bias")
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_of_weight_zero_are_given_numbers(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model: Any = nn.MultiheadAttention(8, 2, batch_first=True, dtype=dtype)
    set_to(0, model.in_proj_weight[:16])
    x = torch.randn(4, 5, 8, dtype=dtype)
    found = audit(model, lambda m: m(x, x, x)[0].square().mean())["in_proj_weight"]
    assert found.verdict == "dead (16 of 24 units)"
    assert found.remedy == "give its 16 units of weight zero small random numbers"
    assert not model.in_proj_weight[:16].any()


def test_a_zero_on_purpose_moves_or_waits() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    set_to(0, model[2].weight)
    found = audit(model, classify)
    assert found["2.weight"].cause == "all zero, moves at step 1; 0.weight and 0.bias wait for it"
    assert found["0.weight"].cause == "waits for 2.weight, which is zero"


def test_a_zero_for_which_nothing_waits_moves_at_step_1() -> None:
    model: Any = nn.Linear(8, 3)
    set_to(0, model.weight)
    assert audit(model, classify)["weight"].cause == "all zero, moves at step 1"


def test_a_layer_scale_of_zeros_names_what_waits_for_it() -> None:
    """Meant, or left by to_empty() after the meta device: nothing tells, so what is so is said."""

    def how(s: Any, x: Tensor) -> Tensor:
        out: Tensor = s.head(x + s.gamma * s.block(x))
        return out

    with torch.device("meta"):
        model: Any = Made(how, block=nn.Linear(8, 8), head=nn.Linear(8, 3))
        model.gamma = nn.Parameter(torch.ones(8))
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    model.block.reset_parameters()
    model.head.reset_parameters()
    set_to(0, model.gamma)  # as fresh memory often is
    found = audit(model, classify)
    assert found.faults == ()
    assert found["gamma"].cause == (
        "all zero, moves at step 1; block.weight and block.bias wait for it"
    )
    assert found["block.weight"].cause == "waits for gamma, which is zero"
    assert "whether its zeros are meant or not" in str(found).replace("\n  ", " ")


def test_what_waits_for_two_zeros_names_both() -> None:
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.one(s.a(x).tanh()) + s.two(s.a(x).tanh()),
        a=nn.Linear(8, 8), one=nn.Linear(8, 3), two=nn.Linear(8, 3),
    )  # fmt: skip
    set_to(0, model.one.weight, model.two.weight)
    found = audit(model, classify)
    assert found["a.weight"].cause == "waits for one.weight and two.weight, which are zero"
    assert found["one.weight"].cause.endswith("a.weight and a.bias wait for it")


def detached(s: Any, x: Tensor) -> Tensor:
    out: Tensor = s.b(s.a(x).detach() + x)
    return out


def chosen(s: Any, x: Tensor) -> Tensor:
    out: Tensor = s.b(x) + s.a(x).argmax(1, keepdim=True)
    return out


def compared(s: Any, x: Tensor) -> Tensor:
    scores = s.a(x)
    out: Tensor = s.b(x) * (scores == scores.amax(1, keepdim=True)).float().sum(1, keepdim=True)
    return out


def routed(s: Any, x: Tensor) -> Tensor:
    """Take the expert with the best score, and not the score."""
    _, which = s.a(x).softmax(1).topk(1)
    out: Tensor = s.b(x) * F.one_hot(which[:, 0], 8).float().roll(1, 0).cumsum(1)[:, :3]
    return out


def logged(s: Any, x: Tensor) -> Tensor:
    s.a(x).detach().mean()
    return routed(s, x)


def logged_after(s: Any, x: Tensor) -> Tensor:
    out = routed(s, x)
    s.a(x).detach().mean()
    return out


def unseen(s: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        h = s.a(x)
    out: Tensor = s.b(h + x)
    return out


def data(s: Any, x: Tensor) -> Tensor:
    out: Tensor = s.b(s.a(x).data + x)
    return out


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (detached, "cut off by detach()"),
        (chosen, "cut off by argmax()"),
        (compared, "cut off by eq()"),
        (routed, "cut off by the indices of topk()"),
        (logged, "cut off by detach() and the indices of topk()"),
        (logged_after, "cut off by detach() and the indices of topk()"),
        (unseen, "cut off by torch.no_grad()"),
        (data, "cut off by data()"),
        (lambda s, x: s.b(x), "a is never called"),
        (lambda s, x: [s.b(x), s.a(x)][0], "no way leads from it to the loss"),
    ],
)
def test_what_is_not_used_is_told_apart(how: Callable[..., Tensor], cause: str) -> None:
    torch.manual_seed(0)
    model: Any = Made(how, a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    found = audit(model, classify)
    assert found.faults == ()
    for name in ("a.weight", "a.bias"):
        assert (found[name].kind, found[name].cause) == ("not used by this loss", cause)


class TwoRanks(Ranks):
    """Two ranks that say the same, but for what the second finds of a weight and of a bias."""

    def __init__(self, model: nn.Module, alike: dict[str, int]) -> None:
        super().__init__(model)
        self.ranks, self.alike, self.asked = (0, 1), alike, list[str]()

    def all(self, mine: Any) -> list[Any]:
        other = {"dead": "fine", "net.4.weight": "unreached"}
        if isinstance(mine, list) and all(isinstance(f, Finding) for f in mine):
            return [mine, [replace(f, kind=other.get(f.name, f.kind)) for f in mine]]
        return [mine, mine]

    def drawn_alike(self, parameters: Iterable[Tensor]) -> list[int]:
        names = {id(p): name for name, p in self.model.named_parameters()}
        self.asked = [names[id(p)] for p in parameters]
        return [self.alike.get(name, 1) for name in self.asked]


def test_shards_that_ranks_drew_alike_are_told_with_the_remedy() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)
    model: Any = Made(lambda s, x: s.net(x) + 0.0 * s.dead, net=nn.Sequential(*layers))
    model.dead = nn.Parameter(torch.ones(3))
    model.net[4].bias.requires_grad_(False)
    with torch.no_grad():
        model.net[0].weight.copy_(model.net[0].weight[:1].clone())
        model.net[0].bias.fill_(0.1)
        model.net[2].weight.copy_(model.net[2].weight[:, :1].clone())
    ranks = TwoRanks(model, {"net.0.weight": 3, "net.2.bias": 2, "dead": 2, "net.4.bias": 2})
    alone = {f.name: f for f in audit(model, classify)}
    with kept(model, None) as restore:
        run = Run(model, classify, ranks)
        run.steps(3)
        found = report(run, restore)
    assert ranks.asked == [name for name in alone if name not in ("dead", "net.4.bias")]
    assert {f.name: f.kind for f in found} == {f.name: f.kind for f in alone.values()} | {
        "net.2.bias": "drawn alike",
        "net.4.weight": "unreached",
    }
    said = ("3 ranks drew the same shard", "start the model before it is sharded")
    for f in found:
        before = (alone[f.name].cause, alone[f.name].remedy)
        assert (f.cause, f.remedy) == (said if f.name in ("net.0.weight", "net.2.bias") else before)
    assert found["dead"].cause
    assert alone["net.0.weight"].kind == "twins"


def test_the_remedy_of_what_ranks_drew_alike_need_not_wake_it() -> None:
    """Of four branches, each in the other, with a factor of zero the innermost wakes at step 5."""

    def how(s: Any, x: Tensor) -> Tensor:
        h = s.block(x)
        for gain in s.gains:
            h = x + gain * h
        out: Tensor = s.head(h)
        return out

    torch.manual_seed(0)
    model: Any = Made(how, block=nn.Linear(8, 8), head=nn.Linear(8, 3))
    model.gains = nn.ParameterList(torch.zeros(()) for _ in range(4))
    with kept(model, None) as restore:
        run = Run(model, classify, TwoRanks(model, {"block.weight": 2}))
        run.steps(3)
        found = report(run, restore)["block.weight"]
    assert found.wakes == 5
    assert (found.kind, found.remedy) == ("drawn alike", "start the model before it is sharded")
