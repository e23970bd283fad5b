"""The audit: what moves, what is twins, what it leaves as it was, what it refuses.

Two oracles know nothing of the audit: a training run's own record of when a parameter first got a
gradient, and the count of distinct units after real training.
"""

import inspect
import random
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from strategies import Problem, problems
from torch import Tensor, nn

from zeroinit import (
    MLP,
    Data,
    constant_,
    distinct_units,
    half_plane,
    linear_layers,
    tied_,
    train,
    units,
    zeros_,
)
from zeroinit._sharded import Ranks
from zeroinit.auditing import assert_trainable, audit
from zeroinit.networks import ACTIVATIONS
from zeroinit.report import Audit

Loss = Callable[[nn.Module], Tensor]
M = TypeVar("M", bound=nn.Module)


def on(data: Data) -> Loss:
    """Return the mean cross-entropy on some data."""
    return lambda model: F.cross_entropy(model(data.x), data.y)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return normal numbers from a fixed seed."""
    return torch.randn(shape, generator=seeded(), dtype=dtype)


def square(x: Tensor) -> Loss:
    """Return the mean distance, squared, of what a model makes of x from random targets."""

    def loss(model: nn.Module) -> Tensor:
        out = model(x)
        target = torch.randn(out.shape, generator=seeded(1)).to(out.dtype)
        return F.mse_loss(out, target)

    return loss


def verdicts(found: Audit) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in found.findings}


@torch.no_grad()
def start(model: M, value: float | None = None) -> M:
    """Start every parameter at random, or at one value."""
    for p in model.parameters():
        if value is None:
            p.normal_(0, 0.3, generator=seeded(p.numel()))
        else:
            p.fill_(value)
    return model


def zero(model: nn.Module, name: str) -> None:
    nn.init.zeros_(model.get_parameter(name))


# What the lesson says


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "identity"])
def test_all_zero_networks_are_dead_but_for_the_last_bias(activation: str) -> None:
    model = zeros_(MLP([2, 8, 8, 2], activation))
    *others, last = audit(model, on(half_plane())).findings
    assert {f.verdict for f in others} == {"dead"}
    assert (last.name, last.verdict, last.wakes) == ("layers.2.bias", "fine", 1)


def test_an_all_zero_sigmoid_network_thaws_a_layer_a_step_and_is_twins() -> None:
    model = zeros_(MLP([2, 8, 8, 8, 3], "sigmoid"))
    x = points(30, 2)
    found = audit(model, on(Data(x, torch.tensor([0] * 15 + [1] * 10 + [2] * 5))), steps=1)
    assert [f.wakes for f in found.findings] == [4, 4, 3, 3, 2, 2, 1, 1]
    for layer in range(3):
        assert found[f"layers.{layer}.weight"].verdict == "twins (8 units act as 1)"
        assert found[f"layers.{layer}.bias"].verdict == "twins (8 units act as 1)"
    assert found["layers.3.weight"].verdict == "zero on purpose (wakes at step 1)"
    assert found.steps == 5


@pytest.mark.parametrize("init_", [partial(constant_, value=0.1), tied_])
def test_equal_units_act_as_one(init_: Callable[[MLP], MLP]) -> None:
    found = audit(init_(MLP([2, 16, 16, 2], "tanh")), on(half_plane()))
    twins = "twins (16 units act as 1)"
    for name, verdict in verdicts(found).items():
        assert verdict == ("fine" if name.startswith("layers.2") else twins)
    assert [f.name for f in found.faults] == [
        f"layers.{i}.{x}" for i in (0, 1) for x in ("weight", "bias")
    ]


def test_two_groups_of_twins_are_counted() -> None:
    model = MLP([2, 6, 2], "tanh")
    first, second = linear_layers(model)
    with torch.no_grad():
        for group in ([0, 1, 2], [4, 5]):
            first.weight[group] = first.weight[group[0]].clone()
            first.bias[group] = first.bias[group[0]].clone()
            second.weight[:, group] = second.weight[:, group[:1]].clone()
    found = audit(model, on(half_plane()))["layers.0.weight"]
    assert (found.verdict, found.distinct, found.act_as) == ("twins (6 units act as 3)", 3, 3)


@pytest.mark.parametrize("part", ["in", "bias", "out"])
def test_what_parts_the_twins_makes_them_fine(part: str) -> None:
    """Different weights in, different biases or different weights out: any one of them will do."""
    model = constant_(MLP([2, 8, 2], "tanh"), 0.1)
    first, second = linear_layers(model)
    with torch.no_grad():
        {"in": first.weight, "bias": first.bias, "out": second.weight}[part].normal_(
            0, 0.5, generator=seeded()
        )
    assert audit(model, on(half_plane())).faults == ()


@given(problems([name for name in ACTIVATIONS if name != "relu"]))
def test_random_starts_are_fine(problem: Problem) -> None:
    """A small ReLU layer may be out of reach of all points by chance; others have no such place."""
    model, data = problem
    assert audit(model, on(data)).faults == ()


@given(problems(["relu", "tanh", "sigmoid"]), st.lists(st.booleans(), min_size=4, max_size=4))
def test_parameters_wake_when_a_training_run_says_so(problem: Problem, zeroed: list[bool]) -> None:
    """With any layers zeroed, an audit and a training run agree on every first gradient."""
    model, data = problem
    with torch.no_grad():
        for layer, chosen in zip(linear_layers(model), zeroed, strict=False):
            if chosen:
                layer.weight.zero_()
                layer.bias.zero_()
    found = audit(model, on(data), steps=6)
    gradients = train(model, data, lr=1e-3, steps=6, every=1).gradients
    for name, slopes in gradients.items():
        woken = slopes[:6].flatten(1).any(1).nonzero().flatten().tolist()
        assert found[name].wakes == (woken[0] + 1 if woken else None), name


@given(problems(["tanh", "sigmoid", "gelu"], start="tied"), st.integers(0, 5))
def test_twins_are_those_that_training_does_not_part(problem: Problem, parted: int) -> None:
    """One unit leaves its twins; training says how many units are different then."""
    model, data = problem
    layer = linear_layers(model)[0]
    with torch.no_grad():
        layer.weight[parted % len(layer.weight)] += 0.5
    found = audit(model, on(data))["layers.0.weight"]
    train(model, data, lr=0.1, steps=50)
    assert found.act_as == distinct_units(units(model, 1).mul(1e6).round()) == 2


class Branch(nn.Module):
    """A residual branch x + B φ(γ · A x) and a head: where one factor of a product may be zero."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.into, self.out, self.head = nn.Linear(4, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.ones(6))
        self.gate = nn.Parameter(torch.ones(4))
        self.activation = activation
        start(self)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.scale * self.into(x))
        out: Tensor = self.head(x + self.gate * self.out(hidden))
        return out


