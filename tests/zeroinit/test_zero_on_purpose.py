"""One factor of a product may be zero; the designs that use it, and the traps beside them."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from zeroinit import (
    MLP,
    Data,
    Run,
    angles_,
    default_,
    distinct_units,
    kaiming_normal_,
    linear_layers,
    permute,
    train,
    twins,
    units,
    xor,
    zeros_,
)
from zeroinit.designs import DESIGNS, design
from zeroinit.escape import hessian_eigenvalues
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


#: XOR with one point at each corner, and two points of each class.
CORNERS = Data(
    torch.tensor([[1, 1], [-1, -1], [1, -1], [-1, 1]], dtype=torch.float64),
    torch.tensor([0, 0, 1, 1]),
)


class Branch(nn.Module):
    """A branch B φ(A u), beside a skip or alone."""

    def __init__(self, activation: str, seed: int, *, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.phi = ACTIVATIONS[activation].function
        self.A = nn.Linear(2, 8, bias=False, dtype=torch.float64)
        self.B = nn.Linear(8, 2, bias=False, dtype=torch.float64)
        default_(self, generator=Generator().manual_seed(seed))

    def forward(self, u: Tensor) -> Tensor:
        branch = cast(Tensor, self.B(self.phi(self.A(u))))
        return u + branch if self.skip else branch


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


def slope_of_s(model: Branch, data: Data) -> tuple[Tensor, Tensor]:
    """Return S and the derivative of ‖S‖² with respect to A; S is the gradient of the zero B."""
    first, last = model.A.weight, model.B.weight
    loss = F.cross_entropy(model(data.x), data.y)
    (s,) = torch.autograd.grad(loss, last, create_graph=True)
    return s.detach(), torch.autograd.grad(s.square().sum(), first)[0]


@pytest.mark.theorem("one-factor")
@every_branch
def test_with_the_last_factor_zero_the_other_climbs_the_length_of_s(
    activation: str, seed: int
) -> None:
    """Part (a): at step 2 the gradient of A is −(η/2)∇‖S(A)‖², up to terms of order η²."""
    model = Branch(activation, seed)
    zeros_(model.B)
    s, slope = slope_of_s(model, DATA)
    assert s.any()
    for lr in 1e-2, 1e-3, 1e-4:
        run = train(deepcopy(model), DATA, lr=lr, steps=2)
        rest = run.gradients["A.weight"][1] + lr / 2 * slope
        assert rest.norm() < lr**2
    assert slope.any(1).all()  # no row stands still


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize("lr", [1e-1, 1e-3, 1e-5])
def test_a_kink_above_the_branch_can_stop_the_other_for_ever(lr: float) -> None:
    """Part (a) needs second derivatives: 1 + B tanh(Au) starts at the kink of max(1 − f, 0)."""
    u = torch.tensor([1.0, 2.0], dtype=torch.float64)
    A = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    B = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def loss() -> Tensor:
        rest = 1 - (1 + B * torch.tanh(A * u))
        return torch.where(rest >= 0, rest, 0).mean()  # its slope at the kink is 1

    (s,) = torch.autograd.grad(loss(), B)
    torch.testing.assert_close(s, -torch.tanh(A.detach() * u).mean())
    sgd = torch.optim.SGD([A, B], lr=lr)
    for _ in range(20):
        sgd.zero_grad()
        loss().backward()
        sgd.step()
    torch.testing.assert_close(B.detach(), -lr * s)  # it has moved once, over the kink
    assert A.item() == 0.7


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_for_relu_and_the_identity_a_moves_whenever_s_is_not_zero(activation: str) -> None:
    """Part (a): the slope along A itself is 2‖S‖², here for each unit by itself."""
    for seed in range(20):
        model = Branch(activation, seed)
        zeros_(model.B)
        s, slope = slope_of_s(model, DATA)
        torch.testing.assert_close((slope * model.A.weight).sum(1), 2 * s.square().sum(0))


@pytest.mark.theorem("one-factor")
def test_on_six_points_the_length_of_s_is_the_same_for_every_a() -> None:
    """Part (a): σ(z) + σ(−z) = 1, so S counts the labels only, and A gets order η² only."""
    six = Data(CORNERS.x[[0, 1, 2, 3, 2, 3]], CORNERS.y[[0, 1, 2, 3, 2, 3]])
    for seed in range(10):
        model = Branch("sigmoid", seed, skip=False)
        zeros_(model.B)
        s, slope = slope_of_s(model, six)
        torch.testing.assert_close(s[0], torch.full_like(s[0], 1 / 12))  # δ = ±1/12 of three pairs
        assert slope.norm() < 1e-14
        sizes = [
            train(deepcopy(model), six, lr=lr, steps=2).gradients["A.weight"][1].norm()
            for lr in (1e-2, 1e-3, 1e-4)
        ]
        assert all(size < 1e-2 * lr**2 for size, lr in zip(sizes, (1e-2, 1e-3, 1e-4), strict=True))


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize("hidden", [[16], [16, 16]])
def test_a_zero_last_layer_sleeps_for_ever_if_s_is_zero_for_every_a(hidden: list[int]) -> None:
    """Part (a) on the corners of XOR: tanh is odd, the labels are even; ReLU is not odd."""
    for seed in range(5):
        sizes = {}
        for activation in "tanh", "relu":
            model = MLP([2, *hidden, 2], activation, dtype=torch.float64)
            kaiming_normal_(model, generator=Generator().manual_seed(seed))
            zeros_(model.layers[-1])
            gradients = train(model, CORNERS, lr=0.5, steps=50).gradients.values()
            sizes[activation] = max(g.abs().max().item() for g in gradients)
        assert sizes["tanh"] < 1e-12 < 1e-2 < sizes["relu"]


@pytest.mark.theorem("one-factor")
def test_a_zero_last_layer_sleeps_if_every_relu_below_is_off() -> None:
    """Part (a): S = 0 on an open set of weights and data, here with one unit and two points."""
    model = zeros_(MLP([1, 1, 2], "relu", dtype=torch.float64))
    nn.init.constant_(linear_layers(model)[0].weight, -1)
    data = Data(torch.tensor([[1.0], [2.0]], dtype=torch.float64), torch.tensor([0, 1]))
    assert not any(train(model, data, lr=0.5, steps=20).wakes().values())


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
def test_with_the_first_factor_zero_the_gradients_are_those_of_the_theorem(
    activation: str, seed: int
) -> None:
    """Part (b): φ′(0) Bᵀ Σ δ uᵀ for A, and φ(0) Σ δ 1ᵀ for B."""
    model = Branch(activation, seed)
    zeros_(model.A)
    output = model(DATA.x).detach().requires_grad_()
    (delta,) = torch.autograd.grad(F.cross_entropy(output, DATA.y), output)
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = model.phi(zero)
    (slope,) = torch.autograd.grad(value, zero)
    gradients = train(deepcopy(model), DATA, lr=0.1, steps=1).gradients
    torch.testing.assert_close(
        gradients["A.weight"][0], slope * model.B.weight.detach().T @ delta.T @ DATA.x
    )
    torch.testing.assert_close(
        gradients["B.weight"][0], (value * delta.sum(0)[:, None]).expand(2, 8).detach()
    )


@pytest.mark.theorem("one-factor")
def test_with_the_first_factor_zero_nothing_moves_if_delta_and_u_are_uncorrelated() -> None:
    """Part (b): on the corners of XOR Σ δ uᵀ = 0, though tanh′(0) = 1."""
    model = Branch("tanh", 0, skip=False)
    zeros_(model.A)
    assert not any(train(model, CORNERS, lr=0.5, steps=20).wakes().values())


@pytest.mark.theorem("one-factor")
def test_a_zero_gate_has_the_gradient_that_pairs_delta_with_what_the_branch_says() -> None:
    """Part (d): B is here one number, and the branch any network."""
    h = torch.randn(64, 2, dtype=torch.float64, generator=Generator().manual_seed(0))
    gate = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    h.requires_grad_()
    output = DATA.x + gate * h
    loss = F.cross_entropy(output, DATA.y)
    delta, for_gate, for_branch = torch.autograd.grad(loss, (output, gate, h))
    torch.testing.assert_close(for_gate, (delta * h).sum()[None])
    assert not for_branch.any()


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
def test_weight_decay_moves_what_has_no_gradient_but_not_two_zeros() -> None:
    """Part (d) is about descent without decay; with it, only factors that are zero stay."""
    decay = partial(torch.optim.SGD, weight_decay=0.1)
    for name, zero, moving in (
        ("LoRA", "A", set[str]()),
        ("SkipInit", "last", {"first.weight", "first.bias"}),
    ):
        model = design(name).double()
        zeros_(model.get_submodule(zero))
        run = train(model, DATA, lr=0.3, steps=20, optimizer=decay)
        silent = {key: run.parameters[key] for key, step in run.wakes().items() if not step}
        assert {key for key, p in silent.items() if not torch.equal(p[0], p[-1])} == moving


class Silent(nn.Module):
    """A product B(ϑ² − 1)u, which is zero at B = 0 and at ϑ = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.B = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.theta = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, u: Tensor) -> Tensor:
        return u + self.B * (self.theta**2 - 1) * u


