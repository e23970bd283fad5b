"""Least squares and softmax regression from zero, and what a second linear layer spoils."""

from functools import reduce

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from oracles import lbfgs, plain_loop
from strategies import Problem, least_squares, problems
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.optim import SGD

from zeroinit import MLP, Data, train, train_many, xor, zeros_
from zeroinit.regression import descend, largest_rate, limit

LeastSquares = tuple[Tensor, Tensor, Tensor]


@pytest.mark.theorem("least-norm")
@given(least_squares())
def test_descent_from_zero_ends_at_the_solution_of_least_norm(case: LeastSquares) -> None:
    """Of all weights that fit best, LAPACK's gelsd gives those of least norm; so does descent."""
    x, y, start = case
    path = descend(x, y, torch.zeros_like(start), lr=0.9 * largest_rate(x), steps=400)
    least = torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(path[-1], least)
    torch.testing.assert_close(limit(x, y, torch.zeros_like(start)), least)


@pytest.mark.theorem("least-norm")
@given(least_squares())
def test_descent_from_elsewhere_ends_at_the_solution_nearest_to_its_start(
    case: LeastSquares,
) -> None:
    """X⁺y + (I − X⁺X)w₀ is w₀ and the least step that mends what w₀ leaves unexplained."""
    x, y, start = case
    path = descend(x, y, start, lr=0.9 * largest_rate(x), steps=400)
    mend = torch.linalg.lstsq(x, (y - x @ start)[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(path[-1], start + mend)
    torch.testing.assert_close(limit(x, y, start), start + mend)


@pytest.mark.theorem("convex-classifier")
@given(problems())
def test_the_loss_of_softmax_regression_is_convex(problem: Problem) -> None:
    """At every point the Hessian has no eigenvalue below 0."""
    _, data = problem
    classes, fan_in = len(data.frequencies), data.x.shape[1]

    def loss(weight: Tensor) -> Tensor:
        return F.cross_entropy(data.x @ weight.view(classes, fan_in).T, data.y)

    for scale in (0.0, 1.0, 3.0):
        weight = scale * torch.linspace(-1, 1, classes * fan_in, dtype=torch.float64)
        assert torch.linalg.eigvalsh(hessian(loss, weight)).min() > -1e-12


@pytest.mark.theorem("convex-classifier")
def test_softmax_regression_goes_to_the_same_loss_from_zero_and_from_everywhere() -> None:
    """There is one minimum, LBFGS finds it, and zero is a start like any other."""
    data = xor(64, noise=0.8, dtype=torch.float64)
    model = MLP([2, 2], dtype=torch.float64)
    least = torch.tensor(lbfgs(model, data, lr=1, iterations=50)).double()
    from_everywhere = train_many(model, data, start="default", seeds=range(20), lr=1, steps=300)
    from_zero = train(zeros_(MLP([2, 2], dtype=torch.float64)), data, lr=1, steps=300)

    torch.testing.assert_close(from_zero.losses[-1], least)
    torch.testing.assert_close(from_everywhere.losses[-1], least.expand(20))


@pytest.mark.theorem("depth-not-nonlinearity")
@given(least_squares())
def test_a_second_linear_layer_stops_what_one_layer_learns(case: LeastSquares) -> None:
    """From all-zero, w = W²W¹ never moves at all; the same w, as one layer, moves at step 1."""
    x, y, _ = case
    data, d = Data(x, y[:, None]), x.shape[1]
    one = zeros_(MLP([d, 1], "identity", bias=False, dtype=x.dtype))
    two = zeros_(MLP([d, 4, 1], "identity", bias=False, dtype=x.dtype))
    assert train(one, data, lr=0.1, steps=20, loss=F.mse_loss).wakes() == {"layers.0.weight": 1}
    train(two, data, lr=0.1, steps=20, loss=F.mse_loss)
    assert not any(weight.any() for weight in two.parameters())


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_origin_is_a_saddle_as_flat_as_the_network_is_deep(depth: int) -> None:
    """On a ray from 0 the loss leaves its level as tᴸ; one layer's sign decides if up or down."""
    generator = torch.Generator().manual_seed(depth)
    x, y, *layers = torch.randn(depth + 2, 2, 2, generator=generator, dtype=torch.float64)

    def rise(t: float, sign: int = 1) -> float:
        output = reduce(lambda h, weight: h @ (t * weight).T, layers, sign * x)
        return float(F.mse_loss(output, y) - y.square().mean())

    assert rise(0.002) / rise(0.001) == pytest.approx(2**depth, rel=0.01)
    assert rise(0.001) == pytest.approx(-rise(0.001, sign=-1), rel=0.01)


@pytest.mark.theorem("depth-not-nonlinearity")
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_hessian_at_the_origin_shows_the_saddle_for_two_layers_only(depth: int) -> None:
    """L = 2: there is an eigenvalue below 0, the saddle is strict. L > 2: the Hessian is 0."""
    generator = torch.Generator().manual_seed(depth)
    x, y = torch.randn(2, 8, 2, generator=generator, dtype=torch.float64)

    def loss(layers: Tensor) -> Tensor:
        return F.mse_loss(reduce(lambda h, weight: h @ weight.T, layers.view(-1, 2, 2), x), y)

    at_origin = hessian(loss, torch.zeros(4 * depth, dtype=torch.float64))
    if depth == 2:
        assert torch.linalg.eigvalsh(at_origin).min() < -1e-3
    else:
        assert not at_origin.any()


@given(least_squares())
def test_the_path_is_that_of_sgd_on_a_linear_layer(case: LeastSquares) -> None:
    x, y, start = case
    lr = 0.9 * largest_rate(x)
    path = descend(x, y, start, lr=lr, steps=20)
    layer = nn.Linear(x.shape[1], 1, bias=False, dtype=x.dtype)
    with torch.no_grad():
        layer.weight.copy_(start)
    data = Data(x, y[:, None])
    losses = plain_loop(layer, data, SGD(layer.parameters(), lr=lr), steps=20, loss=F.mse_loss)
    torch.testing.assert_close(path[-1], layer.weight[0].detach())
    torch.testing.assert_close((path @ x.T - y).square().mean(1), losses)
    assert torch.equal(path[0], start)


@given(least_squares())
def test_the_largest_rate_is_2_over_the_hessians_largest_eigenvalue(
    case: LeastSquares,
) -> None:
    x, y, start = case

    def loss(weight: Tensor) -> Tensor:
        return F.mse_loss(x @ weight, y)

    eigenvalues = torch.linalg.eigvalsh(hessian(loss, start))
    assert largest_rate(x) == pytest.approx(2 / float(eigenvalues.max()))


SQUARE, ONES, ZEROS = torch.eye(2), torch.ones(2), torch.zeros(2)


@pytest.mark.parametrize("lr", [0.0, -0.1, 2.0, 3.0, float("nan"), float("inf")])
def test_a_rate_out_of_bounds_is_refused(lr: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and largest_rate\(x\) = 2, got") as error:
        descend(SQUARE, ONES, ZEROS, lr=lr, steps=1)
    assert str(lr) in str(error.value)


@pytest.mark.parametrize(
    ("x", "y", "start", "error", "message"),
    [
        (ONES, ONES, ZEROS, ValueError, r"matrix \(n, d\) with n >= 1, got torch.float32 of shape"),
        (SQUARE[:0], ONES[:0], ZEROS, ValueError, r"of shape \(0, 2\)"),
        (SQUARE.long(), ONES, ZEROS, ValueError, "got torch.int64"),
        (SQUARE * torch.nan, ONES, ZEROS, ValueError, "x holds NaN or infinity: give finite"),
        (SQUARE, ONES * torch.nan, ZEROS, ValueError, "y holds NaN or infinity: give finite"),
        (SQUARE, ONES, ZEROS + torch.inf, ValueError, "start holds NaN or infinity: give finite"),
        (SQUARE, ONES[:1], ZEROS, ValueError, r"y must be \(2,\) and start \(2,\), got \(1,\)"),
        (SQUARE, ONES, ZEROS[:1], ValueError, r"got \(2,\) and \(1,\)"),
        (SQUARE, ONES.double(), ZEROS, TypeError, "share a dtype, got .*float64.*: convert them"),
        (SQUARE, ONES, ZEROS.to("meta"), ValueError, "share a device, got cpu, cpu, meta: move"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    x: Tensor, y: Tensor, start: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        descend(x, y, start, lr=0.1, steps=1)
    with pytest.raises(error, match=message):
        limit(x, y, start)


def test_a_number_of_steps_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        descend(SQUARE, ONES, ZEROS, lr=0.1, steps=0)
    with pytest.raises(TypeError, match=r"steps must be an int, got 1.5"):
        descend(SQUARE, ONES, ZEROS, lr=0.1, steps=1.5)  # type: ignore[arg-type]


def test_inputs_of_zero_have_no_largest_rate() -> None:
    with pytest.raises(ValueError, match="x is zero: the loss does not depend on the weights"):
        largest_rate(torch.zeros(3, 2))
