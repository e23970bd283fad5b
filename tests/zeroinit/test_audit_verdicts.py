"""The verdicts of an audit on the mechanisms of real networks, each imitated in a few lines."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
import torch.nn.functional as F
import transformers
from audited import Made, X, Y, classify
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from zeroinit._watched import Slope
from zeroinit.auditing import audit


def tied(width: int = 16, out: int = 3) -> Any:
    """Return a network whose hidden units are all equal."""
    model: Any = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, out))
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight[:1].clone())
        model[0].bias.fill_(0.1)
        model[2].weight.copy_(model[2].weight[:, :1].clone())
    return model


def zero(*parameters: Tensor) -> None:
    for p in parameters:
        nn.init.zeros_(p)


# In place


def test_what_is_inside_a_reentrant_checkpoint_trains() -> None:
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Tensor:
        h = x.clone().requires_grad_()
        out: Tensor = s.b(checkpoint(s.a, h, use_reentrant=True))
        return out

    model: Any = Made(how, a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    found = audit(model, classify)
    assert {f.verdict for f in found.findings} == {"fine"}
    model = Made(lambda s, x: checkpoint(s.a, x.clone().requires_grad_(), use_reentrant=True),
                 a=nn.Linear(8, 3))  # fmt: skip
    assert {f.verdict for f in audit(model, classify).findings} == {"fine"}


def test_an_embedding_before_a_reentrant_checkpoint() -> None:
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.b(checkpoint(s.a, s.e(x), use_reentrant=True)).mean(1),
        e=nn.Embedding(9, 8), a=nn.Linear(8, 8), b=nn.Linear(8, 3),
    )  # fmt: skip
    words = torch.arange(64).view(32, 2) % 9
    found = audit(model, lambda m: F.cross_entropy(m(words), Y))
    assert {f.verdict for f in found.findings} == {"fine"}


def test_a_lambda_that_holds_the_module_itself() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.b(s.act(x)), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    model.act = lambda h: F.relu(model.a(h))
    assert {f.verdict for f in audit(model, classify).findings} == {"fine"}


def test_a_hook_on_a_parameter_counts() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    zero(model[0].weight)
    keep = torch.tensor([1.0] * 6 + [0.0] * 2)
    model[0].weight.register_hook(lambda g: g * keep[:, None])
    found = audit(model, classify)
    assert found["0.weight"].verdict == "dead (2 of 8 units)"
    assert found["0.weight"].wakes == 1


def old_weight_norm() -> Any:
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(nn.Linear(8, 3))


def pruned() -> Any:
    return prune.l1_unstructured(nn.Linear(8, 3), "weight", 0.5)


def keeping() -> Any:
    """A model that keeps a feature from its last call, with its graph, and a lock."""
    import threading

    def how(s: Any, x: Tensor) -> Tensor:
        s.kept = s.a(x)
        kept: Tensor = s.kept
        return kept

    model: Any = Made(how, a=nn.Linear(8, 3))
    model.lock = threading.Lock()
    model(X)
    return model


def caching() -> Any:
    """A model that caches what it computes of its weights, as some attentions do in eval mode."""

    def how(s: Any, x: Tensor) -> Tensor:
        if "bias" not in s.cache:
            s.cache["bias"] = s.a.weight.square().sum(1)
        out: Tensor = s.a(x) + s.cache["bias"]
        return out

    return Made(how, a=nn.Linear(8, 3), cache={})


@pytest.mark.parametrize("build", [old_weight_norm, pruned, keeping, caching])
def test_what_cannot_be_copied_is_audited(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model: Any = build()
    with torch.no_grad():
        before = [p.clone() for p in model.parameters()]
    held = {k: id(v) for k, v in model.__dict__.items()}
    found = audit(model, classify)
    assert found.faults == ()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert {k: id(v) for k, v in model.__dict__.items()} == held
    assert not isinstance(model, Made) or model.__dict__.get("cache", {}) == {}


def test_frozen_float8_weights_are_left_alone() -> None:
    torch.manual_seed(0)
    coarse = nn.Parameter(torch.randn(8, 8).to(torch.float8_e4m3fn), requires_grad=False)
    model: Any = Made(lambda s, x: s.b(x @ s.w.float()), b=nn.Linear(8, 3))
    model.w = coarse
    found = audit(model, classify)
    assert found["w"].verdict == "frozen"
    assert {f.verdict for f in found.findings} == {"frozen", "fine"}


# No twins: the batch does not tell them apart


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bag", [False, True])
def test_tokens_that_a_batch_holds_together_are_no_twins(bag: bool, sparse: bool) -> None:
    torch.manual_seed(0)
    words = torch.randint(1000, (32, 10))
    table = (nn.EmbeddingBag if bag else nn.Embedding)(1000, 8, sparse=sparse)
    zero(table.weight)
    model: Any = Made(
        lambda s, w: s.b(s.e(w) if bag else s.e(w).mean(1)), e=table, b=nn.Linear(8, 3)
    )
    found = audit(model, lambda m: F.cross_entropy(m(words), Y))
    assert found.faults == ()
    assert found["e.weight"].act_as == 1000
    assert found["e.weight"].verdict == "zero on purpose (wakes at step 1)"


def test_classes_that_a_batch_lacks_are_no_twins_behind_a_transition_matrix() -> None:
    torch.manual_seed(0)
    y = torch.randint(100, (32,))
    model: Any = Made(
        lambda s, x: (s.head(x).softmax(1) @ s.t.softmax(1)).log(),
        head=nn.Linear(8, 100), t=nn.Parameter(5 * torch.eye(100)),
    )  # fmt: skip
    zero(model.head.weight, model.head.bias)
    found = audit(model, lambda m: F.nll_loss(m(X), y))
    assert found.faults == ()


def test_outputs_at_their_optimum_are_not_dead() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 64)
    x[:, :20] = 0
    model: Any = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 64))
    zero(model[2].weight, model[2].bias)
    found = audit(model, lambda m: F.mse_loss(m(x), x))
    assert found.faults == ()
    assert found["2.weight"].unreached == 20


# Twins


@pytest.mark.parametrize("how", ["plain", "frozen", "weight_norm", "spectral_norm", "fake quant",
                                 "computed", "kernel"])  # fmt: skip
def test_twins_are_seen_through_every_kind_of_weight(how: str) -> None:
    torch.manual_seed(0)
    model: Any = tied()
    if how == "frozen":
        model[2].requires_grad_(False)
    elif how == "weight_norm":
        for layer in (0, 2):
            parametrizations.weight_norm(model[layer])
    elif how == "spectral_norm":
        parametrizations.spectral_norm(model[2])
    elif how == "fake quant":

        class Round(nn.Module):
            def forward(self, w: Tensor) -> Tensor:
                return w + ((w * 64).round() / 64 - w).detach()

        for layer in (0, 2):
            nn.utils.parametrize.register_parametrization(model[layer], "weight", Round())
    elif how == "computed":
        old = model
        model = Made(
            lambda s, x: torch.tanh(F.linear(x, s.w.exp(), s.b)) @ s.v.exp(),
            w=nn.Parameter(old[0].weight.detach()), b=nn.Parameter(old[0].bias.detach()),
            v=nn.Parameter(old[2].weight.detach().T.contiguous()),
        )  # fmt: skip
    elif how == "kernel":
        old = model
        model = Made(lambda s, x: (x @ s.p["k"] + s.p["b"]).tanh() @ s.q["k"] + s.q["b"])
        model.p = nn.ParameterDict({"k": old[0].weight.detach().T, "b": old[0].bias.detach()})
        model.q = nn.ParameterDict({"k": old[2].weight.detach().T, "b": old[2].bias.detach()})
    found = audit(model, classify)
    twins = [f for f in found.faults if f.kind == "twins" and f.act_as == 1]
    assert len(twins) >= 2, str(found)
    assert all(f.units == 16 for f in twins)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_whose_weight_is_normalized_has_its_own_units(transposed: bool) -> None:
    """Its weight in two parts is no stack of matrices, and its bias is of the same units."""
    torch.manual_seed(0)
    convolution: Any = nn.ConvTranspose1d if transposed else nn.Conv1d
    layer, head = convolution(8, 6, 3, groups=2), nn.Conv1d(6, 3, 1)
    for part in (layer.weight, layer.bias, head.weight):
        nn.init.constant_(part, 0.1)
    parametrizations.weight_norm(layer)
    model = nn.Sequential(nn.Unflatten(1, (8, 1)), nn.Upsample(3), layer, nn.Tanh(), head)
    found = audit(model, lambda m: F.cross_entropy(m(X).mean(2), Y))
    assert found["2.parametrizations.weight.original1"].units == found["2.bias"].units == 6
    assert found["2.parametrizations.weight.original1"].act_as == found["2.bias"].act_as == 2
    # PyTorch gives each part of the weight's first axis a length.
    assert found["2.parametrizations.weight.original0"].units == (8 if transposed else 6)


def test_a_transposed_convolution_whose_weight_is_a_matrix_has_its_outputs_as_units() -> None:
    class Wide(nn.Module):
        def forward(self, matrix: Tensor) -> Tensor:
            return matrix[..., None]

        def right_inverse(self, weight: Tensor) -> Tensor:
            return weight[..., 0]

    layer = nn.ConvTranspose1d(8, 6, 1)
    nn.utils.parametrize.register_parametrization(layer, "weight", Wide())
    model = nn.Sequential(nn.Unflatten(1, (8, 1)), layer, nn.Tanh(), nn.Conv1d(6, 3, 1))
    found = audit(model, lambda m: F.cross_entropy(m(X).mean(2), Y))
    assert found["1.parametrizations.weight.original"].units == 6


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft, about transformers
def test_the_zero_rows_of_a_prefix_are_twins() -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=1,
        n_embd=16,
        n_head=2,
        n_positions=16,
        vocab_size=32,
        bos_token_id=1,
        eos_token_id=2,
    )
    base = transformers.GPT2LMHeadModel(config)
    prefix = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    model: Any = peft.get_peft_model(base, prefix).eval()  # dropout parts twins
    words = torch.randint(3, 32, (4, 8))

    def loss(m: nn.Module) -> Tensor:
        value: Tensor = m(input_ids=words, labels=words).loss
        return value

    name = "prompt_encoder.default.embedding.weight"
    assert audit(model, loss)[name].act_as == 4
    zero(model.get_parameter(name))
    assert audit(model, loss)[name].act_as == 1


@pytest.mark.parametrize("affine", [False, True])
def test_a_sum_inside_rmsnorm_is_followed(affine: bool) -> None:
    """It adds a number, which is no input of its node in the graph."""
    torch.manual_seed(0)
    norm = nn.RMSNorm(8, elementwise_affine=affine)
    model: Any = nn.Sequential(nn.Linear(8, 8), norm, nn.Linear(8, 3))
    assert {f.kind for f in audit(model, lambda m: F.cross_entropy(m(X), Y))} == {"fine"}
    zero(model[0].weight, model[0].bias, model[2].weight)
    assert audit(model, lambda m: F.cross_entropy(m(X), Y))["0.weight"].kind == "dead"


# Rounding is no gradient


def renormalized(chosen: int, scores: torch.dtype | None = None) -> Callable[[Any, Tensor], Tensor]:
    """Return a mixture of the experts with the best scores, whose weights sum to 1."""

    def how(s: Any, x: Tensor) -> Tensor:
        best, which = s.router(x).softmax(1, dtype=scores).topk(chosen, dim=1)
        best = (best / best.sum(1, keepdim=True)).to(x.dtype)
        every = torch.stack([e(x) for e in s.experts], 1)
        own = every.gather(1, which[..., None].expand(-1, -1, 8))
        out: Tensor = s.head(x + (best[..., None] * own).sum(1))
        return out

    return how


@pytest.mark.parametrize("scores", [None, torch.float32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_router_that_renormalizes_its_one_choice_never_trains(
    dtype: torch.dtype, scores: torch.dtype | None
) -> None:
    """OLMoE computes the scores in single precision, whatever its weights have."""
    torch.manual_seed(0)
    experts = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4)])
    model: Any = Made(
        renormalized(1, scores), router=nn.Linear(8, 4), experts=experts, head=nn.Linear(8, 3)
    ).to(dtype)
    found = audit(model, lambda m: F.cross_entropy(m(X.to(dtype)), Y))
    for name in ("router.weight", "router.bias"):
        assert found[name].wakes is None
        assert found[name].verdict == "not used by this loss"
        assert found[name].cause == (
            "the terms of its gradient cancel: only the indices of topk() depend on it"
        )
    assert found.faults == ()


def test_what_cancels_below_a_router_is_not_said_to_choose() -> None:
    """The bias of the keys adds one number to all scores of a sample."""
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Tensor:
        h = x + (s.q(x) @ s.k(s.place).T).softmax(1) @ s.place
        every = torch.stack([e(h) for e in s.experts], 1)
        best, which = s.router(h).topk(2, dim=1)
        chosen = every.gather(1, which[..., None].expand(-1, -1, 8))
        out: Tensor = s.head((best.softmax(1)[..., None] * chosen).sum(1))
        return out

    model: Any = Made(
        how, q=nn.Linear(8, 8), k=nn.Linear(8, 8), router=nn.Linear(8, 4), head=nn.Linear(8, 3),
        experts=nn.ModuleList([nn.Linear(8, 8) for _ in range(4)]),
        place=nn.Parameter(torch.randn(5, 8)),
    )  # fmt: skip
    found = audit(model, classify)
    assert found["router.weight"].verdict == "fine"
    assert found["k.bias"].verdict == "not used by this loss"
    assert found["k.bias"].cause == "the terms of its gradient cancel"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_upcycled_router_wakes_at_step_2(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    expert = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    experts = nn.ModuleList([copy.deepcopy(expert) for _ in range(4)])
    model: Any = Made(
        renormalized(2), router=nn.Linear(8, 4), experts=experts, head=nn.Linear(8, 3)
    ).to(dtype)
    found = audit(model, lambda m: F.cross_entropy(m(X.to(dtype)), Y))
    assert found["router.weight"].verdict == "zero on purpose (wakes at step 2)"
    assert found["router.weight"].cause == "waits while the terms of its gradient cancel"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_equal_values_are_not_used(dtype: torch.dtype) -> None:
    """As in the first layer of a DETR's decoder, and as the biases of all keys."""
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Tensor:
        place = s.place[None].expand(len(x), -1, -1)
        q, k = s.q(place), s.k(place)
        v = s.v(torch.zeros_like(place))
        mixed = (q @ k.transpose(1, 2) / 3).softmax(-1) @ v
        cross = (s.q2(mixed + place) @ s.k2(x[:, None] * s.place).transpose(1, 2)).softmax(-1)
        out: Tensor = s.head(s.o(mixed) + cross @ (x[:, None] + s.place)).mean(1)
        return out

    parts = {name: nn.Linear(8, 8) for name in ("q", "k", "v", "o", "q2", "k2")}
    model: Any = Made(how, place=nn.Parameter(torch.randn(5, 8)), head=nn.Linear(8, 3), **parts)
    found = audit(model.to(dtype), lambda m: F.cross_entropy(m(X.to(dtype)), Y))
    assert [f.name for f in found.faults] == ["v.weight"]  # its input is zero
    for name in ("q.weight", "q.bias", "k.weight", "k.bias", "k2.bias"):
        assert found[name].verdict == "not used by this loss", name
        assert found[name].cause == "the terms of its gradient cancel"
    assert found["q2.weight"].verdict == found["k2.weight"].verdict == "fine"


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("depth", [16, 24, 28, 30, 32])
def test_gradients_below_the_normal_numbers_do_not_stop_an_audit(width: int, depth: int) -> None:
    from zeroinit import MLP, half_plane, zeros_

    data = half_plane()
    found = audit(
        zeros_(MLP([2] + [width] * depth + [2], "sigmoid")),
        lambda m: F.cross_entropy(m(data.x), data.y),
    )
    assert found.steps >= depth


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float32, 1e-42), (torch.float16, 6e-8), (torch.float64, 5e-320)]
)
def test_a_step_is_as_long_however_small_the_gradient(dtype: torch.dtype, size: float) -> None:
    numbers, gradient = torch.zeros(2, 2, dtype=dtype), torch.zeros(2, 2, dtype=dtype)
    gradient[0, 0] = size
    watched: Any = SimpleNamespace(rows=lambda gradient: gradient)
    Slope(gradient, watched, None).step(numbers, 0.01)
    torch.testing.assert_close(numbers, torch.tensor([[-0.01, 0], [0, 0]], dtype=dtype))


