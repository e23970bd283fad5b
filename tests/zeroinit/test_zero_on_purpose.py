"""One factor of a product may be zero; the designs that use it, and the traps beside them."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from zeroinit import MLP, Run, angles_, default_, distinct_units, train, units, xor, zeros_
from zeroinit.designs import DESIGNS, design
from zeroinit.networks import ACTIVATIONS

DATA = xor(64, dtype=torch.float64)

#: The step at which each part first moves.
WAKES = {
    "zero-γ": {"stem": 1, "first": 2, "norm1": 2, "last": 2, "norm2": 1, "head": 1},
    "Fixup": {"stem": 2, "first": 3, "last": 2, "scale": 3, "biases": 2, "head": 1},
    "SkipInit": {"stem": 1, "first": 2, "last": 2, "gate": 1, "head": 1},
    "ReZero": {"stem": 1, "layer": 2, "gate": 1, "head": 1},
    "LayerScale": {"stem": 1, "norm": 1, "first": 1, "last": 1, "gate": 1, "head": 1},
    "LoRA": {"A": 2, "B": 1},
    "ControlNet": {"zero1": 2, "copy": 2, "zero2": 1},
    "adaLN-Zero": {
        "stem": 2, "condition": 3, "modulation": 2, "first": 3, "last": 3, "head": 1
    },
    "µP": {"embed": 2, "query": 2, "key": 3, "value": 2, "out": 2, "readout": 1},
    "ZerO": {"stem": 1, "first": 2, "last": 1, "head": 1},
}  # fmt: skip


class Branch(nn.Module):
    """A branch B φ(A u) beside a skip."""

    def __init__(self, activation: str, seed: int) -> None:
        super().__init__()
        self.phi = ACTIVATIONS[activation].function
        self.A = nn.Linear(2, 8, bias=False, dtype=torch.float64)
        self.B = nn.Linear(8, 2, bias=False, dtype=torch.float64)
        default_(self, generator=Generator().manual_seed(seed))

    def forward(self, u: Tensor) -> Tensor:
        return u + cast(Tensor, self.B(self.phi(self.A(u))))


every_branch = given(st.sampled_from(sorted(ACTIVATIONS)), st.integers(0, 10**6))


@pytest.mark.theorem("one-factor")
@every_branch
def test_with_the_last_factor_zero_it_moves_first_and_the_other_a_step_later(
    activation: str, seed: int
) -> None:
    """Part (a): alive under every activation, and no two units are twins."""
    model = Branch(activation, seed)
    zeros_(model.B)
    assert torch.equal(model(DATA.x), DATA.x)
    assert train(model, DATA, lr=0.1, steps=3).wakes() == {"A.weight": 2, "B.weight": 1}
    assert distinct_units(units(model, 1)) == 8


@pytest.mark.theorem("one-factor")
@every_branch
def test_with_the_first_factor_zero_the_value_and_the_slope_at_zero_decide(
    activation: str, seed: int
) -> None:
    """Part (b): the first factor moves if φ′(0) ≠ 0; the last at once if φ(0) ≠ 0."""
    model = Branch(activation, seed)
    zeros_(model.A)
    zero = torch.zeros((), requires_grad=True)
    value = model.phi(zero)
    (slope,) = torch.autograd.grad(value, zero)
    later = 2 if slope else None
    assert train(model, DATA, lr=0.1, steps=20).wakes() == {
        "A.weight": 1 if slope else None,
        "B.weight": 1 if value else later,
    }


@pytest.mark.theorem("one-factor")
@every_branch
def test_with_both_factors_zero_the_branch_is_dead_or_collapsed(activation: str, seed: int) -> None:
    """Part (c): nothing moves if φ(0) = 0; else one unit does, for its twins."""
    model = zeros_(Branch(activation, seed))
    alive = bool(model.phi(torch.zeros(())))
    assert train(model, DATA, lr=0.1, steps=20).wakes() == {
        "A.weight": 2 if alive else None,
        "B.weight": 1 if alive else None,
    }
    torch.testing.assert_close(units(model, 1), units(model, 1)[:1].expand(8, -1))


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_wakes_in_the_order_of_the_rule(name: str) -> None:
    """Part (d): gates, norms and whole layers are factors too. No parameter sleeps on."""
    model = design(name).double()
    found: dict[str, set[int | None]] = {}
    for parameter, step in train(model, DATA, lr=0.3, steps=5).wakes().items():
        found.setdefault(parameter.split(".")[0], set()).add(step)
    assert found == {part: {step} for part, step in WAKES[name].items()}


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize(
    ("name", "also_zero", "sleepers"),
    [
        ("LoRA", ["A"], {"A", "B"}),
        ("SkipInit", ["last"], {"gate", "first", "last"}),
        ("ReZero", ["layer"], {"gate", "layer"}),
        ("µP", ["key"], {"query", "key"}),
        ("µP", ["value", "out"], {"query", "key", "value", "out"}),
    ],
)
def test_with_both_factors_of_a_design_zero_neither_ever_moves(
    name: str, also_zero: list[str], sleepers: set[str]
) -> None:
    """Part (d): each factor learns through the other, and there is no other."""
    model = design(name).double()
    for part in also_zero:
        zeros_(model.get_submodule(part))
    assert asleep(train(model, DATA, lr=0.3, steps=50)) == sleepers


@pytest.mark.theorem("one-factor")
def test_two_zero_convolutions_in_a_row_never_learn_more_than_a_bias() -> None:
    """The second has a bias, which learns; its weight and all below have gradient zero."""
    model = design("ControlNet")
    model.zero2 = zeros_(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)))
    wakes = train(model.double(), DATA, lr=0.3, steps=50).wakes()
    assert [name for name, step in wakes.items() if step] == ["zero2.1.bias"]


def asleep(run: Run) -> set[str]:
    """Return the parts of which nothing moved in a run."""
    wakes = run.wakes()
    awake = {name.split(".")[0] for name, step in wakes.items() if step}
    return {name.split(".")[0] for name in wakes} - awake


@pytest.mark.theorem("one-factor")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft calls it
def test_the_rule_holds_for_peft_on_a_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    """LoRA as people run it: B at step 1, A at step 2; with both zero, neither ever."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2)
    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = get_peft_model(GPT2LMHeadModel(config), lora)
        tokens = torch.randint(32, (8, 12))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    factors = {name: name.split("lora_")[1][0] for name in trained}
    assert sorted(factors.values()) == ["A", "A", "B", "B"]
    assert first_gradients(model, trained, tokens) == {
        name: {"A": 2, "B": 1}[factor] for name, factor in factors.items()
    }
    for p in trained.values():
        nn.init.zeros_(p)
    assert first_gradients(model, trained, tokens) == {}


