"""How an optimizer moves a zero, a late weight, a weight without gradient, and twins."""

import math
from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Muon,
    Optimizer,
    RMSprop,
    Rprop,
)

from zeroinit import MLP, default_, xor, zeros_

Make = Callable[[list[nn.Parameter]], Optimizer]
Rule = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of weight, direction and last step


def normal(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def path(make: Make, start: Tensor, gradients: Iterable[Tensor]) -> Tensor:
    """The weight at its start and after each step of an optimizer."""
    weight = nn.Parameter(start.clone())
    optimizer, seen = make([weight]), [start]
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        seen.append(weight.detach().clone())
    return torch.stack(seen)


def walk(rule: Rule, start: Tensor, directions: Iterable[Tensor]) -> Tensor:
    """The weight at its start and after each step of a rule."""
    seen, step = [start], None
    for direction in directions:
        step = rule(seen[-1], direction, step)
        seen.append(seen[-1] + step)
    return torch.stack(seen)


SIXTEENTH = 2.0**-4
BLIND: dict[str, Make] = {
    "gradient descent": partial(SGD, lr=SIXTEENTH),
    "momentum": partial(SGD, lr=SIXTEENTH, momentum=0.9),
    "Adam": partial(Adam, lr=SIXTEENTH),
    "RMSprop": partial(RMSprop, lr=SIXTEENTH),
    "Adagrad": partial(Adagrad, lr=SIXTEENTH),
    "Adadelta": Adadelta,
    "Rprop": Rprop,
    "Muon": partial(Muon, lr=SIXTEENTH, weight_decay=0),
}


@pytest.mark.theorem("zero-under-optimizer")
@pytest.mark.parametrize("make", BLIND.values(), ids=BLIND)
def test_a_rule_that_does_not_look_at_the_weight_moves_a_zero_as_any_other(make: Make) -> None:
    gradients, start = normal(30, 4, 3), normal(4, 3, seed=1)
    zero = path(make, 0 * start, gradients)
    other = path(make, start, gradients)
    torch.testing.assert_close(other - start, zero, rtol=0, atol=1e-12)
    assert zero[-1].abs().max() > 0.01


@pytest.mark.theorem("zero-under-optimizer")
def test_decoupled_decay_alone_brings_two_weights_together() -> None:
    gradients, (one, two) = normal(30, 4, 3), normal(2, 4, 3, seed=1)
    decayed = partial(AdamW, lr=0.1, weight_decay=0.3)
    apart = path(decayed, one, gradients) - path(decayed, two, gradients)
    left = (1 - 0.1 * 0.3) ** torch.arange(31).double()
    torch.testing.assert_close(apart, left[:, None, None] * (one - two), rtol=1e-12, atol=1e-14)
    # Coupled decay goes into the averages: the difference is another one.
    coupled = partial(Adam, lr=0.1, weight_decay=0.3)
    other = path(coupled, one, gradients) - path(coupled, two, gradients)
    assert (other - left[:, None, None] * (one - two)).abs().max() > 0.1


def multiplied(weight: Tensor, direction: Tensor, last: Tensor | None) -> Tensor:
    """Each weight is multiplied by a factor of its own."""
    return weight * (torch.exp(-0.1 * direction) - 1)


def trust(weight: Tensor, direction: Tensor, last: Tensor | None) -> Tensor:
    """The step has a length in proportion to the weight, except at zero."""
    size = weight.norm() / direction.norm() if weight.any() else 1
    return -0.01 * size * direction


def never_zero(weight: Tensor, direction: Tensor, last: Tensor | None) -> Tensor:
    """The same in proportion for zero, too."""
    size: Tensor = weight.norm() / direction.norm()
    return -0.01 * size * direction


@pytest.mark.theorem("zero-under-optimizer")
@pytest.mark.parametrize("rule", [multiplied, never_zero])
def test_a_rule_in_proportion_keeps_a_zero_and_every_factor(rule: Rule) -> None:
    directions, start = normal(50, 5), normal(5, seed=1)
    assert not walk(rule, 0 * start, directions).any()
    one = walk(rule, start, directions)
    torch.testing.assert_close(walk(rule, 3 * start, directions), 3 * one, rtol=1e-12, atol=0)
    # A rule that looks at the weight in another way keeps no factor.
    above = walk(trust, 0 * start, directions)
    assert above[1:].any(1).all()


@pytest.mark.theorem("zero-under-optimizer")
@pytest.mark.parametrize("size", [0.002, 0.05, 0.3])
def test_above_a_floor_a_zero_needs_as_many_steps_as_the_bound(size: float) -> None:
    rate, floor = 0.01, 1e-3
    bound = 1 / rate - 1 + math.log(size / floor) / math.log(1 + rate)

    def steps(gradients: Tensor) -> int:
        seen = path(partial(Adafactor, lr=rate), torch.zeros(4, 3).double(), gradients)
        return int((seen.square().mean((1, 2)).sqrt() < size).sum())

    together = steps(torch.ones(1000, 4, 3).double())
    assert bound <= together <= bound + 2
    assert steps(normal(1, 4, 3).sign() + 0.5 * normal(1000, 4, 3)) > together
    # With a higher floor the zero is there sooner.
    high = path(
        partial(Adafactor, lr=rate, eps=(None, 1e-2)),
        torch.zeros(4, 3).double(),
        torch.ones(together, 4, 3).double(),
    )
    assert high[-1].square().mean().sqrt() > size * 1.5


@pytest.mark.theorem("zero-under-optimizer")
def test_a_trust_ratio_leaps_once_and_then_crawls() -> None:
    directions = 7 * normal(1, 5) + 0.1 * normal(300, 5)
    length = walk(trust, torch.zeros(5).double(), directions).norm(dim=1)
    first = 0.01 * directions[0].norm()
    torch.testing.assert_close(length[1], first, rtol=1e-14, atol=0)
    bound = first * 1.01 ** torch.arange(300).double()
    assert (length[1:] <= bound * (1 + 1e-12)).all()
    assert (length[1:] >= 0.9 * bound).all()  # it is nearly reached where the directions agree
    usual = walk(trust, normal(5, seed=2), directions)
    leap = length[1] / (usual[1] - usual[0]).norm()
    assert leap > 3
    assert (length[2] - length[1]) / (usual[2] - usual[1]).norm() < 0.2


LATE = 40


def late(gradients: Tensor) -> Tensor:
    return gradients * (torch.arange(len(gradients)) >= LATE)[:, None, None]


@pytest.mark.theorem("late-under-optimizer")
@pytest.mark.parametrize("name", ["gradient descent", "momentum", "Muon", "RMSprop", "Adagrad"])
def test_who_keeps_nothing_of_zeros_starts_late_as_early(name: str) -> None:
    gradients, start = normal(80, 4, 3), torch.zeros(4, 3).double()
    seen = path(BLIND[name], start, late(gradients))
    assert not seen[LATE].any()
    assert torch.equal(seen[LATE:], path(BLIND[name], start, gradients[LATE:]))
    # Who counts steps does not.
    other = path(BLIND["Adam"], start, late(gradients))
    early = path(BLIND["Adam"], start, gradients[LATE:])
    assert (other[LATE:] - early).abs().max() > 0.1


@pytest.mark.theorem("late-under-optimizer")
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.9)])
@pytest.mark.parametrize("wait", [0, 1, 10, 2000])
def test_the_first_step_of_adam_after_zeros(betas: tuple[float, float], wait: int) -> None:
    beta1, beta2 = betas
    gradients = torch.zeros(wait + 1, 1).double()
    gradients[wait] = 0.3
    tiny = partial(Adam, lr=1.0, betas=betas, eps=1e-300)
    step = -path(tiny, torch.zeros(1).double(), gradients)[-1].item()
    averages = (1 - beta1) / (1 - beta1 ** (wait + 1)), (1 - beta2) / (1 - beta2 ** (wait + 1))
    assert step == pytest.approx(averages[0] / math.sqrt(averages[1]), rel=1e-10)
    if wait == 2000:
        assert step == pytest.approx((1 - beta1) / math.sqrt(1 - beta2), rel=0.1)