def test_small_gradients_in_half_precision_do_not_stop_an_audit() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 3)).half()
    audit(model, lambda m: m(X.half()).float().square().mean() * 3e-7)


@pytest.mark.parametrize(("width", "length"), [(16, 5e-3), (64, 5e-3), (256, 1.25e-3)])
def test_a_zero_that_is_wide_takes_shorter_steps(width: int, length: float) -> None:
    torch.manual_seed(0)
    x, seen = torch.randn(32, width), []
    model = nn.Linear(width, 3)
    zero(model.weight)

    def loss(model: Any) -> Tensor:
        seen.append(float(model.weight.detach().abs().max()))
        return F.cross_entropy(model(x), Y)

    audit(model, loss)
    assert seen[:2] == [0, pytest.approx(length)]


# One draw is no fault


@pytest.mark.parametrize("seed", range(6))
def test_a_block_that_is_dropped_by_a_draw_is_not_dead(seed: int) -> None:
    torch.manual_seed(seed)

    def how(s: Any, x: Tensor) -> Tensor:
        kept = torch.bernoulli(torch.tensor(0.5)) / 0.5
        out: Tensor = s.head(x + kept * s.block(x))
        return out

    block = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    model: Any = Made(how, block=block, head=nn.Linear(8, 3))
    found = audit(model, classify)
    assert found.faults == ()
    for f in found.findings:
        assert f.kind == ("fine" if f.wakes == 1 else "left out")


