"""What an audit says of modules: those that stay equal, that are one object, that are hidden."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from audited import SOME, Made, X, Y, classify
from torch import Tensor, nn

from zeroinit._modules import _kin
from zeroinit._remedies import filled
from zeroinit.auditing import assert_trainable, audit
from zeroinit.report import Audit, Finding, Remark


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def both(model: Any) -> Tensor:
    return F.cross_entropy(model.q1(X), Y) + F.cross_entropy(model.q2(X), Y)


def kinds(found: Audit) -> dict[str, str]:
    return {f.name: f.kind for f in found}


def remarks(found: Audit) -> list[tuple[str, tuple[str, ...]]]:
    return [(remark.kind, remark.names) for remark in found.remarks]


def trained(model: Any, loss: Callable[[Any], Tensor], steps: int = 20) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_copies_of_any_precision_stay_equal(dtype: torch.dtype) -> None:
    a = mlp().to(dtype)
    model = Made(lambda s, x: s.a(x.to(dtype)) + s.b(x.to(dtype)), a=a, b=copy.deepcopy(a))
    assert set(kinds(audit(model, classify)).values()) == {"equal modules"}


def test_a_copied_critic_stays_equal_and_one_drawn_anew_does_not() -> None:
    q1 = mlp()
    model: Any = nn.ModuleDict({"q1": q1, "q2": copy.deepcopy(q1)})
    found = audit(model, both)
    assert set(kinds(found).values()) == {"equal modules"}
    assert {f.cause for f in found.faults} == {"q1 and q2 are equal, learn alike and stay equal"}
    assert "   equal modules: q1.0.weight" in str(found)
    with pytest.raises(AssertionError, match="q1 and q2 are equal, learn alike"):
        assert_trainable(model, both)
    trained(model, both)
    assert torch.equal(model.q1[0].weight, model.q2[0].weight)  # training says the same
    model.q2[0].reset_parameters()
    assert not audit(model, both).faults


@pytest.mark.parametrize("order", [1, -1])
def test_copies_that_one_of_two_losses_moves_stay_equal(order: int) -> None:
    q1 = mlp()
    model: Any = nn.ModuleDict({"q1": q1, "q2": copy.deepcopy(q1), "other": nn.Linear(8, 3)})
    losses = [both, lambda m: F.cross_entropy(m.other(X), Y)]
    found = audit(model, losses[::order])
    assert {f.cause for f in found.faults} == {"q1 and q2 are equal, learn alike and stay equal"}


def test_equal_matrices_without_a_number_or_of_complex_numbers_are_compared() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x) + sum((x @ p).sum() for p in s.none),
                      head=nn.Linear(8, 3))  # fmt: skip
    model.none = nn.ParameterList(torch.zeros(8, 0) for _ in range(2))
    found = audit(model, classify)
    assert ({f.kind for f in found}, found.remarks) == ({"fine"}, ())
    model = Made(lambda s, x: s.head(x) + (x * (s.a + s.b).real).sum(1, keepdim=True) * SOME,
                 head=nn.Linear(8, 3))  # fmt: skip
    model.a, model.b = (nn.Parameter(torch.full((1, 8), 1 + 2j)) for _ in range(2))
    found = audit(model, classify)
    assert remarks(found) == [("equal parameters", ("a", "b"))]


def test_a_critic_with_a_target_of_its_own_is_not_accused() -> None:
    def loss(model: Any) -> Tensor:
        return F.cross_entropy(model.q1(X), Y) + F.cross_entropy(model.q2(X), Y.flip(0))

    q1 = mlp()
    found = audit(nn.ModuleDict({"q1": q1, "q2": copy.deepcopy(q1)}), loss)
    assert not found.faults
    assert remarks(found) == [("equal at the start", ("q1", "q2"))]


def test_a_frozen_copy_is_not_accused() -> None:
    q1 = mlp()
    model: Any = nn.ModuleDict({"q1": q1, "target": copy.deepcopy(q1).requires_grad_(False)})
    found = audit(
        model,
        lambda m: (m.get_submodule("q1")(X) - m.get_submodule("target")(X) + 1).square().mean(),
    )
    assert not found.faults
    assert found.remarks == ()


def test_equal_experts_behind_a_zero_router_are_named() -> None:
    def how(s: Any, x: Tensor) -> Any:
        weights = s.router(x).softmax(-1)
        return sum(weights[:, [k]] * expert(x) for k, expert in enumerate(s.experts))

    model: Any = Made(how, router=nn.Linear(8, 3, bias=False))
    expert = mlp()
    model.experts = nn.ModuleList(copy.deepcopy(expert) for _ in range(3))
    nn.init.zeros_(model.router.weight)
    found = audit(model, classify)
    assert found["experts.1.2.weight"].kind == "equal modules"
    assert found["experts.0.0.bias"].cause == (
        "experts.0, experts.1 and experts.2 are equal, learn alike and stay equal"
    )


def test_cloned_layers_in_series_part_at_the_first_step() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3)
    found = audit(encoder, lambda m: (m(X.view(4, 8, 8)) - 1)[..., 0].square().mean())
    assert "equal modules" not in kinds(found).values()
    assert remarks(found) == [("equal at the start", ("layers.0", "layers.1", "layers.2"))]
    assert found.remarks[0].text == "these modules start equal, and part at step 1"


def test_copies_behind_a_zero_head_part_when_its_rows_wake() -> None:
    def how(s: Any, x: Tensor) -> Any:
        return s.head(torch.cat([s.a(x).tanh(), s.b(x).tanh()], 1))

    a = nn.Linear(8, 4)
    model: Any = Made(how, a=a, b=copy.deepcopy(a), head=nn.Linear(8, 3))
    found = audit(model, classify)
    assert remarks(found) == [("equal at the start", ("a", "b"))]
    nn.init.zeros_(model.head.weight)
    found = audit(model, classify)
    assert found["a.weight"].kind == "equal modules"  # the head's columns are equal, too


def test_only_the_outermost_equal_modules_are_named() -> None:
    inner = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    q1 = nn.Sequential(inner)
    model: Any = nn.ModuleDict({"q1": q1, "q2": copy.deepcopy(q1)})
    found = audit(model, both)
    assert len({f.cause for f in found.faults}) == 1
    assert found.remarks == ()


def with_tokens(start: float) -> Any:
    """Return a network that joins two tokens to each sample, as AST does: cls and distillation."""

    def how(s: Any, x: Tensor) -> Any:
        one, two = (token.expand(32, -1, -1) for token in (s.one, s.two))
        return s.head(torch.cat([one, two, x.unsqueeze(1)], 1).tanh().mean(1))

    torch.manual_seed(0)
    model: Any = Made(how, head=nn.Linear(8, 3))
    model.one, model.two = (nn.Parameter(torch.full((1, 1, 8), start)) for _ in range(2))
    return model


@pytest.mark.parametrize("losses", [[classify], [classify] * 2])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_two_tokens_that_are_twins_for_ever_are_a_fault(start: float, losses: Any) -> None:
    model = with_tokens(start)
    before = [p.detach().clone() for p in model.parameters()]
    found = audit(model, losses)
    assert {f.name: f.kind for f in found.faults} == dict.fromkeys(
        ("one", "two"), "twin parameters"
    )
    assert found.remarks == ()
    assert {(f.cause, f.remedy) for f in found.faults} == {
        ("one and two are equal, learn alike and stay equal", "give two small random numbers")
    }
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    trained(model, classify, 200)
    assert torch.equal(model.one, model.two)  # training says the same
    with torch.no_grad():
        model.two.normal_(generator=torch.Generator().manual_seed(0))
    found = audit(model, classify)
    assert (found.faults, found.remarks) == ((), ())  # and so does the remedy


@pytest.mark.parametrize("first", [True, False])
def test_twins_that_one_of_several_losses_would_part_are_a_fault(first: bool) -> None:
    """With the other loss only their sum counts, whichever comes first."""

    def summed(m: Any) -> Tensor:
        return F.cross_entropy(m.head((X + m.one[0] + m.two[0]).tanh()), Y)

    losses = [classify, summed] if first else [summed, classify]
    found = audit(with_tokens(0.5), losses)
    assert [(f.name, f.kind) for f in found.faults] == [
        ("one", "twin parameters"), ("two", "twin parameters"),
    ]  # fmt: skip
    assert remarks(audit(with_tokens(0.5), summed)) == [("equal parameters", ("one", "two"))]


def test_the_two_tokens_of_a_spectrogram_transformer_are_twins() -> None:
    """They start at zero, the positions of both do, and the head takes their mean."""
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        num_mel_bins=16, max_length=16, patch_size=4, frequency_stride=4, time_stride=4,
        num_labels=3,
    )  # fmt: skip
    model: Any = transformers.ASTForAudioClassification(config)
    sound = torch.randn(4, 16, 16)

    def loss(m: Any) -> Tensor:
        value: Tensor = m(input_values=sound, labels=torch.tensor([0, 1, 2, 0])).loss
        return value

    at = "audio_spectrogram_transformer.embeddings"
    assert {f.name: f.verdict for f in audit(model, loss).faults} == {
        f"{at}.cls_token": "twin parameters",
        f"{at}.distillation_token": "twin parameters",
        f"{at}.position_embeddings": "twins (18 units act as 17)",
    }
    tokens = model.audio_spectrogram_transformer.embeddings
    trained(model, loss)
    torch.testing.assert_close(tokens.cls_token, tokens.distillation_token)
    nn.init.normal_(tokens.distillation_token, std=0.02)
    assert audit(model, loss).faults == ()


def test_tokens_that_are_equal_now_and_part_are_no_fault() -> None:
    model = with_tokens(0.5)
    mixed = model.how
    model.gate = nn.Parameter(torch.zeros(3))  # it is zero at step 1, and there they learn alike
    model.how = lambda s, x: mixed(s, x) + s.gate * s.one.sum()
    classify(model).backward()
    assert torch.equal(model.one.grad, model.two.grad)
    found = audit(model, classify)
    assert (found.faults, found.remarks) == ((), ())
    trained(model, classify)
    assert not torch.allclose(model.one, model.two)  # training says the same


def test_the_factors_of_one_product_are_a_remark() -> None:
    """As the scales of query and key in cosine attention: only their product counts."""
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x * s.q * s.k), head=nn.Linear(8, 3))
    model.q, model.k = (nn.Parameter(torch.ones(1, 8)) for _ in range(2))
    found = audit(model, classify)
    assert found.faults == ()
    assert remarks(found) == [("equal parameters", ("q", "k"))]
    assert found.remarks[0].text.endswith("stay equal: only their sum or their product counts")


def test_twins_are_a_remark_where_no_batch_is_left_to_tell() -> None:
    batches = iter([X] * 3)
    found = audit(with_tokens(0.0), lambda m: F.cross_entropy(m(next(batches)), Y))
    assert remarks(found) == [("equal parameters", ("one", "two"))]
    assert found.remarks[0].text.endswith("stay equal")


def test_zero_biases_and_norms_of_a_healthy_network_get_no_remark() -> None:
    torch.manual_seed(0)
    parts = [part for _ in range(3) for part in (nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU())]
    model = nn.Sequential(*parts, nn.Linear(8, 3))
    for part in model:
        if isinstance(part, nn.Linear):
            nn.init.zeros_(part.bias)
    found = audit(model, classify)
    assert (found.faults, found.remarks) == ((), ())


def test_zero_layers_whose_results_add_up_are_no_fault() -> None:
    model: Any = Made(lambda s, x: s.a(x) + s.b(x), a=nn.Linear(8, 3), b=nn.Linear(8, 3))
    for p in model.parameters():
        nn.init.zeros_(p)
    found = audit(model, classify)
    assert not found.faults
    assert remarks(found) == [("equal parameters", ("a.weight", "b.weight"))]


def test_biases_that_only_their_sum_counts_of_get_no_remark() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(s.rnn(x)[0]), rnn=nn.LSTM(8, 4), head=nn.Linear(4, 3))
    nn.init.zeros_(model.rnn.bias_ih_l0)
    nn.init.zeros_(model.rnn.bias_hh_l0)
    assert audit(model, classify).remarks == ()


def test_one_module_under_several_names_is_a_remark() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    model = nn.Sequential(*[layer] * 3, nn.Linear(8, 3))
    found = audit(model, classify)
    assert remarks(found) == [("one object", ("0", "1", "2"))]
    assert found.remarks[0].text.startswith("one module under 3 names")
    assert not found.faults


def hide(model: Any, how: str) -> None:
    """Put a layer where no module registers it."""
    layer = nn.Linear(8, 8)
    model.hidden = {
        "list": [layer],
        "dict": {"a": layer},
        "nested": [[layer]],
        "parameter": [layer.weight],
        "tensor": torch.randn(8, 8, requires_grad=True),
    }[how]


@pytest.mark.parametrize(
    ("how", "names"),
    [
        ("list", ["hidden[0].weight", "hidden[0].bias"]),
        ("dict", ["hidden['a'].weight", "hidden['a'].bias"]),
        ("nested", ["hidden[0][0].weight", "hidden[0][0].bias"]),
        ("parameter", ["hidden[0]"]),
        ("tensor", ["hidden"]),
    ],
)
def test_what_no_module_registers_is_named_by_its_attribute(how: str, names: list[str]) -> None:
    def forward(s: Any, x: Tensor) -> Any:
        layer = s.hidden
        while isinstance(layer, list):
            layer = layer[0]
        layer = layer["a"] if isinstance(layer, dict) else layer
        return s.head(layer(x) if isinstance(layer, nn.Module) else x @ layer)

    model: Any = Made(forward, head=nn.Linear(8, 3))
    hide(model, how)
    found = audit(model, classify)
    assert [f.name for f in found if f.kind == "not registered"] == names
    assert not found.faults
    strict = audit(model, classify, strict=True)
    assert [f.name for f in strict.faults] == names
    assert "hidden is no part of the model that PyTorch sees" in str(strict)
    assert audit(model, classify, strict=True, ignore=["hidden*"]).faults == ()
    hidden = [t for t in _tensors(model.hidden) if t.requires_grad]
    optimizer = torch.optim.SGD([*model.parameters(), *hidden], lr=0.1)
    assert len(audit(model, classify, optimizer=optimizer, strict=True)) == 2  # they are trained


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, nn.Module):
        return list(value.parameters())
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value
    return [tensor for part in parts for tensor in _tensors(part)]


def test_what_is_hidden_and_not_used_is_not_named() -> None:
    model: Any = Made(lambda s, x: s.head(x), head=nn.Linear(8, 3))
    hide(model, "list")
    assert len(audit(model, classify)) == 2


def test_copied_tables_with_sparse_gradients_stay_equal() -> None:
    def how(s: Any, x: Tensor) -> Any:
        tokens = Y.unsqueeze(1)
        return s.head(s.one(tokens).mean(1).tanh() + s.two(tokens).mean(1).tanh())

    one = nn.Embedding(3, 8, sparse=True)
    model: Any = Made(how, one=one, two=copy.deepcopy(one), head=nn.Linear(8, 3))
    assert kinds(audit(model, classify))["two.weight"] == "equal modules"


def test_tied_modules_are_no_copies() -> None:
    model: Any = nn.ModuleDict({"q1": nn.Linear(8, 3), "q2": nn.Linear(8, 3)})
    model.q2.weight, model.q2.bias = model.q1.weight, model.q1.bias
    found = audit(model, both)
    assert (found.faults, found.remarks) == ((), ())
    model.q3 = copy.deepcopy(model.q1)
    found = audit(model, lambda m: F.cross_entropy(m.get_submodule("q3")(X), Y) + both(m) / 2)
    assert {f.cause for f in found.faults} == {"q1 and q3 are equal, learn alike and stay equal"}


def test_numbers_that_are_tried_are_each_parameters_own() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    filled(model, ["0.weight", "1.weight"])
    one, other = (layer.weight.detach().clone() for layer in model)
    assert (one != other).all()
    assert one.std() == pytest.approx(8**-0.5, rel=0.3)
    filled(model, ["0.weight"])
    assert torch.equal(model[0].weight, one)  # the same at each trial


@pytest.mark.parametrize("losses", [1, 2])
def test_modules_that_part_when_their_zero_heads_differ_part_at_step_2(losses: int) -> None:
    q1 = nn.Linear(8, 4)
    parts = {"q1": q1, "q2": copy.deepcopy(q1), "h1": nn.Linear(4, 3), "h2": nn.Linear(4, 3)}
    model: Any = Made(lambda s, x: s.h1(s.q1(x).tanh()) + 2 * s.h2(s.q2(x).tanh()), **parts)
    for head in (model.h1, model.h2):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    (remark,) = audit(model, [classify] * losses).remarks
    text = "these modules start equal, and part at step 2"
    assert remark == Remark("equal at the start", ("q1", "q2"), text)


def test_equal_parameters_are_told_in_a_sentence() -> None:
    model: Any = Made(lambda s, x: s.a(x) + s.b(x), a=nn.Linear(8, 3), b=nn.Linear(8, 3))
    for p in model.parameters():
        nn.init.zeros_(p)
    text = "these parameters are equal, learn alike and stay equal: "
    text += "only their sum or their product counts"
    assert audit(model, classify).remarks == (
        Remark("equal parameters", ("a.weight", "b.weight"), text),
    )


def test_two_pairs_of_equal_modules_are_told_apart() -> None:
    one, two = mlp(), nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    parts = {"a": one, "b": two, "c": copy.deepcopy(one), "d": copy.deepcopy(two)}
    model: Any = Made(lambda s, x: s.a(x) + s.b(x) + s.c(x) + s.d(x), **parts)
    causes = {f.name: f.cause for f in audit(model, classify).faults}
    for pair in (("a", "c"), ("b", "d")):
        for name in pair:
            text = f"{pair[0]} and {pair[1]} are equal, learn alike and stay equal"
            assert causes[f"{name}.0.weight"] == causes[f"{name}.2.bias"] == text


def test_vectors_that_are_equal_are_no_equal_modules() -> None:
    a, b = nn.LayerNorm(8), nn.LayerNorm(8)
    nn.init.normal_(a.weight)
    b.load_state_dict(a.state_dict())
    model: Any = Made(lambda s, x: s.head(s.a(x) + s.b(x)), a=a, b=b, head=nn.Linear(8, 3))
    found = audit(model, classify)
    assert (found.faults, found.remarks) == ((), ())


def test_of_a_module_under_two_names_the_parts_are_not_named_again() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Tanh())
    model = nn.Sequential(layer, layer, nn.Linear(8, 3))
    text = "one module under 2 names: it is used by all"
    assert audit(model, classify).remarks == (Remark("one object", ("0", "1"), text),)


def unregistered(model: Any, forward: Callable[[Any, Tensor], Tensor]) -> list[Finding]:
    model.how = forward
    return [f for f in audit(model, classify) if f.kind == "not registered"]


def test_what_is_not_registered_is_told_with_a_remedy() -> None:
    def finding(name: str, shape: tuple[int, ...], units: int, remedy: str) -> Finding:
        return Finding(
            name=name,
            shape=shape,
            wakes=1,
            units=units,
            distinct=units,
            distinct_after=units,
            act_as=units,
            dead=0,
            kind="not registered",
            cause=f"{name.partition('[')[0]} is no part of the model that PyTorch sees",
            remedy=f"make {name.partition('[')[0]} {remedy}",
        )

    model: Any = Made(lambda s, x: x, head=nn.Linear(8, 3))
    model.head.scales = {"a": [torch.ones(8, requires_grad=True)]}
    model.gain = torch.ones((), requires_grad=True)
    model.same = [model.gain, model.head.weight, model.gain * 2]  # found before, or no leaf
    several = "an nn.ModuleList, nn.ModuleDict or nn.Parameter"
    assert unregistered(model, lambda s, x: s.head(x * s.head.scales["a"][0]) * s.gain) == [
        finding("gain", (), 1, "an nn.Module or nn.Parameter that is registered"),
        finding("head.scales['a'][0]", (8,), 8, several),
    ]


@pytest.mark.parametrize(
    ("depth", "count", "found"),
    [(1, 1000, True), (1, 1001, False), (3, 1, True), (4, 1, False)],
)
def test_lists_are_looked_through_to_three_levels_and_a_thousand_parts(
    depth: int, count: int, found: bool
) -> None:
    model: Any = Made(lambda s, x: x, head=nn.Linear(8, 3))
    scale = torch.ones(8, requires_grad=True)
    model.hidden = [*[None] * (count - 1), scale]
    for _ in range(depth - 1):
        model.hidden = [model.hidden]
    assert len(unregistered(model, lambda s, x: s.head(x * scale))) == found


def test_modules_of_which_one_part_differs_are_not_equal() -> None:
    a, b = nn.Linear(8, 3), nn.Linear(8, 3)
    b.load_state_dict({"weight": a.weight.detach(), "bias": b.bias.detach()})
    found = audit(Made(lambda s, x: s.a(x) + s.b(x), a=a, b=b), classify)
    assert "equal modules" not in kinds(found).values()


def test_equal_modules_that_no_step_moves_are_not_said_to_learn_alike() -> None:
    torch.manual_seed(0)
    spare = nn.Linear(8, 3)
    model: Any = Made(lambda s, x: s.a(x), a=nn.Linear(8, 3), b=spare, c=copy.deepcopy(spare))
    found = audit(model, classify)
    assert {f.kind for f in found if f.name[0] in "bc"} == {"not used by this loss"}
    assert (found.faults, found.remarks) == ((), ())


def test_modules_that_part_at_the_last_step_do_not_stay_equal() -> None:
    """The gate moves at the first step, and the second tells the modules apart."""
    torch.manual_seed(0)
    a = nn.Linear(8, 3)
    model: Any = Made(lambda s, x: s.a(x) + s.b(x) + s.gate * s.a(x).tanh(),
                      a=a, b=copy.deepcopy(a), gate=nn.Parameter(torch.zeros(3)))  # fmt: skip
    found = audit(model, classify, steps=1)
    assert found.steps == 2
    assert found.faults == ()
    text = "these modules start equal, and part at step 2"
    assert found.remarks == (Remark("equal at the start", ("a", "b"), text),)


@pytest.mark.parametrize("first", [True, False])
def test_modules_that_one_of_two_losses_parts_at_its_last_step_do_not_stay_equal(
    first: bool,
) -> None:
    torch.manual_seed(0)
    a = nn.Linear(8, 3)
    model: Any = Made(lambda s, x: s.a(x) + s.b(x) + s.gate * s.a(x).tanh(),
                      a=a, b=copy.deepcopy(a), gate=nn.Parameter(torch.zeros(3)))  # fmt: skip
    losses = [classify, lambda m: F.cross_entropy(m.a(X) + m.b(X), Y)]
    found = audit(model, losses if first else losses[::-1], steps=2)
    assert found.faults == ()
    assert remarks(found) == [("equal at the start", ("a", "b"))]


def test_gradients_whose_squares_are_nearly_zero_are_no_longer_than_each_other() -> None:
    """The next number has a square twice as large, for single precision has none in between."""
    number = torch.tensor((1.5 * 2.0**-149) ** 0.5)
    one, other = (n.expand(40) for n in (number, number.nextafter(torch.tensor(1.0))))
    assert torch.linalg.vector_norm(other) > 1.4 * torch.linalg.vector_norm(one)
    kin = _kin([one, other])
    assert kin[0] == kin[1]


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_gradients_are_told_apart_by_their_length_and_by_their_numbers(
    dtype: torch.dtype, size: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    first, other = torch.randn(2, 7, 40, generator=draw) * size
    several = [first, 2 * first, first.flip(0), other, first, 2 * first, torch.zeros(7, 40), first]
    alike = [[torch.equal(a, b) for a in several] for b in several]
    kin = _kin([g.to(dtype) for g in several])
    assert [[a == b for a in kin] for b in kin] == alike