def first_gradients(
    model: Callable[..., Any], trained: dict[str, nn.Parameter], tokens: Tensor
) -> dict[str, int]:
    """Return the first of five steps at which each trained parameter has a gradient."""
    sgd, found = torch.optim.SGD(trained.values(), lr=0.1), dict[str, int]()
    for step in range(1, 6):
        sgd.zero_grad()
        logits = model(input_ids=tokens).logits
        F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
        for name, p in trained.items():
            assert p.grad is not None
            if p.grad.any():
                found.setdefault(name, step)
        sgd.step()
    return found


@pytest.mark.theorem("difference")
@given(st.integers(2, 20))
def test_angles_make_units_that_differ_wake_and_stay_different(width: int) -> None:
    """No number is random, and no two units ever are twins."""
    model = angles_(MLP([2, width, 2], "tanh", dtype=torch.float64))
    run = train(model, DATA, lr=0.3, steps=50)
    assert run.wakes() == {
        "layers.0.weight": 2,
        "layers.0.bias": 2,
        "layers.1.weight": 1,
        "layers.1.bias": 1,
    }
    for record in range(len(run.steps)):
        assert distinct_units(units(run.network(model, record=record), 1)) == width


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_learns(name: str) -> None:
    losses = train(design(name).double(), DATA, lr=0.3, steps=200).losses
    assert losses[-1] < 0.1 < losses[0]


def test_only_what_a_design_adds_to_a_pretrained_network_is_trained() -> None:
    for name in ("LoRA", "ControlNet"):
        model = design(name).double()
        before = {key: p.clone() for key, p in model.named_parameters() if not p.requires_grad}
        train(model, DATA, lr=0.3, steps=3)
        assert {"stem.weight", "head.weight"} <= {*before}
        assert all(torch.equal(model.get_parameter(key), p) for key, p in before.items())


def test_designs_are_drawn_from_their_seed_alone_and_zero_from_none() -> None:
    state = torch.get_rng_state()
    for name in DESIGNS:
        one, same, other = design(name), design(name), design(name, seed=1)
        assert all(map(torch.equal, one.parameters(), same.parameters()))
        differ = not all(map(torch.equal, one.parameters(), other.parameters()))
        assert differ == (name != "ZerO")
    assert torch.equal(state, torch.get_rng_state())


def test_an_unknown_design_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(ValueError, match="unknown design 'lora': choose one of zero-γ, Fixup,"):
        design("lora")