@pytest.mark.parametrize("seed", range(6))
def test_a_layer_that_is_dropped_by_a_draw_is_said_to_be_left_out(seed: int) -> None:
    torch.manual_seed(seed)

    def how(s: Any, x: Tensor) -> Tensor:
        out: Tensor = s.head(x if torch.rand(()) < 0.5 else s.block(x))
        return out

    model: Any = Made(how, block=nn.Linear(8, 8), head=nn.Linear(8, 3))
    found = audit(model, classify)
    assert found.faults == ()
    for f in found.findings:
        assert f.kind in ("fine" if f.wakes == 1 else "left out", "not used by this loss")


@pytest.mark.parametrize(
    ("slope", "first", "cause"),
    [
        (nn.Tanh(), X * 1e5, "1 (Tanh) is saturated for every sample"),
        (nn.ReLU(), -X.abs(), "1 (ReLU) is off for every sample"),
    ],
)
def test_random_weights_behind_a_unit_that_a_draw_frees_are_said_to_be_left_out(
    slope: nn.Module, first: Tensor, cause: str
) -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), slope, nn.Linear(8, 3))
    if isinstance(slope, nn.ReLU):
        model[0].weight.data.abs_()
        nn.init.zeros_(model[0].bias)
    draws = 0

    def loss(model: Any) -> Tensor:
        nonlocal draws
        draws += 1
        torch.rand(())
        return F.cross_entropy(model(first if draws < 6 else X), Y)

    found = audit(model, loss)
    assert found.faults == ()
    assert found["0.weight"].verdict == "left out (wakes at step 6)"
    assert found["0.weight"].cause == cause