@pytest.mark.theorem("late-under-optimizer")
def test_no_step_of_adam_is_longer_than_the_bound_if_beta1_squared_is_less() -> None:
    beta1, beta2 = 0.9, 0.99
    times = torch.arange(1, 201).double()
    bound = (1 - beta1) / (1 - beta1**times)
    bound = bound * ((1 - beta2**times) / ((1 - beta2) * (1 - beta1**2 / beta2))).sqrt()
    # The worst gradients for step n, by Cauchy and Schwarz; they reach the bound.
    n = 100
    worst = torch.zeros(200, 1).double()
    worst[:n, 0] = (beta1 / beta2) ** (n - times[:n])
    for gradients in (worst, normal(200, 1), late(normal(200, 1, 1))[:, 0]):
        tiny = partial(Adam, lr=1.0, betas=(beta1, beta2), eps=1e-300)
        steps = path(tiny, torch.zeros(1).double(), gradients).diff(dim=0)[:, 0].abs()
        assert (steps <= bound * (1 + 1e-9)).all()
        if gradients is worst:
            assert steps[n - 1] > 0.999 * bound[n - 1]


@pytest.mark.theorem("late-under-optimizer")
def test_steps_of_adam_have_no_bound_if_beta1_squared_is_more() -> None:
    gradients = torch.zeros(200, 1).double()
    gradients[100] = 0.3
    tiny = partial(Adam, lr=1.0, betas=(0.9, 0.5), eps=1e-300)
    steps = path(tiny, torch.zeros(1).double(), gradients).diff(dim=0)[100:, 0].abs()
    factor = 0.9 / math.sqrt(0.5)
    torch.testing.assert_close(
        steps[1:] / steps[:-1], torch.full((99,), factor).double(), rtol=1e-4, atol=0
    )


