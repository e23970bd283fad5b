"""What ``signal`` measures is what autograd and counting say, and it leaves no trace."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from zeroinit import MLP, kaiming_normal_, linear_layers, normal_, signal, zeros_
from zeroinit.signals import LayerSignal, Signal


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def square(tensor: Tensor) -> float:
    return float(tensor.detach().double().square().mean())


def check_the_means(rows: Sequence[LayerSignal]) -> None:
    """See that measured over predicted is one in the mean, within four standard errors."""
    ups, downs = [], []
    for row in rows:
        assert row.predicted_signal
        assert row.input_error
        assert row.predicted_input_error
        ups.append(row.signal / row.predicted_signal)
        downs.append(row.input_error / row.predicted_input_error)
    for ratios in (torch.tensor(ups), torch.tensor(downs)):
        assert abs(ratios.mean() - 1) < 4 * ratios.std() / len(ratios) ** 0.5


def test_signal_and_error_are_those_of_autograd() -> None:
    model, x = kaiming_normal_(MLP([8, 32, 32, 3], "tanh")), drawn(20, 8)
    zs, hs = [], [x]
    for layer in model.layers:
        zs.append(layer(hs[-1]))
        hs.append(torch.tanh(zs[-1]))
    error = drawn(20, 3, seed=5)
    error /= error.square().mean().sqrt()
    by_z = torch.autograd.grad(zs[-1], zs, error, retain_graph=True)
    by_h = torch.autograd.grad(zs[-1], hs[1:-1], error)

    found = signal(model, x, generator=torch.Generator().manual_seed(5))
    assert [row.name for row in found] == ["layers.0", "layers.1", "layers.2"]
    assert [row.signal for row in found] == pytest.approx([square(z) for z in zs], rel=1e-5)
    assert [row.error for row in found] == pytest.approx([square(g) for g in by_z], rel=1e-5)
    below = [row.input_error for row in found]
    assert below == [None, *(pytest.approx(square(g), rel=1e-5) for g in by_h)]
    assert found[2].error == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("spread", ["normal", "uniform"])
def test_a_layer_keeps_the_law_in_the_mean_over_its_draws(spread: str) -> None:
    x, rng = drawn(16, 10), torch.Generator().manual_seed(1)
    layers = nn.ModuleList([nn.Linear(10, 6), nn.Linear(6, 5)])
    rows = []
    for _ in range(300):
        for p in layers.parameters():
            if spread == "normal":
                p.data.normal_(0, 0.5, generator=rng)
            else:
                p.data.uniform_(-0.5 * 3**0.5, 0.5 * 3**0.5, generator=rng)
        rows.append(signal(nn.Sequential(*layers), x, generator=rng)[1])
    check_the_means(rows)


def test_what_a_layer_is_expected_to_give_is_written_in_its_weights() -> None:
    x = drawn(6, 8)
    layer = nn.Linear(8, 5)
    layer.load_state_dict({"weight": torch.full((5, 8), 0.5), "bias": torch.full((5,), 2.0)})
    row = signal(nn.Sequential(layer), x)[0]
    assert row.predicted_signal == pytest.approx(8 * 0.25 * square(x) + 4)
    table = nn.Embedding(7, 5)
    row = signal(nn.Sequential(table, nn.Linear(5, 2)), torch.arange(7))[0]
    assert row.predicted_signal == pytest.approx(square(table.weight))
    assert row.signal == pytest.approx(square(table.weight))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", bias=False),
        nn.Conv2d(4, 6, 3, groups=2, padding=1, padding_mode="circular", bias=False),
        nn.Conv2d(4, 6, 2, stride=2, bias=False),
        nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False),
        nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular", bias=False),
    ],
)
def test_a_convolution_without_a_border_keeps_the_law_in_the_mean(conv: nn.Module) -> None:
    x = drawn(2, 4, 8) if isinstance(conv, nn.Conv1d) else drawn(2, 4, 8, 8)
    rng, rows = torch.Generator().manual_seed(2), []
    for _ in range(100):
        conv.weight.data.normal_(generator=rng)  # type: ignore[operator]
        rows.append(signal(nn.Sequential(nn.Sequential(Scale(), conv)), x, generator=rng)[0])
    check_the_means(rows)


class Scale(nn.Module):
    """One number, so that what follows has an input with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.size


def test_layers_that_read_one_input_add_up_below_it() -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(16, 64)
            self.queries = nn.Linear(64, 64)
            self.keys = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            h = self.first(x)
            return torch.stack([self.queries(h), self.keys(h)])

    _, queries, keys = signal(Three(), drawn(32, 16))
    assert queries.input_error == keys.input_error
    assert queries.predicted_input_error == keys.predicted_input_error
    assert queries.input_error == pytest.approx(queries.predicted_input_error, rel=0.2)


@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True)])
@pytest.mark.parametrize("norm", [False, True])
def test_units_that_are_off_are_counted(relu: nn.Module, norm: bool) -> None:
    conv = nn.Conv2d(3, 8, 3)
    norms = [nn.BatchNorm2d(8)] if norm else []
    model = nn.Sequential(conv, *norms, relu, nn.Flatten(), nn.Linear(8 * 36, 4))
    last: Any = norms[0] if norm else conv
    nn.init.constant_(last.bias[:3], -100)
    found = signal(model, drawn(5, 3, 8, 8))
    assert [row.off for row in found] == [3 / 8, None]