@pytest.mark.parametrize(
    ("factor", "wakes"),
    [
        ("out.weight", {"into.weight": 2, "into.bias": 2, "scale": 2, "out.weight": 1}),
        ("gate", {"into.weight": 2, "into.bias": 2, "scale": 2, "out.weight": 2, "gate": 1}),
        ("head.weight", {"head.weight": 1, "gate": 2, "out.weight": 2, "into.weight": 2}),
        ("into.weight", {"into.weight": 1, "out.weight": 1}),
    ],
)
def test_one_zero_factor_wakes_at_its_step(factor: str, wakes: dict[str, int]) -> None:
    model = Branch(torch.tanh)
    zero(model, factor)
    found = audit(model, square(points(20, 4)))
    assert found.faults == ()
    for name, step in wakes.items():
        assert found[name].wakes == step, name
    if factor.endswith("weight"):
        assert found[factor].verdict == f"zero on purpose (wakes at step {wakes[factor]})"


def test_two_zero_factors_are_dead() -> None:
    model = Branch(torch.tanh)
    zero(model, "into.weight")
    zero(model, "into.bias")
    zero(model, "out.weight")
    found = verdicts(audit(model, square(points(20, 4))))
    assert {n for n, v in found.items() if v == "dead"} == {
        "scale", "into.weight", "into.bias", "out.weight",
    }  # fmt: skip


def test_zero_gamma_before_a_relu_is_dead_and_before_tanh_wakes() -> None:
    def stack(activation: nn.Module) -> nn.Module:
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), activation, nn.Linear(6, 3))
        start(model)
        zero(model, "1.weight")
        zero(model, "1.bias")
        return model

    loss = square(points(20, 4))
    dead = verdicts(audit(stack(nn.ReLU()), loss))
    assert [n for n, v in dead.items() if v == "dead"] == [
        "0.weight", "0.bias", "1.weight", "1.bias", "3.weight",
    ]  # fmt: skip
    awake = audit(stack(nn.Tanh()), loss)
    assert awake.faults == ()
    assert (awake["1.weight"].wakes, awake["0.weight"].wakes) == (1, 2)