@pytest.mark.theorem("one-factor")
@pytest.mark.parametrize(("weight_decay", "first"), [(0.0, None), (0.1, 2)])
def test_weight_decay_can_even_wake_the_zero_factor(weight_decay: float, first: int | None) -> None:
    """Part (d): h = 0 for every u stops both; decay shrinks ϑ, and h is no longer zero."""
    decay = partial(torch.optim.SGD, weight_decay=weight_decay)
    assert train(Silent(), DATA, lr=0.3, steps=5, optimizer=decay).wakes()["B"] == first


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


@pytest.mark.theorem("difference")
def test_angles_sleep_where_s_is_zero_for_every_a() -> None:
    """Part (b) asks for S ≠ 0: on the corners of XOR tanh units learn nothing from any angle."""
    model = angles_(MLP([2, 16, 2], "tanh", dtype=torch.float64))
    assert not any(train(model, CORNERS, lr=0.5, steps=50).wakes().values())


@pytest.mark.theorem("difference")
@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_shrinks_the_distance_of_two_units_by_the_factor_of_the_theorem_at_most(
    seed: int, share: float
) -> None:
    """Part (c): with Λ measured between θ and the swapped θ, the largest slope of the gradient."""
    data = xor(32, seed=seed, dtype=torch.float64)
    model = MLP([2, 2, 2], "tanh", seed=seed, dtype=torch.float64)
    for _ in range(5):
        theta, swapped = model, permute(model, 1, [1, 0])
        slopes = [
            hessian_eigenvalues(between(theta, swapped, part), data).abs().max().item()
            for part in torch.linspace(0, 1, 6).tolist()
        ]
        before = distance(model)
        lr = share / max(slopes)
        train(model, data, lr=lr, steps=1)
        assert distance(model) >= (1 - share) * before > 0


