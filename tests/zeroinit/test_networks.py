"""The lesson's network against nn.Sequential, and its activations against autograd."""

import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import NONZERO_AT_ZERO, ZERO_AT_ZERO
from torch import Generator, Tensor, nn

from zeroinit import MLP, Data, linear_layers, train
from zeroinit._checks import check_fit
from zeroinit.networks import ACTIVATIONS, FAMILIES

#: The modules of ``torch.nn`` that our activations are.
MODULES = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "tanh": nn.Tanh(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "elu": nn.ELU(),
    "identity": nn.Identity(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(),
}


@given(
    widths=st.lists(st.integers(1, 7), min_size=2, max_size=5),
    activation=st.sampled_from(sorted(MODULES)),
    bias=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
def test_the_network_is_what_pytorch_builds(
    widths: list[int], activation: str, bias: bool, seed: int
) -> None:
    modules: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for fan_in, fan_out in pairwise(widths):
            modules += [nn.Linear(fan_in, fan_out, bias=bias), MODULES[activation]]
        x = torch.randn(5, widths[0])
    expected = nn.Sequential(*modules[:-1])
    model = MLP(widths, activation, bias=bias, seed=seed)
    for p, q in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(p, q)
    torch.testing.assert_close(model(x), expected(x))


def test_a_state_dict_is_an_ordinary_one() -> None:
    names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    model, other = MLP([2, 16, 2]), MLP([2, 16, 2], seed=1)
    assert torch.equal(
        linear_layers(model)[0].weight, linear_layers(MLP([2, 16, 2], seed=0))[0].weight
    )
    assert [*model.state_dict()] == names
    other.load_state_dict(model.state_dict())
    assert all(map(torch.equal, other.parameters(), model.parameters()))
    assert sum(p.numel() for p in model.parameters()) == 2 * 16 + 16 + 16 * 2 + 2


def test_the_dtype_is_pytorchs_own_unless_it_is_given() -> None:
    assert MLP([2, 2]).layers[0].weight.dtype == torch.float32
    assert MLP([2, 2], dtype=torch.float64).layers[0].weight.dtype == torch.float64


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_recurrent_family_answers_from_its_last_state(name: str) -> None:
    model: nn.Sequential = FAMILIES[name]()  # type: ignore[assignment]
    apart, recurrent, last, head = model
    x = torch.randn(5, 8, generator=Generator().manual_seed(0))
    _, state = recurrent(apart(x))
    hidden = state[0] if name == "LSTM" else state
    assert torch.equal(last(recurrent(apart(x))), hidden[0])
    assert torch.equal(model(x), head(hidden[0]))


def test_the_tests_know_every_activation_and_its_value_at_zero() -> None:
    values = {name: float(a.function(torch.zeros(()))) for name, a in ACTIVATIONS.items()}
    assert MODULES.keys() == values.keys()
    assert {name for name, value in values.items() if value == 0} == set(ZERO_AT_ZERO)
    assert {name for name, value in values.items() if value != 0} == set(NONZERO_AT_ZERO)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_pytorchs_and_its_derivative_autograds(name: str) -> None:
    z = torch.linspace(-6, 6, 481, dtype=torch.float64).requires_grad_()
    h = ACTIVATIONS[name].function(z)
    torch.testing.assert_close(h, MODULES[name](z))
    (slope,) = torch.autograd.grad(h.sum(), z)
    torch.testing.assert_close(ACTIVATIONS[name].derivative(z.detach()), slope)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_at_zero_is_what_pytorch_takes(name: str) -> None:
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ACTIVATIONS[name].function(zero), zero)
    torch.testing.assert_close(
        ACTIVATIONS[name].derivative(zero.detach()), slope, rtol=0, atol=1e-15
    )


def test_the_linear_layers_are_found_wherever_they_stand() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    model = nn.Sequential(nn.Flatten(), nn.Sequential(first, nn.ReLU()), second)
    assert linear_layers(model) == [first, second]
    assert linear_layers(first) == [first]
    with pytest.raises(ValueError, match=r"ReLU has no nn.Linear layer: give a network that has"):
        linear_layers(nn.ReLU())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_takes_8_numbers_gives_3_logits_and_learns_from_its_own_start(
    family: str,
) -> None:
    data = Data(torch.randn(20, 8, generator=Generator().manual_seed(0)), torch.arange(20) % 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FAMILIES[family]()
    assert model(data.x).shape == (20, 3)
    assert None not in train(model, data, lr=0.1, steps=2).wakes().values()


@pytest.mark.parametrize(
    ("widths", "activation", "error", "message"),
    [
        ([2, 2], "swish", ValueError, "unknown activation 'swish': choose one of relu, leaky_relu"),
        ([2, 2], "ReLU", ValueError, "unknown activation 'ReLU': choose one of relu"),
        ([2, 2], None, ValueError, "unknown activation None: choose one of relu"),
        ([2, 0, 2], "relu", ValueError, r"at least 1, got 0 in \[2, 0, 2\]"),
        ([2, -1, 2], "relu", ValueError, r"at least 1, got -1 in \[2, -1, 2\]"),
        (2, "relu", TypeError, r"sequence of int such as \[2, 16, 2\], got 2"),
        ([2, 1.5, 2], "relu", TypeError, r"must be an int, got 1.5 in \[2, 1.5, 2\]"),
        ([2], "relu", ValueError, r"the input and the output at least, got \[2\]"),
        ([], "relu", ValueError, r"the input and the output at least, got \[\]"),
    ],
)
def test_a_network_that_cannot_be_is_refused(
    widths: list[int], activation: str, error: type[Exception], message: str
) -> None:
    state = torch.get_rng_state()
    with pytest.raises(error, match=message):
        MLP(widths, activation)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_message_lists_every_activation() -> None:
    with pytest.raises(ValueError, match=", ".join(ACTIVATIONS)):
        MLP([2, 2], "swish")


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (torch.zeros(4, 3), None, ValueError, "x has 3 columns and the network takes 2: make its"),
        (torch.zeros(2), None, ValueError, r"\(n, 2\), got shape \(2,\): reshape it"),
        (torch.zeros(4, 2).double(), None, TypeError, "float32 and x is torch.float64: convert"),
        (torch.zeros(4, 2, device="meta"), None, ValueError, "on cpu and x on meta: move one"),
        (torch.zeros(4, 2), torch.full((4,), 5), ValueError, "up to 5 .* 3 outputs: .* width 6"),
        (
            torch.zeros(4, 2),
            torch.zeros(4, 2),
            ValueError,
            "y has 2 columns .* gives 3: .* width 2",
        ),
    ],
)
def test_points_that_do_not_fit_are_refused(
    x: Tensor, y: Tensor | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_fit(MLP([2, 3]), x, y)


def test_only_dtype_and_device_are_asked_of_other_networks() -> None:
    check_fit(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), torch.zeros(4, 2, 3))
    with pytest.raises(TypeError, match="convert one with"):
        check_fit(nn.Linear(2, 2), torch.zeros(4, 2).double())