def test_units_are_counted_along_the_last_axis_of_a_linear_layer() -> None:
    model = MLP([4, 10, 2])
    nn.init.constant_(linear_layers(model)[0].bias, 100)
    nn.init.constant_(linear_layers(model)[0].bias[:9], -100)
    assert signal(model, drawn(5, 7, 4))[0].off == 0.9


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        (torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
        (Tensor.tanh, lambda z: 1 - torch.tanh(z) ** 2),
        (nn.Sigmoid(), lambda z: 4 * torch.sigmoid(z) * torch.sigmoid(-z)),
    ],
)
def test_saturated_outputs_are_counted(
    activation: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 50)

        def forward(self, x: Tensor) -> Tensor:
            return activation(self.layer(x))

    model, x = normal_(Net(), 3.0), drawn(40, 4)
    flat = (slope(model.layer(x)) < 0.01).double().mean()
    assert 0.1 < flat < 0.9
    assert signal(model, x)[0].saturated == pytest.approx(float(flat))


def test_an_activation_of_something_else_is_not_told_of_the_layer() -> None:
    class Gelu(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = self.layer(x)
            return z * (1 + torch.tanh(z + z**3))

    assert signal(Gelu(), drawn(6, 4))[0].saturated is None


def state(model: nn.Module) -> list[Any]:
    tensors = [*model.parameters(), *model.buffers()]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    return [[t.clone() for t in tensors], [p.grad for p in model.parameters()], hooks]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_changed(fails: bool) -> None:
    first, last = nn.Linear(4, 8), nn.Linear(8, 2)
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.Dropout(), last)
    if fails:
        nn.init.constant_(last.weight[:1], math.nan)
    first.weight.grad = torch.ones(8, 4)
    before, drawn_before = state(model), torch.get_rng_state()
    if fails:
        with pytest.raises(ValueError, match="3 is the first layer whose output is not finite"):
            signal(model, drawn(6, 4))
    else:
        signal(model, drawn(6, 4))
    after = state(model)
    for one, two in zip(before[0], after[0], strict=True):
        assert torch.equal(one.nan_to_num(9), two.nan_to_num(9))
    assert all(one is two for one, two in zip(before[1], after[1], strict=True))
    assert before[2] == after[2]
    assert torch.equal(torch.get_rng_state(), drawn_before)
    assert model.training


def test_a_layer_called_twice_has_two_rows_and_one_never_called_is_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice = nn.Linear(4, 4)
            self.never = nn.Linear(4, 4)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: Tensor) -> Any:
            x = self.twice(self.twice(x))
            return {"answer": self.attention(x, x, x)}

    found = signal(Odd(), drawn(5, 3, 4))
    assert [row.name for row in found] == ["twice", "twice", "attention"]
    assert list(found.not_called) == ["never"]
    assert str(found).endswith("not called: never")


def test_a_frozen_layer_has_no_error_and_the_others_do() -> None:
    model = MLP([4, 8, 8, 2])
    model.layers[0].requires_grad_(False)
    first, second, last = signal(model, drawn(6, 4))
    assert first.error is None
    assert second.input_error is None
    assert second.error
    assert last.input_error


def test_the_law_holds_in_gpt2() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=128, n_head=4, vocab_size=300))
    found = signal(model, torch.randint(300, (4, 32)))
    assert len(found) == 11
    assert {row.name for row in found[2:6]} == {
        f"transformer.h.0.{part}"
        for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }
    for row in found[2:-1]:
        assert row.signal == pytest.approx(row.predicted_signal, rel=0.3)
        assert row.input_error == pytest.approx(row.predicted_input_error, rel=0.35)


def test_large_numbers_and_many_numbers_are_measured_well() -> None:
    x = torch.full((4, 2), 1e25)
    layer = nn.Linear(2, 2, bias=False)
    nn.init.eye_(layer.weight)
    assert signal(layer, x)[0].signal == pytest.approx(1e50, rel=1e-6)
    many = drawn(2_000_000, 4)
    nn.init.eye_((wide := nn.Linear(4, 4, bias=False)).weight)
    assert signal(wide, many)[0].signal == pytest.approx(square(many), rel=1e-6)


def test_it_is_shown_as_a_table_and_as_a_picture() -> None:
    found = signal(zeros_(MLP([2, 4, 2])), drawn(8, 2))
    assert str(found).splitlines() == [
        "layer     signal  law  error  below  law   off  saturated",
        "layers.0       0    0      0              100%",
        "layers.1       0    0      1      0    0",
    ]
    ax = found.plot(Figure().subplots())
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [np.asarray(line.get_xdata()).tolist() for line in crosses] == [[1, 2], [2]]
    assert isinstance(found, Signal)
    own = found.plot().figure
    plt.close()
    assert own is not ax.figure


@pytest.mark.parametrize(
    ("model", "inputs", "error", "words"),
    [
        ("gpt2", [torch.zeros(2, 2)], TypeError, "model must be an nn.Module, got str"),
        (MLP([2, 2]), [], TypeError, "no input is a tensor"),
        (MLP([2, 2]), [torch.zeros(1, 2)], ValueError, "one input says nothing"),
        (MLP([2, 2]), [torch.zeros(0, 2)], ValueError, "one input says nothing"),
        (MLP([2, 2]), [torch.full((4, 2), math.nan)], ValueError, "an input is not finite"),
        (nn.ReLU(), [torch.zeros(4, 2)], ValueError, "ReLU has no layer with a weight"),
        (nn.LayerNorm(2), [torch.zeros(4, 2)], ValueError, "no layer with a weight of two"),
        (MLP([2, 2]).requires_grad_(False), [torch.zeros(4, 2)], ValueError, "unfreeze"),
    ],
)
def test_bad_input_is_refused(model: Any, inputs: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        signal(model, *inputs)


def test_a_model_that_calls_no_layer_is_refused() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.layer.weight)

    with pytest.raises(ValueError, match="Idle called none of its 1 layers"):
        signal(Idle(), drawn(4, 2))
