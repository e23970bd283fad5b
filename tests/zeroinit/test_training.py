"""The one loop, for one network and for many seeds, against the loop of every tutorial."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from oracles import OPTIMIZERS, autograd, plain_loop
from strategies import Problem, problems
from torch import Generator, Tensor, nn
from torch.optim import LBFGS, SGD, Adafactor, Adam, Muon, Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from zeroinit import MLP, Data, Run, half_plane, train, train_many, xor, zeros_
from zeroinit.initialization import INITIALIZERS
from zeroinit.training import Loss

DATA = half_plane(32, dtype=torch.float64)
SEEDS = [3, 0, 11]


def network(activation: str = "tanh", *, bias: bool = True) -> MLP:
    """Return a small network in double precision."""
    return MLP([2, 5, 2], activation, bias=bias, dtype=torch.float64)


def started(start: str, seed: int) -> MLP:
    """Return the small network from a named start."""
    model = network()
    INITIALIZERS[start](model, Generator().manual_seed(seed))
    return model


def one_seed(run: Run, k: int) -> Run:
    """Return the run of the k-th seed of many."""
    parameters = {name: p[:, k] for name, p in run.parameters.items()}
    gradients = {name: g[:, k] for name, g in run.gradients.items()}
    return Run(run.losses[:, k], run.steps, parameters, gradients)


def assert_same_run(run: Run, other: Run) -> None:
    """Assert that two runs are equal but for rounding."""
    for field in ("losses", "steps", "parameters", "gradients"):
        torch.testing.assert_close(getattr(run, field), getattr(other, field))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(problem=problems())
def test_train_is_the_loop_of_every_tutorial(
    optimizer: Callable[..., Optimizer], problem: Problem
) -> None:
    model, data = problem
    by_hand = deepcopy(model)
    losses = plain_loop(by_hand, data, optimizer(by_hand.parameters(), lr=0.01), steps=8)
    run = train(model, data, lr=0.01, steps=8, optimizer=optimizer)
    torch.testing.assert_close(run.losses, losses)
    torch.testing.assert_close(model.state_dict(), by_hand.state_dict())


@given(problems())
def test_a_run_holds_the_parameters_before_each_step_and_their_gradients(
    problem: Problem,
) -> None:
    model, data = problem
    run = train(model, data, lr=0.1, steps=4)
    assert run.steps.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close({n: p[-1] for n, p in run.parameters.items()}, model.state_dict())
    for k in range(5):
        model.load_state_dict({name: p[k] for name, p in run.parameters.items()})
        slopes = {name: g[k] for name, g in run.gradients.items()}
        torch.testing.assert_close(slopes, autograd(model, data))


def test_train_takes_another_loss_and_any_module() -> None:
    data = Data(torch.randn(9, 3, generator=Generator().manual_seed(0)), torch.ones(9, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    by_hand = deepcopy(model)
    optimizer = SGD(by_hand.parameters(), lr=0.1, momentum=0.9)
    losses = plain_loop(by_hand, data, optimizer, steps=20, loss=F.mse_loss)
    momentum = partial(SGD, momentum=0.9)
    run = train(model, data, lr=0.1, steps=20, optimizer=momentum, loss=F.mse_loss)
    torch.testing.assert_close(run.losses, losses)


def test_training_goes_on_where_it_stopped() -> None:
    broken, whole = network(), network()
    first = train(broken, DATA, lr=0.1, steps=3)
    second = train(broken, DATA, lr=0.1, steps=4)
    losses = torch.cat([first.losses, second.losses[1:]])
    torch.testing.assert_close(train(whole, DATA, lr=0.1, steps=7).losses, losses)


def test_frozen_parameters_stay_and_are_not_in_the_run() -> None:
    model = network()
    first = model.layers[0].requires_grad_(False)
    before = deepcopy(first.state_dict())
    run = train(model, DATA, lr=0.1, steps=3)
    assert [*run.parameters] == [*run.gradients] == ["layers.1.weight", "layers.1.bias"]
    assert all(torch.equal(p, before[name]) for name, p in first.state_dict().items())


@pytest.mark.parametrize(
    ("every", "recorded"), [(1, range(11)), (4, [0, 4, 8, 10]), (10, [0, 10]), (99, [0, 10])]
)
def test_every_says_which_steps_are_recorded(every: int, recorded: Sequence[int]) -> None:
    full = train(network(), DATA, lr=0.1, steps=10)
    run = train(network(), DATA, lr=0.1, steps=10, every=every)
    assert run.steps.tolist() == list(recorded)
    parameters = {name: p[list(recorded)] for name, p in full.parameters.items()}
    gradients = {name: g[list(recorded)] for name, g in full.gradients.items()}
    assert_same_run(run, Run(full.losses, torch.tensor(recorded), parameters, gradients))


class Spare(nn.Linear):
    """A layer that holds one parameter more than it uses."""

    def __init__(self) -> None:
        super().__init__(2, 2, dtype=torch.float64)
        self.spare = nn.Parameter(torch.ones(3, dtype=torch.float64))


def test_a_parameter_without_use_has_gradient_zero_and_stays() -> None:
    alone = train(Spare(), DATA, lr=0.1, steps=3)
    many = train_many(Spare(), DATA, start="tied", seeds=SEEDS, lr=0.1, steps=3, every=1)
    for run in (alone, one_seed(many, 0)):
        assert torch.equal(run.gradients["spare"], torch.zeros(4, 3, dtype=torch.float64))
        assert run.wakes()["spare"] is None
    assert torch.equal(alone.parameters["spare"], torch.ones(4, 3, dtype=torch.float64))


def test_a_run_of_one_network_has_no_seed_to_name() -> None:
    run = train(network(), DATA, lr=0.1, steps=1)
    with pytest.raises(ValueError, match=r"^the run is of one network: leave seed out$"):
        run.network(network(), seed=0)


def test_a_run_is_frozen() -> None:
    run = train(network(), DATA, lr=0.1, steps=1)
    with pytest.raises(FrozenInstanceError):
        run.losses = torch.zeros(2)  # type: ignore[misc]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_a_parameter_wakes_at_the_step_that_first_changes_it(activation: str) -> None:
    run = train(zeros_(network(activation)), DATA, lr=0.1, steps=5)
    first: dict[str, int | None] = {}
    for name, p in run.parameters.items():
        moved = [k for k in range(1, 6) if not torch.equal(p[k], p[k - 1])]
        first[name] = min(moved, default=None)
    assert run.wakes() == first


def test_of_many_seeds_a_parameter_wakes_with_the_first() -> None:
    def start(model: nn.Module, generator: Generator) -> None:
        INITIALIZERS["default" if generator.initial_seed() else "zeros"](model, generator)

    run = train_many(network(), DATA, start=start, seeds=[0, 1], lr=0.1, steps=3, every=1)
    assert one_seed(run, 0).wakes()["layers.0.weight"] is None
    assert one_seed(run, 1).wakes()["layers.0.weight"] == 1
    assert run.wakes()["layers.0.weight"] == 1


@pytest.mark.parametrize("start", INITIALIZERS)
def test_many_seeds_train_as_each_would_alone(start: str) -> None:
    many = train_many(network(), DATA, start=start, seeds=SEEDS, lr=0.1, steps=20, every=5)
    for k, seed in enumerate(SEEDS):
        alone = train(started(start, seed), DATA, lr=0.1, steps=20, every=5)
        assert_same_run(one_seed(many, k), alone)


@pytest.mark.parametrize("optimizer", [o for o in OPTIMIZERS if o is not Adafactor])
def test_many_seeds_train_as_alone_under_every_optimizer(optimizer: type[Optimizer]) -> None:
    many = train_many(
        network(), DATA, start="default", seeds=SEEDS, lr=0.01, steps=20, optimizer=optimizer
    )
    for k, seed in enumerate(SEEDS):
        alone = train(started("default", seed), DATA, lr=0.01, steps=20, optimizer=optimizer)
        torch.testing.assert_close(many.losses[:, k], alone.losses)


@pytest.mark.parametrize(
    "register",
    [register_optimizer_step_pre_hook, register_optimizer_step_post_hook],
)
def test_hooks_of_all_optimizers_see_each_step(register: Any) -> None:
    seen: list[str] = []
    handle = register(lambda optimizer, *_: seen.append(type(optimizer).__name__))
    try:
        train(network(), DATA, lr=0.1, steps=5)
    finally:
        handle.remove()
    assert seen == ["SGD"] * 5


class Custom(Optimizer):
    """A step that each rule below makes of a weight and its gradient."""

    def __init__(
        self, params: Any, lr: float, rule: Callable[[Tensor, Tensor], Tensor] = torch.mul
    ) -> None:
        super().__init__(params, {"lr": lr, "rule": rule})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * group["rule"](p, p.grad)


MIXING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "trust ratio": lambda w, g: g * w.norm() / g.norm(),
    "clipped": lambda w, g: g / g.norm().clamp(min=1),
    "largest number": lambda w, g: g / g.abs().max(),
    "rows": lambda w, g: g / g.mean(-1, keepdim=True).mean(0, keepdim=True).abs(),
    "noise": lambda w, g: g + 0.01 * torch.randn_like(g),
}


@pytest.mark.parametrize("rule", MIXING.values(), ids=MIXING)
def test_a_step_that_mixes_the_seeds_is_refused(rule: Callable[[Tensor, Tensor], Tensor]) -> None:
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="Custom does not treat every number by itself"):
        train_many(
            network(), DATA, start="default", seeds=SEEDS, lr=0.1, steps=3,
            optimizer=partial(Custom, rule=rule),
        )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rule", [torch.mul, lambda w, g: g.sign(), lambda w, g: g.clamp(-1, 1)])
def test_a_step_of_each_number_alone_is_taken(rule: Callable[[Tensor, Tensor], Tensor]) -> None:
    how: dict[str, Any] = {"lr": 0.1, "steps": 5, "optimizer": partial(Custom, rule=rule)}
    many = train_many(network(), DATA, start="default", seeds=SEEDS, **how)
    for k, seed in enumerate(SEEDS):
        alone = train(started("default", seed), DATA, **how)
        torch.testing.assert_close(many.losses[:, k], alone.losses)


@pytest.mark.parametrize(
    ("model", "data", "optimizer", "lr"),
    [(MLP([2, 16, 2]), half_plane(), SGD, 0.1), (MLP([2, 16, 2], "tanh"), xor(), Adam, 0.01)],
    ids=["lesson", "tanh"],
)
def test_256_seeds_train_for_200_steps_as_each_would_alone(
    model: MLP, data: Data, optimizer: Callable[..., Optimizer], lr: float
) -> None:
    # All are trained together; every sixteenth, and the last, also by a loop of its own.
    seeds = range(1000, 1256)
    many = train_many(
        model, data, start="default", seeds=seeds, lr=lr, steps=200, optimizer=optimizer
    )
    for k in [*range(0, 256, 16), 255]:
        alone = MLP(model.widths, model.activation, seed=seeds[k])
        losses = plain_loop(alone, data, optimizer(alone.parameters(), lr=lr), steps=200)
        assert_within_1e_5(many.losses[:, k], losses)
        for name, p in alone.named_parameters():
            assert_within_1e_5(many.parameters[name][-1, k], p.detach())


def assert_within_1e_5(found: Tensor, expected: Tensor) -> None:
    """Assert that no number is off by more than 1e-5 of the largest."""
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


class InPlace(nn.Linear):
    """A layer that fills a tensor of its own making."""

    def forward(self, x: Tensor) -> Tensor:
        h = super().forward(x)
        out = torch.zeros_like(h)
        out += h
        out[:, 0] *= 2
        return out


class Warming(nn.Linear):
    """A layer whose answer depends on how often it was called."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.calls * super().forward(x)