def test_no_scores_are_dead_and_the_rest_of_the_attention_lives() -> None:
    model = start(nn.MultiheadAttention(8, 2, batch_first=True))
    with torch.no_grad():
        model.in_proj_weight[:16] = 0
        model.in_proj_bias[:16] = 0
    x = points(4, 5, 8)
    found = verdicts(audit(model, lambda m: m(x, x, x)[0].square().mean()))
    assert found["in_proj_weight"] == "dead (16 of 24 units)"
    assert found["out_proj.weight"] == "fine"


# Layers of all kinds


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 6), (8, 4)),
        (nn.Conv1d(4, 6, 3), (3, 4, 7)),
        (nn.Conv2d(4, 6, 3, groups=2), (3, 4, 5, 5)),
        (nn.Conv2d(4, 4, 3, groups=4), (3, 4, 5, 5)),
        (nn.ConvTranspose1d(4, 6, 3), (3, 4, 5)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (3, 4, 5, 5)),
        (nn.ConvTranspose2d(4, 4, 3, groups=4), (3, 4, 5, 5)),
        (nn.Bilinear(4, 4, 6), (8, 4)),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else "",
)
def test_units_of_every_layer_are_its_outputs(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Two equal output channels are twins if what follows treats them alike, and only then."""
    x = points(*shape)
    start(layer)
    arguments = (x, x) if isinstance(layer, nn.Bilinear) else (x,)
    channels = layer(*arguments).shape[1]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = deepcopy(layer)
            self.mix = nn.Parameter(points(channels, 3))

        def forward(self) -> Tensor:
            hidden: Tensor = self.layer(*arguments).transpose(1, -1)
            return (torch.tanh(hidden) @ self.mix).square().mean()

    net = Net()
    assert audit(net, lambda m: m()).faults == ()
    weight, bias = (net.get_parameter(f"layer.{name}") for name in ("weight", "bias"))
    first, second = (  # which weights the channels read, told by the gradient
        torch.autograd.grad(net.layer(*arguments)[:, c].sum(), weight)[0] != 0 for c in (0, 1)
    )
    with torch.no_grad():
        weight[second] = weight[first].clone()
        bias[1] = bias[0]
        net.mix[1] = net.mix[0]
        channel = net.layer(*arguments).transpose(0, 1)
    same_input = torch.equal(channel[0], channel[1])
    expected = f"twins ({channels} units act as {channels - 1})" if same_input else "fine"
    assert same_input == (getattr(layer, "groups", 1) < 4)
    assert audit(net, lambda m: m())["layer.weight"].verdict == expected


@pytest.mark.parametrize(("cell", "gates"), [(nn.RNN, 1), (nn.LSTM, 4), (nn.GRU, 3)])
def test_constant_recurrent_layers_act_as_one_unit_a_gate(
    cell: Callable[..., nn.Module], gates: int
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell(3, 5, batch_first=True)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.cell(x)[0][:, -1])
            return out

    loss = square(points(4, 6, 3))
    assert audit(start(Net()), loss).faults == ()
    found = audit(start(Net(), 0.2), loss)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        assert found[f"cell.{name}"].verdict == f"twins ({5 * gates} units act as {gates})"
    found = audit(start(Net(), 0.0), loss)
    assert [f.name for f in found.findings if f.kind != "dead"] == ["head.bias"]


def test_twin_heads_of_pytorch_s_attention() -> None:
    model = start(nn.MultiheadAttention(8, 2, batch_first=True))
    x = points(4, 5, 8)

    def loss(m: nn.Module) -> Tensor:
        value: Tensor = (m(x, x, x)[0] - x.flip(1)).square().mean()
        return value

    assert audit(model, loss).faults == ()
    with torch.no_grad():
        for part in (*model.in_proj_weight.chunk(3), *model.in_proj_bias.chunk(3)):
            part[4:] = part[:4]
        model.out_proj.weight[:, 4:] = model.out_proj.weight[:, :4]
    found = audit(model, loss)
    assert found["in_proj_weight"].verdict == "twins (24 units act as 12)"
    assert [f.name for f in found.faults] == ["in_proj_weight", "in_proj_bias"]


def test_unseen_tokens_padding_and_sparse_gradients_are_no_fault() -> None:
    for sparse in (False, True):
        embedding = nn.Embedding(20, 4, padding_idx=0, sparse=sparse)
        model = nn.Sequential(embedding, nn.Flatten(), nn.Linear(12, 2))
        words = torch.tensor([[1, 2, 3], [3, 4, 0]])
        assert audit(model, square(words)).faults == ()
        zero(embedding, "weight")  # tokens 1 to 4 wake, each in its own way
        found = audit(model, square(words))
        assert found.faults == ()
        assert found["0.weight"].distinct_after == 5


def test_positions_that_the_batch_lacks_are_no_fault() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Parameter(torch.zeros(1, 9, 4))
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(torch.tanh(x + self.positions[:, : x.shape[1]]))
            return out

    assert audit(Net(), square(points(3, 5, 4))).faults == ()


def test_classes_that_the_batch_lacks_are_no_twins() -> None:
    """A zero head gives all of them equal gradients, but other batches tell them apart."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 50))
    zero(model, "2.weight")
    zero(model, "2.bias")
    x, y = points(12, 4), torch.arange(12) % 3
    found = audit(model, on(Data(x, y)))
    assert found.faults == ()
    assert found["2.weight"].verdict == "zero on purpose (wakes at step 1)"


def test_tied_weights_are_one_parameter() -> None:
    model = nn.Sequential(nn.Embedding(10, 6), nn.Tanh(), nn.Linear(6, 10))
    model[2].weight = model[0].weight
    words = torch.randint(0, 10, (30,), generator=seeded())
    found = audit(model, lambda m: F.cross_entropy(m(words), words))
    assert verdicts(found) == {"0.weight": "fine", "2.bias": "fine"}


@pytest.mark.parametrize("norm", [nn.LayerNorm(6), nn.BatchNorm1d(6), nn.GroupNorm(2, 6)])
def test_normalization_is_fine(norm: nn.Module) -> None:
    model = start(nn.Sequential(nn.Linear(4, 6), nn.Identity(), nn.Tanh(), nn.Linear(6, 3)))
    model[1] = deepcopy(norm)
    assert audit(model, square(points(20, 4))).faults == ()


def test_lazy_modules_are_audited_once_they_have_a_shape() -> None:
    x = points(20, 4)
    model = nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.LazyLinear(2))
    with pytest.raises(ValueError, match=r"0\.weight has no shape yet: call the model once"):
        audit(model, square(x))
    model(x)
    assert audit(model, square(x)).faults == ()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_precision(dtype: torch.dtype) -> None:
    """The copy has the model's own dtype; small gradients of many units are not taken for twins."""
    x = points(64, 4).to(dtype)
    healthy = start(nn.Sequential(nn.Linear(4, 256), nn.Tanh(), nn.Linear(256, 3))).to(dtype)

    def loss(model: nn.Module) -> Tensor:
        assert {p.dtype for p in model.parameters()} == {dtype}
        return square(x)(model)

    assert audit(healthy, loss).faults == ()
    zero(healthy, "0.weight")  # its gradients differ, in as many ways as the biases do
    assert audit(healthy, loss).faults == ()
    found = audit(start(healthy, 0.125), loss)
    assert found["0.weight"].verdict == "twins (256 units act as 1)"