@pytest.mark.theorem("late-under-optimizer")
@pytest.mark.parametrize("wait", [1, 15, 99])
def test_sums_let_a_late_number_take_the_step_of_a_start(wait: int) -> None:
    gradients = torch.full((wait + 1, 2), 0.3).double()
    gradients[:wait, 1] = 0
    tiny = partial(Adagrad, lr=1.0, eps=1e-300)
    steps = -path(tiny, torch.zeros(2).double(), gradients).diff(dim=0)[-1]
    wanted = torch.tensor([1 / math.sqrt(wait + 1), 1], dtype=torch.float64)
    torch.testing.assert_close(steps, wanted, rtol=1e-12, atol=0)


@pytest.mark.theorem("late-under-optimizer")
@pytest.mark.parametrize("tiny", [0.0, 1e-8, 1e-3])
def test_a_limiter_holds_a_late_weight(tiny: float) -> None:
    growth = 1.01

    def limited(weight: Tensor, direction: Tensor, last: Tensor | None) -> Tensor:
        most = math.inf if last is None else growth * (last.norm().item() + tiny)
        share = min(1, most / max(float(direction.norm()), 1e-300))
        return -share * direction

    directions = late(normal(400, 4, 3)).flatten(1)
    steps = walk(limited, torch.zeros(12).double(), directions).diff(dim=0).norm(dim=1)
    times = torch.arange(1, 400 - LATE + 1).double()
    bound = tiny * growth * (growth**times - 1) / (growth - 1)
    assert (steps[LATE:] <= bound * (1 + 1e-12)).all()
    assert steps[LATE] == pytest.approx(growth * tiny, rel=1e-12)
    # A weight that is not late moves freely at step 1.
    assert walk(limited, torch.zeros(12).double(), directions[LATE:])[1].norm() > 1