def normal(model: nn.Module, generator: Generator) -> None:
    for p in model.parameters():
        nn.init.normal_(p, generator=generator)


@pytest.mark.parametrize(
    "layer",
    [
        InPlace(4, 4),
        nn.ReLU(inplace=True),
        nn.LayerNorm(4),
        nn.Softmax(1),
        nn.BatchNorm1d(4, track_running_stats=False),
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 3), nn.Flatten()),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_networks_of_other_layers_train_as_alone(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(2, 4), layer, nn.Linear(4, 2)).double()
    many = train_many(model, DATA, start=normal, seeds=SEEDS, lr=0.1, steps=20, every=5)
    for k, seed in enumerate(SEEDS):
        normal(model, Generator().manual_seed(seed))
        assert_same_run(one_seed(many, k), train(model, DATA, lr=0.1, steps=20, every=5))


@pytest.mark.parametrize(("layer", "replayed"), [(nn.Linear(2, 2), True), (Warming(2, 2), False)])
def test_only_a_step_that_repeats_itself_is_replayed(layer: nn.Linear, replayed: bool) -> None:
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    train_many(layer, half_plane(), start=normal, seeds=SEEDS, lr=0.1, steps=50)
    assert (len(calls) < 50) == replayed


@pytest.mark.parametrize(("seeds", "replayed"), [(256, True), (257, False)])
def test_only_a_few_hundred_seeds_are_replayed(seeds: int, replayed: bool) -> None:
    calls = []
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: calls.append(1))
    train_many(layer, half_plane(), start=normal, seeds=range(seeds), lr=0.1, steps=9)
    assert (len(calls) < 10) == replayed


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss()])
@pytest.mark.parametrize("many", [False, True])
def test_nothing_is_made_on_the_default_device(many: bool, loss: Loss) -> None:
    def run(model: nn.Module) -> Run:
        how: dict[str, Any] = {"lr": 0.1, "steps": 3, "loss": loss}
        if many:
            return train_many(model, DATA, start="tied", seeds=SEEDS, **how)
        return train(model, DATA, **how)

    usual, model = run(network()), network()
    with torch.device("meta"):
        elsewhere = run(model)
    assert_same_run(elsewhere, usual)