# Edges


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_of_what_is_no_number_is_autograd_s(name: str) -> None:
    z = torch.tensor([torch.nan, -1.0, 1.0, 0.0], requires_grad=True)
    (slope,) = torch.autograd.grad(ACTIVATIONS[name].function(z).sum(), z)
    found = ACTIVATIONS[name].derivative(z.detach())
    torch.testing.assert_close(found, slope, equal_nan=True)


@pytest.mark.parametrize("shape", [(2,), (5, 2, 2), (5, 2, 1), ()])
def test_points_of_another_number_of_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    says = re.escape(f"x must be points, one a row, (n, 2), got shape {shape}: reshape it")
    with pytest.raises(ValueError, match=says):
        check_fit(MLP([2, 4, 2]), torch.zeros(shape))


def test_true_is_no_width() -> None:
    with pytest.raises(TypeError, match="each width must be an int, got True"):
        MLP([True, 3, 2])


def test_a_network_of_each_family_holds_what_it_is_named_after() -> None:
    kinds = (nn.Conv1d, nn.RNNBase, nn.LayerNorm, nn.BatchNorm1d, nn.ReLU, nn.Tanh)
    holds = {
        name: [type(module).__name__ for module in make().modules() if isinstance(module, kinds)]
        for name, make in FAMILIES.items()
    }
    assert holds == {
        "convolution": ["Conv1d", "ReLU"],
        "RNN": ["RNN"],
        "LSTM": ["LSTM"],
        "GRU": ["GRU"],
        "LayerNorm": ["LayerNorm", "Tanh"],
        "BatchNorm": ["BatchNorm1d", "ReLU"],
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_each_family_is_a_nonlinear_function_of_one_point(name: str) -> None:
    model, x = FAMILIES[name]().eval(), torch.randn(5, 8, generator=Generator().manual_seed(0))
    alone = torch.cat([model(point) for point in x.split(1)])
    torch.testing.assert_close(model(x), alone)
    zero = model(torch.zeros(1, 8))
    assert not torch.allclose(model(2 * x) - zero, 2 * (model(x) - zero), atol=1e-3)