# Units that nothing reaches


def test_units_that_are_off_for_the_whole_batch_are_counted() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        model[0].bias[4:] = -50
    found = audit(model, classify)
    assert found.faults == ()
    assert found["0.weight"].verdict == "unreached (12 of 16 units)"
    assert found["0.weight"].unreached == 12


def test_the_codes_that_no_sample_draws_are_counted() -> None:
    torch.manual_seed(0)
    for started in (torch.zeros(16, 8), torch.randn(16, 8)):
        model: Any = Made(lambda s, x: s.head(x + s.codes[Y + 1]), codes=nn.Parameter(started),
                     head=nn.Linear(8, 3))  # fmt: skip
        found = audit(model, classify)
        assert found.faults == ()
        assert found["codes"].verdict == "unreached (13 of 16 units)"


def test_the_angles_that_stand_where_the_cosine_is_flat_are_counted() -> None:
    """As in RoAd-4, half of whose angles are zero under a cosine alone."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(x * torch.cat([s.angles[:4].cos(), 1 + s.angles[4:].sin()])),
        angles=nn.Parameter(torch.zeros(8)),
        head=nn.Linear(8, 3),
    )
    assert audit(model, classify)["angles"].verdict == "unreached (4 of 8 units)"


def test_numbers_that_share_one_place_in_memory_are_a_fault() -> None:
    torch.manual_seed(0)
    model: Any = Made(lambda s, x: s.head(x) @ s.w[:3, :].T, head=nn.Linear(8, 2),
                 w=nn.Parameter(torch.ones(1).expand(16, 2)))  # fmt: skip
    found = audit(model, classify)
    assert [f.name for f in found.faults] == ["w"]
    assert found["w"].verdict == "shared memory"
    classify(model).backward()
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.optim.SGD(model.parameters(), lr=0.1).step()


def test_sizes_far_from_any_use_are_said() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    nn.init.normal_(model[0].weight, std=1e-10)
    found = audit(model, classify)
    assert found.faults == ()
    assert found["0.weight"].kind == "out of scale"
    model = Made(lambda s, x: s.head(F.layer_norm(s.q, (8,), eps=1e-30) + x),
                 q=nn.Parameter(torch.randn(8) * 1e-9), head=nn.Linear(8, 3))  # fmt: skip
    assert audit(model, classify)["q"].kind == "out of scale"


@pytest.mark.parametrize(
    ("gamma", "kind"), [(1e-5, "fine"), (0.0, "zero on purpose"), (3e17, "out of scale")]
)
def test_layer_scales(gamma: float, kind: str) -> None:
    """Small or zero they are published starts; huge ones are what to_empty leaves."""
    torch.manual_seed(0)
    scaled = Made(lambda s, x: s.head(x + s.gamma * s.block(x)), block=nn.Linear(8, 8),
                  gamma=nn.Parameter(torch.full((8,), gamma)), head=nn.Linear(8, 3))  # fmt: skip
    found = audit(scaled, classify)
    assert found.faults == ()
    assert found["gamma"].kind == kind


@pytest.mark.parametrize("seed", range(3))
def test_a_zero_router_is_given_time_to_choose_others(seed: int) -> None:
    """It takes the scores of its choice by their indices, as AFMoE does."""
    torch.manual_seed(seed)

    def how(s: Any, x: Tensor) -> Tensor:
        scores = s.router(x).sigmoid()
        chosen = scores.detach().topk(2).indices
        share = torch.zeros_like(scores).scatter(1, chosen, scores.gather(1, chosen))
        experts = torch.stack([e(x) for e in s.experts], 1)
        out: Tensor = s.head(x + (share[..., None] * experts).sum(1))
        return out

    model: Any = Made(how, router=nn.Linear(8, 8, bias=False), head=nn.Linear(8, 3),
                 experts=nn.ModuleList(nn.Linear(8, 8) for _ in range(8)))  # fmt: skip
    zero(model.router.weight)
    assert audit(model, classify).faults == ()


@pytest.mark.parametrize("step", [2, 4, 9])
def test_units_that_a_choice_reaches_late_are_not_dead(step: int) -> None:
    """Half of the zero rows are chosen first, and the other half from some step on."""
    torch.manual_seed(0)
    calls = 0

    def how(s: Any, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        chosen = torch.arange(4).expand(len(x), 4) + (4 if calls == step else 0)
        out: Tensor = s.head(x + s.some(x).gather(1, chosen).repeat(1, 2))
        return out

    model: Any = Made(how, some=nn.Linear(8, 8, bias=False), head=nn.Linear(8, 3))
    zero(model.some.weight)
    found = audit(model, classify)
    assert found.faults == ()
    assert found.steps >= step


def test_the_random_rows_of_experts_that_no_token_chooses_are_counted() -> None:
    """A hash of each token chooses its expert; of four the last is for none."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(x + torch.einsum("noi,ni->no", s.experts[Y], x)),
        experts=nn.Parameter(torch.randn(4, 8, 8)), head=nn.Linear(8, 3),
    )  # fmt: skip
    found = audit(model, classify)
    assert found.faults == ()
    assert found["experts"].verdict == "unreached (8 of 32 units)"