def test_each_seed_may_have_its_own_data() -> None:
    sets = [xor(16, seed=seed, dtype=torch.float64) for seed in SEEDS]
    many = train_many(network(), sets, start="default", seeds=SEEDS, lr=0.1, steps=10, every=1)
    for k, (seed, data) in enumerate(zip(SEEDS, sets, strict=True)):
        assert_same_run(one_seed(many, k), train(started("default", seed), data, lr=0.1, steps=10))


def test_many_seeds_take_another_loss() -> None:
    targets = Data(DATA.x, DATA.x)
    many = train_many(
        network(), targets, start="default", seeds=[5], lr=0.1, steps=10, loss=F.mse_loss
    )
    alone = train(started("default", 5), targets, lr=0.1, steps=10, loss=F.mse_loss)
    torch.testing.assert_close(many.losses[:, 0], alone.losses)


def test_many_seeds_take_another_loss_of_labels() -> None:
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)
    many = train_many(network(), DATA, start="default", seeds=[5], lr=0.1, steps=10, loss=smooth)
    alone = train(started("default", 5), DATA, lr=0.1, steps=10, loss=smooth)
    torch.testing.assert_close(many.losses[:, 0], alone.losses)


def test_an_optimizer_may_have_no_rate_of_its_own() -> None:
    def plain(parameters: list[Tensor], lr: float) -> SGD:
        return SGD(parameters, lr=lr)

    how: dict[str, Any] = {"start": "tied", "seeds": SEEDS, "lr": 0.1, "steps": 3}
    assert_same_run(
        train_many(network(), DATA, optimizer=plain, **how), train_many(network(), DATA, **how)
    )