@pytest.mark.theorem("late-under-optimizer")
@pytest.mark.parametrize("tiny", [1e-6, 1e-3])
def test_the_divisor_of_the_step_before_is_epsilon(tiny: float) -> None:
    weight = nn.Parameter(torch.zeros(1).double())
    adam, before = Adam([weight]), []
    for gradient in (0.0, 0.0, 0.3, 0.3):
        before.append(adam.state[weight].get("exp_avg_sq", torch.zeros(1)).item())
        weight.grad = torch.full_like(weight, gradient)
        adam.step()
    late, next_ = (math.sqrt(square) for square in before[2:])
    assert 0.3 / (late + tiny) == 0.3 / max(late, tiny) == 0.3 / tiny
    assert 20 < 0.3 / (next_ + tiny) <= 0.3 / max(next_, tiny) < 40


@pytest.mark.theorem("rest-under-optimizer")
@pytest.mark.parametrize("make", BLIND.values(), ids=BLIND)
def test_a_weight_without_gradient_rests(make: Make) -> None:
    start = normal(4, 3)
    assert torch.equal(path(make, start, torch.zeros(20, 4, 3).double())[-1], start)


@pytest.mark.theorem("rest-under-optimizer")
@pytest.mark.parametrize(
    "make", [partial(cls, lr=0.1, weight_decay=0.3) for cls in (AdamW, Muon)], ids=["AdamW", "Muon"]
)
def test_decoupled_decay_shrinks_a_weight_without_gradient_by_its_own_rate(make: Make) -> None:
    start = normal(4, 3)
    seen = path(make, start, torch.zeros(20, 4, 3).double())
    left = (1 - 0.1 * 0.3) ** torch.arange(21).double()
    torch.testing.assert_close(seen, left[:, None, None] * start, rtol=1e-13, atol=0)


@pytest.mark.theorem("rest-under-optimizer")
@pytest.mark.parametrize("cls", [Adam, RMSprop])
def test_the_path_of_coupled_decay_does_not_depend_on_the_decay(
    cls: type[Adam] | type[RMSprop],
) -> None:
    start, none = normal(4, 3), torch.zeros(30, 4, 3).double()
    weak, strong = (  # powers of two, so that both round alike
        path(partial(cls, lr=SIXTEENTH, eps=1e-300, weight_decay=decay), start, none)
        for decay in (2.0**-20, 2.0**-3)
    )
    assert torch.equal(weak, strong)
    assert (weak[-1] - start).abs().max() > 0.1
    if cls is Adam:
        torch.testing.assert_close(weak[1], start - SIXTEENTH * start.sign(), rtol=1e-14, atol=0)


@pytest.mark.theorem("rest-under-optimizer")
def test_gradient_descent_is_not_blind_to_the_scale_and_decays_by_the_decay() -> None:
    start, none = normal(4, 3), torch.zeros(30, 4, 3).double()
    for decay in (1e-6, 0.1):
        seen = path(partial(SGD, lr=0.1, weight_decay=decay), start, none)
        torch.testing.assert_close(seen[-1], (1 - 0.1 * decay) ** 30 * start, rtol=1e-13, atol=0)


