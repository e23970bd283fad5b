"""The backpropagation formula, the gradient at zero, and what an all-zero network does."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import OPTIMIZERS, assert_twins, autograd
from strategies import NONZERO_AT_ZERO, ZERO_AT_ZERO, Problem, problems
from torch import Tensor, nn
from torch.optim import Muon, Optimizer

from zeroinit import MLP, Data, half_plane, kaiming_normal_, linear_layers, train, zeros_
from zeroinit.backprop import forward, gradients, gradients_at_zero
from zeroinit.networks import FAMILIES

#: Every choice of zeroed layers for three and for four layers.
SUBSETS = [
    (depth, zeroed)
    for depth in (3, 4)
    for size in range(1, depth + 1)
    for zeroed in combinations(range(1, depth + 1), size)
]


@pytest.mark.theorem("backpropagation")
@given(problems())
def test_the_formula_is_the_gradient(problem: Problem) -> None:
    """δ carried back by hand gives what autograd gives, at any depth, for any activation."""
    model, data = problem
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@pytest.mark.theorem("gradient-at-zero")
@given(problems())
def test_the_gradient_at_zero_has_a_closed_form(problem: Problem) -> None:
    """σ(0)(1/C − p)1ᵀ for the last weight, 1/C − p for the last bias, exactly 0 for all else."""
    model, data = problem
    found = autograd(zeros_(model), data)
    closed_form = gradients_at_zero(model.widths, model.activation, data.frequencies)
    torch.testing.assert_close(found, closed_form)
    *others, last_weight, _ = found.values()
    assert not any(gradient.any() for gradient in others)
    assert last_weight.any() == (model.activation in NONZERO_AT_ZERO)


@pytest.mark.theorem("dead-start")
@given(problems(ZERO_AT_ZERO))
def test_an_all_zero_network_learns_its_output_bias_and_nothing_else(problem: Problem) -> None:
    """σ(0) = 0: every other gradient is exactly 0 at every step; the output is constant in x."""
    model, data = problem
    run = train(zeros_(model), data, lr=0.5, steps=20)
    *others, output_bias = run.gradients.values()
    assert not any(gradient.any() for gradient in others)
    assert output_bias[0].any()
    assert torch.equal(model(data.x), linear_layers(model)[-1].bias.expand(len(data), -1))


@pytest.mark.theorem("dead-start")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(problem=problems(ZERO_AT_ZERO))
def test_no_optimizer_revives_a_dead_network(optimizer: type[Optimizer], problem: Problem) -> None:
    """There is no gradient to divide by, to average or to remember: zero stays exactly zero."""
    model, data = problem
    train(zeros_(model), data, lr=0.01, steps=10, optimizer=optimizer)
    *others, _ = model.parameters()
    assert not any(parameter.any() for parameter in others)


@pytest.mark.theorem("dead-start")
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_dropout_does_not_revive_a_dead_network(activation: nn.Module) -> None:
    """Dropout parts twins, but of zeros it can make nothing else."""
    model = nn.Sequential(nn.Linear(2, 16), activation, nn.Dropout(0.5), nn.Linear(16, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        run = train(zeros_(model), half_plane(), lr=0.1, steps=20)
    *others, _ = run.gradients.values()
    assert not any(gradient.any() for gradient in others)


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_an_all_zero_network_thaws_a_layer_a_step_from_the_top(problem: Problem) -> None:
    """σ(0) ≠ 0: layer L moves at step 1, layer L − 1 at step 2, …, layer 1 at step L."""
    model, data = problem
    depth = len(model.layers)
    run = train(zeros_(model), data, lr=0.5, steps=depth)
    assert run.wakes() == {
        f"layers.{layer - 1}.{kind}": depth - layer + 1
        for layer in range(1, depth + 1)
        for kind in ("weight", "bias")
    }


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_until_layer_1_moves_the_output_does_not_depend_on_x(problem: Problem) -> None:
    """Before each of the first L steps the network says the same of every point."""
    model, data = problem
    zeros_(model)
    for _ in model.layers:
        # A matrix product may round its last rows otherwise than its first, by some 1e-16.
        assert model(data.x).var(0).max() < 1e-24
        train(model, data, lr=0.5, steps=1)


@pytest.mark.theorem("thaw")
@given(problems(NONZERO_AT_ZERO))
def test_what_thaws_is_twins(problem: Problem) -> None:
    """Each hidden layer wakes as one unit many times over, and stays so."""
    model, data = problem
    train(zeros_(model), data, lr=0.5, steps=30)
    assert_twins(model)
    assert all(parameter.any() for parameter in model.parameters())


@pytest.mark.theorem("balanced-labels")
@given(problems(balanced=True))
def test_exactly_balanced_labels_stop_even_the_sigmoid_network(problem: Problem) -> None:
    """1/C − p = 0 for every class: whatever the activation, not one parameter moves."""
    model, data = problem
    train(zeros_(model), data, lr=0.5, steps=20)
    # The softmax of zeros is 1/C to some 1e-16, and twenty steps add up twenty such errors.
    assert all((parameter.abs() < 1e-13).all() for parameter in model.parameters())


@pytest.mark.theorem("no-biases")
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, Muon])
@given(problem=problems(ZERO_AT_ZERO, bias=False))
def test_without_biases_not_one_parameter_moves(
    optimizer: type[Optimizer], problem: Problem
) -> None:
    """σ(0) = 0 and no bias: all stays exactly zero, under every optimizer."""
    model, data = problem
    train(zeros_(model), data, lr=0.01, steps=10, optimizer=optimizer)
    assert not any(parameter.any() for parameter in model.parameters())


@pytest.mark.theorem("two-zeros")
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize(("depth", "zeroed"), SUBSETS)
def test_which_layers_may_be_zero(depth: int, zeroed: tuple[int, ...], activation: str) -> None:
    """Two zero layers kill unless σ(0) ≠ 0; one kills only if σ′(0) = 0 and it is not the last."""
    model = kaiming_normal_(
        MLP([2, *[6] * (depth - 1), 2], activation), generator=torch.Generator().manual_seed(0)
    )
    for layer in zeroed:
        nn.init.zeros_(linear_layers(model)[layer - 1].weight)

    wakes = train(model, half_plane(), lr=0.5, steps=2 * depth).wakes()
    one_harmless = activation in ("tanh", "gelu") or zeroed == (depth,)
    alive = activation == "sigmoid" or (len(zeroed) == 1 and one_harmless)
    assert (None not in wakes.values()) == alive


@pytest.mark.theorem("two-zeros")
@given(problem=problems(ZERO_AT_ZERO), data=st.data())
def test_two_zero_layers_freeze_every_weight_up_to_the_upper_one(
    problem: Problem, data: st.DataObject
) -> None:
    """σ(0) = 0, layers a < b zero, no bias yet from a to b − 1: W¹ to Wᵇ stay, f is constant."""
    model, points = problem
    layers = linear_layers(model)
    b = data.draw(st.integers(2, len(layers)))
    a = data.draw(st.integers(1, b - 1))
    for parameter in (layers[b - 1].weight, layers[a - 1].weight):
        nn.init.zeros_(parameter)
    for layer in layers[a - 1 : b - 1]:
        nn.init.zeros_(layer.bias)
    run = train(model, points, lr=0.5, steps=20)
    assert not any(run.gradients[f"layers.{layer}.weight"].any() for layer in range(b))
    # Above layer b equal rows may be rounded apart by some 1e-16.
    assert model(points.x).var(0).max() < 1e-24


@pytest.mark.theorem("other-layers")
@pytest.mark.parametrize("family", FAMILIES)
def test_of_other_networks_too_only_the_last_bias_moves(family: str) -> None:
    """Convolution, recurrence, normalization: all-zero, every other gradient is exactly 0."""
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    model = zeros_(FAMILIES[family]())
    run = train(model, Data(x, torch.arange(20) % 3), lr=0.1, steps=20)
    *others, last_bias = run.gradients.values()
    assert not any(gradient.any() for gradient in others)
    assert last_bias.any()


@given(problems())
def test_the_formula_takes_the_kinks_as_pytorch_does(problem: Problem) -> None:
    model, data = problem
    # The first layer holds z = 0, where ReLU has its kink, and the layers above pass δ to it.
    zeros_(linear_layers(model)[0])
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@given(problems(bias=False))
def test_the_formula_goes_without_biases(problem: Problem) -> None:
    model, data = problem
    torch.testing.assert_close(gradients(model, data), autograd(model, data))


@given(problems())
def test_the_formula_leaves_no_trace(problem: Problem) -> None:
    model, data = problem
    before = [p.clone() for p in model.parameters()]
    assert not any(g.requires_grad for g in gradients(model, data).values())
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)
        assert p.grad is None


@given(problems())
def test_forward_holds_every_layer(problem: Problem) -> None:
    model, data = problem
    z, h = forward(model, data.x)
    heard: list[Tensor] = []
    for layer in linear_layers(model):
        layer.register_forward_hook(lambda layer, into, out: heard.extend([into[0], out]))
    torch.testing.assert_close(z[-1], model(data.x))
    for k, (into, out) in enumerate(zip(heard[::2], heard[1::2], strict=True)):
        torch.testing.assert_close(h[k], into)
        torch.testing.assert_close(z[k], out)
    assert len(z) == len(h) == len(heard) // 2


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        (MLP([2, 2]), half_plane(dtype=torch.float64), TypeError, "float32 and x is torch.float64"),
        (MLP([2, 2]).to("meta"), half_plane(), ValueError, "on meta and x on cpu: move one"),
        (MLP([3, 2]), half_plane(), ValueError, "2 columns and the network takes 3"),
        (MLP([2, 1]), half_plane(), ValueError, "up to 1 and the network has 1 outputs"),
        (MLP([2, 2]), Data(torch.ones(3, 2), torch.ones(3, 2)), TypeError, "labels, int64, got"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    model: MLP, data: Data, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gradients(model, data)


def test_points_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 columns and the network takes 2"):
        forward(MLP([2, 2]), torch.zeros(5, 3))
    with pytest.raises(TypeError, match=r"convert one with \.to\(dtype\)"):
        forward(MLP([2, 2]), torch.zeros(5, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("widths", "activation", "frequencies", "message"),
    [
        ([2, 2], "relu", [0.5, 0.5], r"a hidden layer, got widths \[2, 2\]"),
        ([2, 3, 2], "swish", [0.5, 0.5], "unknown activation 'swish': choose one of relu, leaky"),
        ([2, 3, 2], "relu", [1.0], r"each of the 2 outputs, got shape \(1,\)"),
        ([2, 3, 2], "relu", [60.0, 68.0], "sum to 1, got .*: give data.frequencies"),
        ([2, 3, 2], "relu", [-0.5, 1.5], "at least 0"),
    ],
)
def test_the_closed_form_refuses_what_it_is_not_for(
    widths: list[int], activation: str, frequencies: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        gradients_at_zero(widths, activation, torch.tensor(frequencies))