def test_train_many_records_start_and_end_and_leaves_the_network_alone() -> None:
    model = network()
    before, state = deepcopy(model.state_dict()), torch.get_rng_state()
    run = train_many(model, DATA, start="tied", seeds=iter(SEEDS), lr=0.1, steps=7)
    assert run.losses.shape == (8, 3)
    assert run.steps.tolist() == [0, 7]
    assert run.parameters["layers.0.weight"].shape == (2, 3, 5, 2)
    assert run.gradients["layers.1.bias"].shape == (2, 3, 2)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def targets(scale: float) -> Data:
    """Return a regression whose curvature grows with the square of ``scale``."""
    return Data(scale * torch.eye(2), torch.ones(2, 1))


def test_a_run_that_diverges_says_so_and_keeps_what_was_measured() -> None:
    model = MLP([2, 1], "identity")
    with pytest.warns(RuntimeWarning, match=r"training diverged: .* Try a smaller lr") as caught:
        run = train(model, targets(1.0), lr=50.0, steps=500, loss=F.mse_loss, every=7)
    step = int(run.diverged)
    assert f"not finite at step {step};" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert len(run.losses) == step + 1 < 500
    assert run.losses[:step].isfinite().all()
    assert not run.losses[step].isfinite()
    assert run.steps.tolist() == sorted({*range(0, step, 7), step})
    assert all(len(p) == len(run.steps) for p in run.parameters.values())