@pytest.mark.theorem("rest-under-optimizer")
def test_a_rule_that_sets_the_weight_from_sums_erases_it() -> None:
    def sums(gradients: Tensor) -> Tensor:
        """FTRL with a rate of 0.1 and no other options, as its paper gives it."""
        n = gradients.square().cumsum(0)
        before = n - gradients.square()
        weight, z = normal(4, 3), torch.zeros(4, 3).double()
        seen = [weight]
        for gradient, old, new in zip(gradients, before, n, strict=True):
            z = z + gradient - (new.sqrt() - old.sqrt()) / 0.1 * weight
            weight = -z * 0.1 / (1 + new.sqrt())
            seen.append(weight)
        return torch.stack(seen)

    assert not sums(torch.zeros(5, 4, 3).double())[1:].any()
    assert sums(normal(5, 4, 3, seed=1))[1:].all()


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_what_is_erased_below_a_zero_head_wakes_if_it_is_one_layer(hidden: int) -> None:
    model = default_(MLP([2, *[4] * hidden, 2], "tanh"), generator=torch.Generator().manual_seed(0))
    *below, head = (module for module in model.modules() if isinstance(module, nn.Linear))
    weights, points = [layer.weight for layer in (*below, head)], xor(16)

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad(nn.functional.cross_entropy(model(points.x), points.y), weights)

    zeros_(head)
    *none, some = gradients()
    assert some.any()
    assert not any(gradient.any() for gradient in none)
    head.weight.data -= some
    for layer in below:
        zeros_(layer)
    assert any(gradient.any() for gradient in gradients()) == (hidden == 1)


def orthogonal(G: Tensor, rank: int) -> Tensor:
    """The product of the singular vectors to the largest singular values of a matrix."""
    U, _, Vh = torch.linalg.svd(G, full_matrices=False)
    product: Tensor = U[:, :rank] @ Vh[:rank]
    return product


def twin_rows(m: int, n: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """A gradient with rows 0 and 1 equal, and the vectors q and v of the theorem."""
    G = normal(m, rank) @ normal(rank, n, seed=1)
    G[1] = G[0]
    q = torch.zeros(m).double()
    q[0], q[1] = 0.5**0.5, -(0.5**0.5)
    v = torch.linalg.svd(G)[2][-1]
    return G, q, v


@pytest.mark.theorem("twins-under-matrices")
def test_rules_that_commute_keep_equal_rows_equal() -> None:
    G, _, _ = twin_rows(6, 5, 3)
    draw = torch.Generator().manual_seed(0)
    rows, columns = torch.randperm(6, generator=draw), torch.randperm(5, generator=draw)
    factor = orthogonal(G, 3)
    permuted = orthogonal(G[rows][:, columns], 3)
    torch.testing.assert_close(permuted, factor[rows][:, columns], rtol=0, atol=1e-12)
    for step in (factor, factor * (1 + G.norm())):
        torch.testing.assert_close(step[0], step[1], rtol=0, atol=1e-12)


@pytest.mark.theorem("twins-under-matrices")
@pytest.mark.parametrize("delta", [1e-2, 1e-6, 1e-12])
def test_the_orthogonal_factor_jumps_where_rank_is_missing(delta: float) -> None:
    G, q, v = twin_rows(6, 5, 3)
    jumped = orthogonal(G + delta * torch.outer(q, v), 4)
    wanted = orthogonal(G, 3) + torch.outer(q, v)
    torch.testing.assert_close(jumped, wanted, rtol=0, atol=1e-14 / delta)
    apart = (jumped[0] - jumped[1]).norm().item()
    assert apart == pytest.approx(math.sqrt(2), rel=1e-14 / delta)


@pytest.mark.theorem("twins-under-matrices")
@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9])
def test_the_orthogonal_factor_is_continuous_at_full_rank(delta: float) -> None:
    G, q, v = twin_rows(6, 3, 3)
    moved = orthogonal(G + delta * torch.outer(q, v), 3) - orthogonal(G, 3)
    smallest = torch.linalg.svdvals(G)[-1]
    assert moved.norm() <= 2 * delta / smallest + 1e-13
    torch.testing.assert_close(orthogonal(G, 3)[0], orthogonal(G, 3)[1], rtol=0, atol=1e-13)