def test_the_random_rows_that_a_last_block_leaves_out_are_counted() -> None:
    """Of the shifts for two streams, a last block uses those of one."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(x * (1 + s.shift(x).chunk(2, 1)[0])),
        shift=nn.Linear(8, 16), head=nn.Linear(8, 3),
    )  # fmt: skip
    found = audit(model, classify)
    assert found.faults == ()
    assert found["shift.weight"].verdict == "unreached (8 of 16 units)"


# Stacks of matrices


def of_each(x: Tensor, w: Tensor) -> Tensor:
    return x.expand(len(w), *x.shape)


#: How libraries multiply a batch by the matrices of all experts, each kept as (in, out).
STACKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "one by one": lambda x, w: torch.stack([x @ matrix for matrix in w]),
    "bmm": lambda x, w: torch.bmm(of_each(x, w), w),
    "baddbmm": lambda x, w: torch.baddbmm(torch.zeros(()), of_each(x, w), w),
    "broadcast": lambda x, w: x @ w,
    "einsum": lambda x, w: torch.einsum("bi,eih->ebh", x, w),
    "einsum of each": lambda x, w: torch.einsum("ebi,eih->ebh", of_each(x, w), w),
    "from the left": lambda x, w: torch.bmm(w.mT, of_each(x, w).mT).mT,
    "permuted twice": lambda x, w: torch.bmm(of_each(x, w), w.permute(0, -1, 1).permute(0, 2, 1)),
    "with axes before": lambda x, w: (x[None, None] @ w.unsqueeze(-4))[0],
}


def experts(how: str, turned: bool) -> Any:
    """Return three experts of four hidden units, and a head above all."""
    torch.manual_seed(0)
    shape = (3, 4, 8) if turned else (3, 8, 4)
    model: Any = Made(
        lambda s, x: s.head(STACKS[how](x, s.w.mT if turned else s.w).tanh().transpose(0, 1)),
        w=nn.Parameter(torch.randn(shape)), head=nn.Sequential(nn.Flatten(), nn.Linear(12, 3)),
    )  # fmt: skip
    return model


every_stack = pytest.mark.parametrize("how", STACKS)
both_ways = pytest.mark.parametrize("turned", [False, True])


@every_stack
@both_ways
def test_a_unit_of_a_stack_is_an_output_of_a_matrix(how: str, turned: bool) -> None:
    """In the second expert two units have no weight in and none out, and in the third they do."""
    model = experts(how, turned)
    with torch.no_grad():
        (model.w.mT if turned else model.w)[1, :, 2:] = 0
        model.head[1].weight[:, 6:8] = 0
    found = audit(model, classify)
    assert [f.verdict for f in found.faults] == ["dead (2 of 12 units)"]
    assert found["w"].remedy == "give its 2 units of weight zero small random numbers"


@every_stack
@both_ways
def test_equal_units_of_a_stack_are_twins(how: str, turned: bool) -> None:
    model = experts(how, turned)
    with torch.no_grad():
        columns = model.w.mT if turned else model.w
        columns[1] = columns[1, :, :1].clone()
        model.head[1].weight[:, 4:8] = model.head[1].weight[:, 4:5].clone()
    assert [f.verdict for f in audit(model, classify).faults] == ["twins (12 units act as 9)"]


def test_of_a_stack_that_is_reshaped_the_rows_are_looked_at() -> None:
    """No axis of it is that of the outputs."""
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Tensor:
        w = s.w.view(3, 4, 2, 4).transpose(1, 2).reshape(3, 8, 4)
        out: Tensor = s.head((x @ w).tanh().transpose(0, 1))
        return out

    model: Any = Made(
        how,
        w=nn.Parameter(torch.randn(3, 8, 4)), head=nn.Sequential(nn.Flatten(), nn.Linear(12, 3)),
    )  # fmt: skip
    assert audit(model, classify)["w"].units == 24


@pytest.mark.parametrize("groups", [1, 2])
def test_dead_outputs_of_a_transposed_convolution_wake_with_small_numbers(groups: int) -> None:
    """Its weight is kept as (in, out / groups), so an output is no row."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.head(s.up(x.view(32, 2, 2, 2)).tanh()),
        up=nn.ConvTranspose2d(2, 8, 2, groups=groups, bias=False),
        head=nn.Sequential(nn.Flatten(), nn.Linear(72, 3)),
    )
    with torch.no_grad():
        model.up.weight[-1 if groups == 2 else slice(None), -3:] = 0
        model.head[1].weight.view(3, 8, 9)[:, 5:] = 0
    found = audit(model, classify)
    assert [f.verdict for f in found.faults] == ["dead (3 of 8 units)"]
    assert found["up.weight"].remedy == "give its 3 units of weight zero small random numbers"