def test_a_run_that_converges_has_not_diverged() -> None:
    assert train(network(), DATA, lr=0.1, steps=3).diverged == -1


def test_a_seed_that_diverges_does_not_disturb_the_others() -> None:
    model, sets = MLP([2, 1], "identity"), [targets(1.0), targets(9.0), targets(0.5)]
    with pytest.warns(RuntimeWarning, match="training of 1 seeds diverged: .* at step") as caught:
        many = train_many(
            model, sets, start="default", seeds=SEEDS, lr=0.5, steps=60, loss=F.mse_loss
        )
    fine, step, fine_too = many.diverged.tolist()
    assert fine == fine_too == -1
    assert len(caught) == 1
    assert f"at step {step};" in str(caught[0].message)
    assert caught[0].filename == __file__
    for k in (0, 2):
        alone = MLP([2, 1], "identity", seed=SEEDS[k])
        run = train(alone, sets[k], lr=0.5, steps=60, loss=F.mse_loss)
        torch.testing.assert_close(many.losses[:, k], run.losses)


def test_many_seeds_stop_when_all_have_diverged() -> None:
    with pytest.warns(RuntimeWarning, match="training of 2 seeds diverged"):
        many = train_many(
            MLP([2, 1], "identity"),
            targets(9.0),
            start="zeros",
            seeds=[0, 1],
            lr=0.5,
            steps=500,
            loss=F.mse_loss,
        )
    assert many.diverged.tolist() == [len(many.losses) - 1] * 2
    assert len(many.losses) < 500


NAN, INF = float("nan"), float("inf")
REGRESSION = Data(torch.ones(4, 2), torch.ones(4, 3))

#: What is asked, what is raised, and what the message says came, was expected, and helps.
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lr": 0}, ValueError, "lr must be a positive finite number, got 0: 0.1 is a good first try"),
    ({"lr": -0.1}, ValueError, "positive finite number, got -0.1: 0.1 is"),
    ({"lr": NAN}, ValueError, "positive finite number, got nan: 0.1 is"),
    ({"lr": INF}, ValueError, "positive finite number, got inf: 0.1 is"),
    ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1': 0.1 is"),
    ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    ({"steps": -3}, ValueError, "steps must be at least 1, got -3"),
    ({"steps": 2.5}, TypeError, "steps must be an int, got 2.5"),
    ({"every": 0}, ValueError, "every must be at least 1, got 0"),
    ({"every": 0.5}, TypeError, "every must be an int, got 0.5"),
    (
        {"data": half_plane(dtype=torch.float64)},
        TypeError,
        "layers.0.weight is torch.float32 and x is torch.float64: convert one with .to",
    ),
    ({"model": MLP([2, 2]).to("meta")}, ValueError, "is on meta and x on cpu: move one with .to"),
    ({"model": MLP([3, 2])}, ValueError, "x has 2 columns and the network takes 3: make its first"),
    ({"model": MLP([2, 1])}, ValueError, "labels go up to 1 and the network has 1 outputs: make"),
    ({"data": REGRESSION}, ValueError, "y has 3 columns and the network gives 2: make its last"),
    (
        {"model": MLP([2, 2]).requires_grad_(False)},
        ValueError,
        "MLP has no parameter that requires a gradient: nothing to train",
    ),
]
BAD_FOR_MANY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"start": "zero"}, ValueError, "unknown start 'zero': choose one of zeros, constant, tied"),
    ({"seeds": []}, ValueError, r"seeds is empty: give at least one, as range\(1\)"),
    (
        {"data": [half_plane()] * 3},
        ValueError,
        "3 data sets for 2 seeds: give one, or one for each",
    ),
    ({"data": []}, ValueError, "0 data sets for 2 seeds: give one, or one for each"),
    (
        {"data": [half_plane(8), half_plane(9)]},
        ValueError,
        r"must be of one size, got \[8, 9\] points",
    ),
    ({"optimizer": Adafactor}, ValueError, "Adafactor does not treat .* call train for each seed"),
    ({"optimizer": LBFGS}, ValueError, "LBFGS does not treat every number by itself"),
    (
        {"optimizer": partial(Muon, momentum=0.5), "model": MLP([2, 2], bias=False)},
        ValueError,
        "Muon does not treat every number by itself",
    ),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_train_refuses_bad_input_and_changes_nothing(
    bad: dict[str, Any], error: type[Exception], message: str
) -> None:
    call = {"model": MLP([2, 2]), "data": half_plane(), "lr": 0.1, "steps": 3} | bad
    assert_refused(train, call, error, message)