@pytest.mark.theorem("twins-under-matrices")
@pytest.mark.parametrize("delta", [1e-2, 1e-5])
def test_a_polynomial_multiplies_a_small_difference_by_its_value_at_zero(delta: float) -> None:
    G, q, v = twin_rows(6, 5, 3)
    G = G / G.norm()

    def rule(G: Tensor) -> Tensor:
        A = G @ G.T
        return 3.4445 * G - 4.775 * A @ G + 2.0315 * A @ A @ G

    change = rule(G + delta * torch.outer(q, v)) - rule(G)
    slope = 3.4445 - 4.775 * delta**2 + 2.0315 * delta**4
    torch.testing.assert_close(change, delta * slope * torch.outer(q, v), rtol=0, atol=1e-14)


@pytest.mark.theorem("twins-under-matrices")
def test_muon_keeps_a_difference_of_rounding_small() -> None:
    G, q, v = twin_rows(6, 5, 3)
    muon = partial(Muon, lr=1.0, weight_decay=0, momentum=0)
    start, delta = torch.zeros(6, 5).double(), 1e-3
    # It counts in bfloat16, so the difference must be one of bfloat16.
    step = path(muon, start, (G + delta * G.norm() * torch.outer(q, v))[None])[-1]
    apart = (step[0] - step[1]).norm() / math.sqrt(2)
    assert 0 < apart < 3.4445**5 * delta * 2
    still = path(muon, start, G[None])[-1]
    assert torch.equal(still[0], still[1])


@pytest.mark.theorem("twins-under-matrices")
@pytest.mark.parametrize("sizes", [(3.0, 2.0, 1.0), (3.0, 1.0, 1.0), (3.0, 2.0, 0.0)])
@pytest.mark.parametrize("wide", [False, True])
def test_leading_vectors_keep_twins_as_long_as_their_values_are_not_zero(
    sizes: tuple[float, ...], wide: bool
) -> None:
    equal = normal(6, 3)
    equal[1] = equal[0]
    left, right = (torch.linalg.qr(A)[0] for A in (equal, normal(9 if wide else 5, 3, seed=1)))
    U = torch.linalg.svd(left * torch.tensor(sizes).double() @ right.T)[0]
    rank = sum(size > 0 for size in sizes)
    for r in range(1, rank + 1):
        torch.testing.assert_close(U[0, :r], U[1, :r], rtol=0, atol=1e-13)
    # The others are at right angles to the gradient, and one that parts the rows may be first.
    others = U[:, rank:]
    assert (others.T @ left[:, :rank]).abs().max() < 1e-13
    q = torch.tensor([1, -1, 0, 0, 0, 0]).double() / math.sqrt(2)
    torch.testing.assert_close(others @ (others.T @ q), q, rtol=0, atol=1e-13)


@pytest.mark.theorem("twins-under-matrices")
def test_a_random_subspace_parts_twins() -> None:
    G, _, _ = twin_rows(6, 5, 3)
    for seed in range(20):
        Q = normal(6, 2, seed=seed)
        rows = Q @ Q.T @ G
        assert (rows[0] - rows[1]).norm() > 1e-3
        assert not (Q @ Q.T @ (0 * G)).any()


@pytest.mark.parametrize("damping", [1e-4, 1e-8])
@pytest.mark.parametrize("delta", [1e-3, 1e-6])
def test_shampoo_multiplies_a_difference_by_at_most_one_over_the_root_of_its_damping(
    damping: float, delta: float
) -> None:
    def root(A: Tensor) -> Tensor:
        """The inverse fourth root of a matrix and its damping."""
        sizes, E = torch.linalg.eigh(A)
        product: Tensor = E * (sizes.clamp(min=0) + damping) ** -0.25 @ E.T
        return product

    G, q, v = twin_rows(6, 5, 3)
    G = G + delta * torch.outer(q, v)
    step = root(G @ G.T) @ G @ root(G.T @ G)
    wanted = math.sqrt(2) * delta / math.sqrt(damping + delta**2)
    assert (step[0] - step[1]).norm().item() == pytest.approx(wanted, rel=1e-4)