def test_chance_equality_in_a_coarse_dtype_is_no_twin() -> None:
    """Among thousands of rows with one number of 8 bits, many are equal; they are not twins."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Parameter(points(1, 16))
            self.up = nn.Parameter(torch.zeros(2048, 1))
            self.head = nn.Linear(2048, 5)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(torch.tanh(x @ self.down.T @ self.up.T))
            return out

    x = points(32, 16).bfloat16()
    found = audit(Net().bfloat16(), square(x))
    assert found.faults == ()


def test_stacked_experts_are_the_rows_of_all() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Parameter(points(3, 4))
            self.into = nn.Parameter(points(3, 6, 4))
            self.out = nn.Parameter(points(3, 4, 6))

        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.tanh(torch.einsum("bi,ehi->beh", x, self.into))
            each = torch.einsum("beh,eoh->beo", hidden, self.out)
            weights = (x @ self.router.T).softmax(1)
            return x + (weights[..., None] * each).sum(1)

    model, loss = Experts(), square(points(20, 4))
    assert audit(model, loss).faults == ()
    with torch.no_grad():
        for p in model.parameters():
            p[1] = p[0]
    found = audit(model, loss)
    assert found["into"].verdict == "twins (18 units act as 12)"


def test_odd_parameters() -> None:
    """A scalar, an empty one, sizes of 1, complex numbers, frozen integers."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.5))
            self.empty = nn.Parameter(torch.zeros(0, 4))
            self.hollow = nn.Parameter(torch.zeros(4, 0))
            self.shift = nn.Parameter(torch.zeros(1, 1, 4))
            self.wave = nn.Parameter(points(4, dtype=torch.complex64))
            self.codes = nn.Parameter(torch.arange(8, dtype=torch.int8), requires_grad=False)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = (self.scale * x + self.shift + (x * self.wave).abs())[0]
            out: Tensor = self.head(x) + self.empty.sum() + self.hollow.sum() + self.codes.sum()
            return out

    found = audit(Net(), square(points(6, 4)))
    kinds = {f.name: f.kind for f in found.findings}
    assert kinds.pop("codes") == "frozen"
    assert kinds.pop("shift") == "zero on purpose"
    assert set(kinds.values()) == {"fine"}
    assert "empty" in str(found)