@pytest.mark.parametrize(("bad", "error", "message"), BAD + BAD_FOR_MANY)
def test_train_many_refuses_bad_input_and_changes_nothing(
    bad: dict[str, Any], error: type[Exception], message: str
) -> None:
    call = {"model": MLP([2, 2]), "data": half_plane(), "lr": 0.1, "steps": 3} | bad
    assert_refused(train_many, {"start": "zeros", "seeds": [0, 1]} | call, error, message)


def assert_refused(
    function: Any, call: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Assert that the call raises the error, and that the network is as it was."""
    before = deepcopy(call["model"])
    with pytest.raises(error, match=message):
        function(**call)
    for p, old in zip(call["model"].parameters(), before.parameters(), strict=True):
        assert p.is_meta or torch.equal(p, old)
        assert p.grad is None
        assert p.requires_grad == old.requires_grad


def test_a_bad_optimizer_says_so_itself_and_changes_nothing() -> None:
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        train(network(), DATA, lr=0.1, steps=3, optimizer=Muon)
    model = network()
    before = deepcopy(model.state_dict())
    with pytest.raises(TypeError, match="closure"):
        train(model, DATA, lr=0.1, steps=3, optimizer=LBFGS)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


# Edges


@pytest.mark.parametrize("name", ["lr", "steps", "every"])
def test_true_is_no_number(name: str) -> None:
    numbers: dict[str, Any] = {"lr": 0.1, "steps": 2, "every": 1} | {name: True}
    with pytest.raises(TypeError, match=f"{name} must be .* got True"):
        train(MLP([2, 4, 2]), half_plane(), **numbers)


class Masked(nn.Module):
    """Drops units in its own forward, without a layer for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(F.dropout(x, 0.5, self.training))
        return out


def test_many_seeds_at_once_refuse_what_draws_or_keeps_state() -> None:
    models = [
        nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 2)),
        Masked(),
    ]
    for model in models:
        many = partial(
            train_many, model, half_plane(), start="default", seeds=range(3), lr=0.1, steps=2
        )
        with pytest.raises(ValueError, match=r"draws numbers or keeps state.*: call model\.eval"):
            many()
        model.eval()
        assert many().losses.shape == (3, 3)


def test_many_train_on_soft_labels_as_one_does() -> None:
    """The targets of cross-entropy may be the probabilities of the classes."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 2, generator=draw), torch.rand(20, 3, generator=draw)
    data = Data(x, y / y.sum(1, keepdim=True))
    many = train_many(MLP([2, 4, 3]), data, start="default", seeds=[0, 5], lr=0.5, steps=10)
    one = train(MLP([2, 4, 3], seed=5), data, lr=0.5, steps=10)
    torch.testing.assert_close(many.losses[:, 1], one.losses)


def test_more_outputs_than_one_for_each_class_are_refused_for_many_as_for_one() -> None:
    """The network gives three classes by two places, and the labels are of one place."""
    model, data = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (3, 2))), half_plane()
    with pytest.raises((RuntimeError, ValueError), match="xpected target"):
        train(model, data, lr=0.1, steps=1)
    with pytest.raises((RuntimeError, ValueError), match="xpected target"):
        train_many(model, data, start="default", seeds=[0], lr=0.1, steps=1)


def test_a_run_whose_first_loss_is_nan_holds_its_start_alone() -> None:
    model = MLP([2, 3, 2])
    nn.init.constant_(next(model.parameters()), torch.nan)
    says = r"not finite at step 0; the run keeps what was measured\. Try a smaller lr\."
    with pytest.warns(RuntimeWarning, match=says):
        run = train(model, half_plane(), lr=0.1, steps=5)
    assert run.steps.tolist() == [0]
    assert run.losses.isnan().tolist() == [True]