def between(one: MLP, other: MLP, part: float) -> MLP:
    """Return the network on the way from one to the other."""
    model = deepcopy(one)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        p.data.lerp_(q.data, part)
    return model


def distance(model: MLP) -> float:
    """Return the distance of the two units of a network."""
    one, other = units(model, 1)
    return float((one - other).norm())


@pytest.mark.theorem("difference")
def test_at_the_rate_that_the_theorem_forbids_units_become_twins_in_a_step() -> None:
    """Part (c) is sharp: the loss Σ vᵢwᵢ has Λ = 1, and η = 1 makes all units with v = w equal."""

    def output(f: Tensor, _: Tensor) -> Tensor:
        return f.sum()

    data = Data(torch.ones(1, 1), torch.zeros(1, 1))
    for lr, ends in (0.5, []), (0.99, []), (1.0, [[0, 1]]):
        model = MLP([1, 2, 1], "identity", bias=False)
        for layer in linear_layers(model):
            layer.weight.data = torch.tensor([1.0, 0.5]).view_as(layer.weight)
        bound = hessian_eigenvalues(model, data, loss=output).abs().max()
        torch.testing.assert_close(bound, torch.tensor(1.0))
        before = distance(model)
        train(model, data, lr=lr, steps=1, loss=output)
        assert distance(model) == pytest.approx((1 - lr) * before)
        assert twins(model, 1) == ends


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