def test_what_the_loss_does_not_use_and_what_is_frozen_is_no_fault() -> None:
    model = MLP([2, 8, 8, 2])
    model.spare = nn.Linear(3, 3)
    model.layers[0].requires_grad_(False)
    found = verdicts(audit(model, on(half_plane())))
    assert found["layers.0.weight"] == "frozen"
    assert found["spare.weight"] == "not used by this loss"
    assert audit(model, on(half_plane())).faults == ()


# What an audit leaves as it was


class Restless(nn.Module):
    """Has dropout, running statistics, a buffer that counts, and draws from every generator."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)
        )
        self.register_buffer("calls", torch.zeros(1))
        self.eval_too = nn.Dropout(0.1).eval()

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        x = x + random.random() + float(np.random.rand()) + torch.randn(())  # noqa: NPY002
        out: Tensor = self.net(x)
        return out


def everything(model: nn.Module) -> list[Any]:
    """Return all that an audit must leave: numbers, gradients, modes, hooks, random states."""
    tensors = [t.detach().clone() for t in (*model.parameters(), *model.buffers())]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    draws = [random.getstate(), str(np.random.get_state()), torch.get_rng_state()]  # noqa: NPY002
    return [tensors, gradients, modes, [id(p) for p in model.parameters()], draws]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("stop", [None, 1, 2, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_model_and_the_random_states_are_left_as_they_were(
    stop: int | None, error: type[BaseException]
) -> None:
    model, x = Restless(), points(16, 4)
    square(x)(model).backward()  # so that gradients are there to be kept
    before = everything(model)
    calls = 0

    def loss(copy: nn.Module) -> Tensor:
        nonlocal calls
        calls += 1
        assert copy is model
        if calls == stop:
            raise error("stop")
        value = square(x)(copy)
        torch.manual_seed(5)
        return value

    if stop is None:
        audit(model, loss)
        assert calls == 3
    else:
        with pytest.raises(error, match="stop"):
            audit(model, loss)
    assert same(before, everything(model))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_are_on_in_whatever_mode_it_is_called(mode: Any) -> None:
    model, loss = MLP([2, 8, 2]), on(half_plane())
    with mode():
        enabled = torch.is_grad_enabled()
        assert audit(model, loss).faults == ()
        assert torch.is_grad_enabled() == enabled


def test_an_audit_says_the_same_twice() -> None:
    model, x = Restless(), points(16, 4)
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    assert str(audit(model, square(x))) == str(audit(model, square(x)))


def test_a_compiled_model_is_audited_as_it_is_written() -> None:
    compiled: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(1)
        return graph

    model = zeros_(MLP([2, 8, 2]))
    whole = cast(nn.Module, torch.compile(model, backend=backend))
    part = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    part[0] = cast(nn.Module, torch.compile(part[0], backend=backend))
    in_place = MLP([2, 4, 2])
    in_place.compile(backend=backend)
    expected = verdicts(audit(model, on(half_plane())))
    assert verdicts(audit(whole, on(half_plane()))) == expected
    assert audit(part, on(half_plane())).faults == ()
    assert audit(in_place, on(half_plane())).faults == ()
    assert compiled == []


# Bad input


def stubborn(model: nn.Module) -> Tensor:
    raise LookupError("the batch is gone")


@pytest.mark.parametrize(
    ("loss", "error", "says"),
    [
        (lambda m: m(points(4, 2)), ValueError, r"one number, got \(4, 2\): take its mean"),
        (lambda m: 1.0, ValueError, r"one number, got float: .* without \.item\(\)"),
        (lambda m: None, ValueError, "one number, got NoneType"),
        (lambda m: m(points(4, 2)).sum() * torch.nan, ValueError, "loss is nan at step 1: mend"),
        (lambda m: m(points(4, 2)).sum() * torch.inf, ValueError, "loss is -?inf at step 1"),
        (lambda m: m(points(4, 2)).sum().detach(), ValueError, "does not depend on the model"),
        (
            lambda m: torch.tensor(1.0),
            ValueError,
            "^the loss does not depend on the model: compute it from the model that it is given, "
            "with gradients on; if the model works on another one, audit a module that holds both$",
        ),
        (lambda m: torch.ones((), requires_grad=True) * 2, ValueError, "does not depend"),
        (torch.no_grad()(lambda m: m(points(4, 2)).sum()), ValueError, "with gradients on"),
        (lambda m: (m.layers[0].weight * 0).sum().sqrt(), ValueError, "gradient of .* not finite"),
        (stubborn, LookupError, "the batch is gone"),
    ],
)
def test_a_loss_that_cannot_be_trained_is_refused(
    loss: Loss, error: type[Exception], says: str
) -> None:
    model = MLP([2, 4, 2])
    before = everything(model)
    with pytest.raises(error, match=says):
        audit(model, loss)
    assert same(before, everything(model))


def test_a_loss_that_holds_the_model_itself_is_served() -> None:
    model, loss = zeros_(MLP([2, 4, 2])), on(half_plane())
    assert verdicts(audit(model, lambda given: loss(model))) == verdicts(audit(model, loss))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_step_of_a_loss_that_is_not_finite_is_named(step: int) -> None:
    calls = 0

    def loss(model: nn.Module) -> Tensor:
        nonlocal calls
        calls += 1
        return on(half_plane())(model) * (torch.nan if calls == step else 1)

    with pytest.raises(ValueError, match=f"the loss is nan at step {step}: mend the batch"):
        audit(MLP([2, 4, 2]), loss)


def never(model: nn.Module) -> Tensor:
    raise AssertionError("the loss must not be asked")


def sparse() -> nn.Module:
    """Return a layer that also has a sparse parameter."""
    model = nn.Linear(2, 2)
    model.m = nn.Parameter(torch.eye(2).to_sparse())
    return model


@pytest.mark.parametrize(
    ("model", "steps", "error", "says"),
    [
        (nn.ReLU(), 3, ValueError, "ReLU has no parameters: there is nothing to audit"),
        (nn.Linear(2, 2).requires_grad_(False), 3, ValueError, "frozen: set requires_grad"),
        (
            nn.Linear(2, 2, device="meta"),
            3,
            ValueError,
            "weight is on the meta device: .* to_empty",
        ),
        (sparse(), 3, ValueError, r"m is sparse \(torch.sparse_coo\).* to_dense"),
        (nn.LazyLinear(2), 3, ValueError, "weight has no shape yet: call the model once"),
        (nn.Linear(2, 2), 0, ValueError, "steps must be at least 1, got 0"),
        (nn.Linear(2, 2), -1, ValueError, "steps must be at least 1, got -1"),
        (nn.Linear(2, 2), 2.0, TypeError, r"steps must be an int, got 2\.0"),
        (nn.Linear(2, 2), "3", TypeError, "steps must be an int, got '3'"),
        (nn.Linear(2, 2), True, TypeError, "steps must be an int, got True"),
    ],
)
def test_bad_input_is_refused_before_anything_is_done(
    model: nn.Module, steps: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        audit(model, never, steps=steps)
    with pytest.raises(error, match=says):
        assert_trainable(model, never, steps=steps)


def test_rows_that_differ_in_double_precision_only_are_different() -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 3).double()
    with torch.no_grad():
        model.weight[1] = model.weight[0] * (1 + 1e-12)
    assert audit(model, on(half_plane(dtype=torch.float64)))["weight"].distinct == 3


# The result


def test_the_table_says_it_all() -> None:
    lines = str(audit(zeros_(MLP([2, 4, 2])), on(half_plane()))).splitlines()
    assert lines[0] == "3 of 4 parameters cannot train as they should:"
    assert lines[1:4] == [
        "1. layers.0.weight and layers.1.weight are zero",
        "   dead: layers.0.weight, layers.0.bias, layers.1.weight",
        "   remedy: give layers.0.weight small random numbers",
    ]
    assert lines[4] == "fine  1  layers.1.bias"


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(KeyError, match="no parameter 'weight'"):
        audit(MLP([2, 4, 2]), on(half_plane()))["weight"]


def test_assert_trainable_shows_the_table_or_says_nothing() -> None:
    loss = on(half_plane())
    assert_trainable(MLP([2, 4, 2]), loss)
    says = r"(?s)^3 of 4 parameters .*dead: layers\.0\.weight, "
    with pytest.raises(AssertionError, match=says) as error:
        assert_trainable(zeros_(MLP([2, 4, 2])), loss)
    assert error.traceback[-1].ishidden(error)  # pytest shows the line of the test


def test_assert_trainable_takes_what_an_audit_takes() -> None:
    given, taken = (inspect.signature(f).parameters for f in (audit, assert_trainable))
    assert taken == given
    assert {name: p.default for name, p in [*taken.items()][2:]} == {
        "optimizer": None, "steps": 3, "strict": False, "ignore": (),
    }  # fmt: skip


def test_one_rank_says_what_is_wrong_and_the_others_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = zeros_(MLP([2, 4, 2]))
    monkeypatch.setattr(Ranks, "first", property(lambda ranks: 2 if ranks.model is model else None))
    with pytest.raises(AssertionError) as raised:
        assert_trainable(model, on(half_plane()))
    assert str(raised.value) == "3 of 4 parameters cannot train as they should: rank 2 says which"


# Rounding is no gradient


def labels(classes: int, each: int, changed: int) -> Tensor:
    """Return balanced labels, the first of them changed to another class."""
    y = torch.arange(classes).repeat(each)
    y[:changed] = 1
    return y


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 3, 5, 6, 7, 10, 100])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
def test_balanced_classes_leave_everything_dead_and_one_label_wakes_it(
    activation: str, classes: int, dtype: torch.dtype
) -> None:
    """Where mathematics has zero, a machine has 1/3 + 1/3 − 2/3; it is no wake, and no step."""
    model = zeros_(MLP([2, 8, classes], activation, dtype=dtype))
    x = points(10 * classes, 2, dtype=dtype)
    seen: list[nn.Module] = []

    def loss(changed: int, copy: nn.Module) -> Tensor:
        seen.append(deepcopy(copy))
        return F.cross_entropy(copy(x), labels(classes, 10, changed))

    found = audit(model, partial(loss, 0))
    assert {f.verdict for f in found.findings} == {"dead"}
    steps = seen[: found.steps]  # after which remedies are tried
    assert not any(p.any() for copy in steps for p in copy.parameters())
    *hidden, last, bias = verdicts(audit(model, partial(loss, 1))).values()
    if activation in ("sigmoid", "softplus"):
        assert hidden == ["twins (8 units act as 1)"] * 2
        assert last == "zero on purpose (wakes at step 1)"
    else:
        assert [*hidden, last] == ["dead"] * 3
    assert bias == "fine"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
def test_a_tiny_gradient_that_no_terms_cancel_to_is_real(
    activation: str, dtype: torch.dtype
) -> None:
    """Twelve zero layers, of which each sees a hundredth of the error above, all thaw."""
    data = half_plane(dtype=dtype)
    model = zeros_(MLP([2] + [16] * 12 + [2], activation, dtype=dtype))
    smallest: list[float] = []

    def loss(copy: nn.Module) -> Tensor:
        value = on(data)(copy)
        gradient = torch.autograd.grad(
            value, copy.get_parameter("layers.0.bias"), retain_graph=True
        )
        smallest.extend(float(g) for g in gradient[0].abs() if g)
        return value

    found = audit(model, loss)
    assert {f.verdict for f in found.findings[:-2]} == {"twins (16 units act as 1)"}
    assert found["layers.0.weight"].wakes == 13
    assert min(smallest) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("std", [1e-12, 1e-6, 1.0])
def test_the_gradients_of_tiny_weights_are_real(std: float, dtype: torch.dtype) -> None:
    model = MLP([2, 8, 8, 2], "tanh", dtype=dtype)
    for layer in linear_layers(model):
        nn.init.normal_(layer.weight, 0, std, generator=seeded())
        nn.init.zeros_(layer.bias)
    found = audit(model, on(half_plane(dtype=dtype)))
    assert found.faults == ()
    assert {f.wakes for f in found.findings} == {1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradients_of_a_deep_sigmoid_network_are_real(dtype: torch.dtype) -> None:
    model = MLP([2] + [16] * 16 + [2], "sigmoid", dtype=dtype)
    data = half_plane(dtype=dtype)
    slopes = torch.autograd.grad(on(data)(model), list(model.parameters()))
    assert 0 < slopes[0].abs().max() < 1e-10 * slopes[-1].abs().max()
    found = audit(model, on(data))
    assert {f.verdict for f in found.findings} == {"fine"}
    assert {f.wakes for f in found.findings} == {1}


def test_a_bias_that_the_loss_does_not_depend_on_is_said_to_be_so() -> None:
    """A BatchNorm takes off any bias before it, and a softmax a bias of all keys."""
    model = start(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)))
    x, loss = points(20, 4), square(points(20, 4))
    with torch.no_grad():
        other = deepcopy(model)
        other.get_parameter("0.bias").add_(1)
        torch.testing.assert_close(other(x), model(x))
    found = audit(model, loss)
    assert found.faults == ()
    assert found["0.bias"].verdict == "not used by this loss"
    assert {f.verdict for f in found.findings if f.name != "0.bias"} == {"fine"}


@pytest.mark.parametrize("depth", [28, 30, 36, 60])
@pytest.mark.parametrize("width", [4, 16])
def test_a_thaw_through_many_layers_is_followed_as_far_as_numbers_reach(
    depth: int, width: int
) -> None:
    """The upper layers are twins in single precision; layers that it rounds to zero are dead."""
    data, model = half_plane(), zeros_(MLP([2] + [width] * depth + [2], "sigmoid"))
    reached: set[str] = set()

    def loss(copy: nn.Module) -> Tensor:
        value = on(data)(copy)
        named = dict(copy.named_parameters())
        slopes = torch.autograd.grad(value, list(named.values()), retain_graph=True)
        reached.update(name for name, g in zip(named, slopes, strict=True) if g.any())
        return value

    found = audit(model, loss)
    assert len(reached) >= 2 * 28
    for f in found.findings[:-2]:
        assert f.verdict == (f"twins ({width} units act as 1)" if f.name in reached else "dead")


def test_twins_of_a_thaw_in_double_precision_are_not_parted_by_rounding() -> None:
    data = half_plane(dtype=torch.float64)
    for activation in ("sigmoid", "softplus"):
        for depth in (2, 3, 4, 8):
            model = zeros_(MLP([2] + [16] * depth + [2], activation, dtype=torch.float64))
            hidden = audit(model, on(data)).findings[:-2]
            assert {f.verdict for f in hidden} == {"twins (16 units act as 1)"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [3, 10])
def test_rounding_is_seen_where_all_terms_of_one_sign_come_first(
    classes: int, dtype: torch.dtype
) -> None:
    """Long sums round more than the changes of single terms tell: there they lean to one side."""
    y = torch.arange(classes).repeat_interleave(300)
    model = zeros_(MLP([2, 8, classes], "sigmoid", dtype=dtype))
    found = audit(model, on(Data(points(len(y), 2, dtype=dtype), y)))
    assert {f.verdict for f in found.findings} == {"dead"}


def test_no_step_of_an_audit_undoes_another() -> None:
    """The first step goes past the log-prior; one as long would lead back to all-zero."""
    y = torch.tensor([1, 1] + [0, 1] * 9)
    model = zeros_(MLP([2, 16, 16, 2], "softplus", dtype=torch.float64))
    found = audit(model, on(Data(points(20, 2, dtype=torch.float64), y)))
    assert [f.wakes for f in found.findings] == [3, 3, 2, 2, 1, 1]