# Equal numbers inside a vector


def language(model: nn.Module) -> Tensor:
    tokens = torch.randint(100, (8, 16), generator=torch.Generator().manual_seed(0))
    out: Tensor = model(input_ids=tokens, labels=tokens).loss
    return out


def gpt2(tuned: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=1, n_embd=64, n_head=4, vocab_size=100, n_positions=32,
        bos_token_id=0, eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    return peft.get_peft_model(transformers.GPT2LMHeadModel(config), tuned)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft, about transformers
def test_the_scales_of_query_and_key_are_twins() -> None:
    """IA3 on GPT-2: a score is a product of both, so they learn alike."""
    model = gpt2(peft.IA3Config(target_modules=["c_attn"], feedforward_modules=[],
                                fan_in_fan_out=True))  # fmt: skip
    (fault,) = audit(model, language).faults
    assert (fault.kind, fault.units) == ("twins", 192)
    assert fault.act_as == pytest.approx(128, abs=3)  # where terms cancel, rounding parts some
    scales = model.get_parameter(fault.name)
    optimizer = torch.optim.SGD([scales], lr=1.0)
    for _ in range(20):
        optimizer.zero_grad()
        language(model).backward()
        optimizer.step()
    query, key, value = scales.detach().flatten().chunk(3)
    torch.testing.assert_close(query, key)
    assert (query - value).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft, about transformers
@pytest.mark.parametrize("init_weights", [True, False])
def test_coefficients_of_conjugate_frequencies_are_twins(init_weights: bool) -> None:
    """FourierFT takes the real part: a frequency and its opposite, both zero, learn alike."""
    model = gpt2(peft.FourierFTConfig(target_modules=["c_attn"], n_frequency=2000,
                                      init_weights=init_weights, fan_in_fan_out=True))  # fmt: skip
    (trained,) = (f for f in audit(model, language).findings if f.kind != "frozen")
    layer = model.base_model.model.transformer.h[0].attn.c_attn
    high, wide = layer.out_features, layer.in_features
    pairs = zip(*layer.indices["default"].tolist(), strict=True)
    own = {min((r, c), (-r % high, -c % wide)) for r, c in pairs}
    assert len(own) < 1900
    assert trained.kind == ("twins" if init_weights else "fine")
    assert trained.act_as == pytest.approx(len(own) if init_weights else 2000, abs=5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("start", ["ones", "drawn"])
def test_the_factors_of_a_square_are_twins(start: str, seed: int) -> None:
    torch.manual_seed(seed)
    half = torch.ones(8) if start == "ones" else torch.rand(8) + 0.5
    model: Any = Made(
        lambda s, x: s.head(x * s.scale[:8] * s.scale[8:]),
        scale=nn.Parameter(torch.cat([half, half])), head=nn.Linear(8, 3),
    )  # fmt: skip
    (fault,) = audit(model, classify).faults
    assert (fault.name, fault.verdict) == ("scale", "twins (16 units act as 8)")
    assert fault.distinct_after == 8
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        classify(model).backward()
        optimizer.step()
    one, other = model.scale.detach().chunk(2)
    torch.testing.assert_close(one, other)


def test_twins_of_a_vector_are_seen_beside_those_of_a_matrix() -> None:
    """Gamma and beta belong to the units of a layer, and so do their twins."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.net[2](s.gamma * s.net[:2](x * s.scale[:8] * s.scale[8:]) + s.beta),
        net=tied(), scale=nn.Parameter(torch.ones(16)),
        gamma=nn.Parameter(torch.ones(16)), beta=nn.Parameter(torch.zeros(16)),
    )  # fmt: skip
    found = audit(model, classify)
    assert {f.name: f.verdict for f in found.faults} == {
        "scale": "twins (16 units act as 8)",
        "net.0.weight": "twins (16 units act as 1)",
        "net.0.bias": "twins (16 units act as 1)",
    }
    assert [found[f"net.{n}"].distinct_after for n in ("0.weight", "0.bias")] == [1, 1]


@pytest.mark.parametrize("width", [8, 64, 768, 4096])
@pytest.mark.parametrize("seed", range(3))
def test_numbers_that_start_equal_and_learn_apart_are_no_twins(width: int, seed: int) -> None:
    torch.manual_seed(seed)
    model: Any = Made(
        lambda s, x: s.b(s.gamma * s.norm(s.a(x).tanh()) + s.shift),
        a=nn.Linear(8, width), norm=nn.LayerNorm(width), b=nn.Linear(width, 3),
        gamma=nn.Parameter(torch.full((width,), 1e-4)), shift=nn.Parameter(torch.zeros(width)),
    )  # fmt: skip
    zero(model.a.bias, model.b.bias)
    found = audit(model, classify)
    assert found.faults == ()
    assert found["gamma"].act_as == found["shift"].act_as == width


def test_numbers_beside_units_that_are_nearly_equal_are_no_twins() -> None:
    """As the weights of hyper-connections, whose streams start as copies that small layers part."""
    torch.manual_seed(0)
    net = tied()
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.mul_(1 + 1e-6 * torch.randn_like(layer.weight))
    model: Any = Made(lambda s, x: s.net[2](s.gamma * s.net[:2](x)),
                      net=net, gamma=nn.Parameter(torch.ones(16)))  # fmt: skip
    assert audit(model, classify).faults == ()


@pytest.mark.parametrize("losses", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_vector_with_rounding_for_gradients_is_no_twins(losses: int, seed: int) -> None:
    """As the bias of a graph convolution, which stands between its weights and a BatchNorm."""
    torch.manual_seed(seed)
    x, y = torch.randn(losses, 32, 8), torch.randn(losses, 32, 4)
    model: Any = Made(
        lambda s, x: s.last(s.norm(s.first(x).roll(1, 0) + s.shift)),
        first=nn.Linear(8, 16, bias=False), norm=nn.BatchNorm1d(16), last=nn.Linear(16, 4),
        shift=nn.Parameter(torch.zeros(16)),
    )  # fmt: skip
    several = [lambda m, k=k: (m(x[k]) - y[k]).square().mean() for k in range(losses)]
    found = audit(model, several)
    assert found["shift"].verdict == "not used by this loss"
    assert found["shift"].act_as == 16


def test_numbers_that_other_losses_reach_are_no_twins() -> None:
    """As the scales of channels of which each batch leaves most off."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.last(s.gamma * s.first(x)),
        first=nn.Linear(8, 1024), gamma=nn.Parameter(torch.ones(1024)), last=nn.Linear(1024, 3),
    )  # fmt: skip

    def loss(k: int) -> Callable[[nn.Module], Tensor]:
        on = torch.zeros(1024).index_fill(0, torch.arange(6 * k, 6 * k + 6), 1)
        return lambda m: F.cross_entropy(m.last(on * m.gamma * m.first(X)), Y)  # type: ignore[operator]

    assert audit(model, [loss(k) for k in range(3)]).faults == ()


def test_a_table_of_which_a_batch_has_the_padding_alone_is_not_dead() -> None:
    torch.manual_seed(0)
    words, tones = nn.Embedding(9, 8), nn.Embedding(5, 8, padding_idx=0)
    model: Any = Made(lambda s, x: s.last(s.words(x) + s.tones(0 * x)),
                      words=words, tones=tones, last=nn.Linear(8, 3))  # fmt: skip
    found = audit(model, lambda m: F.cross_entropy(m(torch.arange(9)), torch.arange(9) % 3))
    assert found.faults == ()
    assert found["tones.weight"].verdict == "not used by this loss"
    assert found["tones.weight"].cause == "no sample comes to it"


@pytest.mark.parametrize("put", ["index_copy", "index_put", "cat"])
def test_a_layer_that_no_sample_comes_to_is_not_dead(put: str) -> None:
    """As the layer for a degree that no node of a batch of graphs has."""

    def forward(s: Any, x: Tensor) -> Tensor:
        places = [torch.arange(0, 1), torch.arange(1, len(x)), torch.arange(0)]
        parts = [layer(x[at]) for layer, at in zip(s.layers, places, strict=True)]
        h: Tensor = torch.cat(parts) if put == "cat" else x.new_zeros(len(x), 8)
        for at, part in zip(places, parts, strict=True) if put != "cat" else ():
            h = h.index_copy(0, at, part) if put == "index_copy" else h.index_put((at,), part)
        out: Tensor = s.last(h.tanh())
        return out

    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
    model: Any = Made(forward, layers=layers, last=nn.Linear(8, 3))
    found = audit(model, classify)
    assert found.faults == ()
    for name in ("layers.2.weight", "layers.2.bias"):
        assert found[name].verdict == "not used by this loss"
        assert found[name].cause == "no sample comes to it"


# One sentence for bad input


def ends(batches: Any) -> Callable[[nn.Module], Tensor]:
    return lambda m: F.cross_entropy(m(next(batches)), Y)


def walks(model: nn.Module) -> Tensor:
    value = classify(model)
    value.backward()
    return value


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda m: {"loss": classify(m)}, "got dict with 'loss': return the entry"),
        (lambda m: dict.fromkeys("abcdef"), "got dict with 'a', 'b', 'c', 'd', 'e': return the"),
        (lambda m: (classify(m), 1), r"got tuple of 2: return the entry that is the loss"),
        (lambda m: classify(m).item(), r"got float: return the tensor itself, without .item\(\)"),
        (lambda m: transformers.modeling_outputs.CausalLMOutput(loss=classify(m)),
         "got CausalLMOutput: return its .loss"),
        (ends(iter([X, X])), "ran out of batches at step 3: .* itertools.cycle"),
        (walks, r"the loss calls backward\(\): return its value"),
    ],
)  # fmt: skip
def test_what_is_no_loss_is_named_with_what_to_write(loss: Any, says: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=says):
        audit(nn.Linear(8, 3), loss)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((classify, nn.Linear(8, 3)), r"the model comes first, then the loss"),
        ((nn.Linear(8, 3), torch.tensor(1.0)), "got its value: write `lambda model"),
        ((nn.Linear(8, 3), 1.0), "must be a function, got float: write `lambda model"),
        ((nn.Linear(8, 3), nn.CrossEntropyLoss()), "got CrossEntropyLoss: write `lambda model"),
        ((nn.Linear(8, 3), lambda: 0), "called with the model alone .*: write `lambda model"),
        (([nn.Linear(8, 3)], classify), "must be an nn.Module, got list"),
    ],
)
def test_arguments_that_are_no_model_and_no_loss_are_named(arguments: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        audit(*arguments)


@pytest.mark.parametrize("kind", [dict, list, tuple])
@pytest.mark.parametrize(("factor", "named"), [(torch.nan, "first"), (1.0, "last")])
def test_the_first_module_that_gives_nan_is_named_also_if_it_gives_several(
    kind: type, factor: float, named: str
) -> None:
    def several(s: Any, x: Tensor) -> Any:
        parts = {0: x, 1: factor * x, 2: "no numbers"}
        return parts if kind is dict else kind(parts.values())

    def one(s: Any, parts: Any) -> Tensor:
        out: Tensor = torch.nan * (s.head(parts[0]) + parts[1][:, :3])
        return out

    last = Made(one, head=nn.Linear(8, 3))
    model: Any = Made(lambda s, x: s.last(s.first(x)), first=Made(several), last=last)
    says = rf"^the loss is nan at step 1: {named} \(Made\) is the first module to give"
    with pytest.raises(ValueError, match=says):
        audit(model, classify)


def test_the_first_module_that_gives_nan_is_named() -> None:
    torch.manual_seed(0)
    inner = parametrizations.weight_norm(nn.Linear(8, 8))
    zero(inner.parametrizations.weight.original1)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Sequential(inner, nn.Tanh()), nn.Linear(8, 3))
    says = r"the loss is nan at step 1: 1\.0\.?\S* \(\S+\) is the first module to give"
    with pytest.raises(ValueError, match=says):
        audit(model, classify)
