"""What an audit says of an optimizer: what it does to zeros, to late weights and to twins."""

import copy
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from audited import X, Y, classify
from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._optimizer import FIRST, LONG_ENOUGH, Pace, Trial, _short
from zeroinit.auditing import audit
from zeroinit.report import Audit, Remark


def late() -> Any:
    """Return a network whose last weight is zero, so that the first wakes at step 2."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3, bias=False))
    nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]
    return model


def tied() -> Any:
    """Return a network whose hidden units are all equal."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight[:1].clone())
        model[0].bias.fill_(0.1)
        model[2].weight.copy_(model[2].weight[:, :1].clone())
    return model


def made(update: Callable[[Tensor, Tensor, dict[str, Any]], Any]) -> type[Optimizer]:
    """Return a class of optimizers that add what a function of weight, gradient, state gives."""

    class Made(Optimizer):
        def __init__(self, params: Any, lr: float = 0.01) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p += group["lr"] * update(p, p.grad, self.state[p])

    return Made


def with_it(model: Any, kind: Callable[..., Optimizer], **options: Any) -> Audit:
    return audit(model, classify, optimizer=kind(model.parameters(), **options))


def remarks(found: Audit) -> dict[str, Remark]:
    return {remark.kind: remark for remark in found.remarks}


def causes(found: Audit) -> dict[str, tuple[str, str]]:
    return {f.name: (f.kind, f.cause) for f in found.faults}


ORDINARY = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "Adam": {},
    "AdamW": {"weight_decay": 0.1},
    "NAdam": {},
    "RAdam": {},
    "Adagrad": {"lr": 0.01},
    "Adamax": {},
    "RMSprop": {"lr": 0.001},
    "Rprop": {},
    "Adadelta": {},
    "ASGD": {},
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_optimizers_get_no_remark(name: str) -> None:
    kind = getattr(torch.optim, name)
    assert with_it(late(), kind, **ORDINARY[name]) == audit(late(), classify)
    assert with_it(tied(), kind, **ORDINARY[name]).remarks == ()


def test_weight_decay_is_no_part_of_the_pace() -> None:
    """It pulls the ordinary weight only, by more than the gradient moves either of them."""
    assert with_it(late(), torch.optim.SGD, lr=1e-3, weight_decay=10.0).remarks == ()
    p, pace = nn.Parameter(torch.tensor([1.0, 0.0])), Pace()
    for decay in (0.5, -0.25):  # its way along the weight counts for nothing, whatever its sign
        with torch.no_grad():
            p.copy_(torch.tensor([1.0, 0.0]))
        p.grad = torch.tensor([2.0, 2.0])
        pace.look(p)
        with torch.no_grad():
            p.sub_(decay * p + 0.125 * p.grad)
        pace.learn(p)
    assert pace.ways == pytest.approx([0.25 / math.sqrt(2)] * 2)  # across the weight, by hand


def test_adafactor_moves_zeros_slowly_at_the_pace_of_its_floor() -> None:
    model = late()
    usual = float(model[0].weight.detach().square().mean().sqrt())  # the size of an ordinary weight
    slow = remarks(with_it(model, torch.optim.Adafactor))["slow"]
    assert slow.names == ("2.weight",)
    assert slow.numbers == pytest.approx((1e-3 / usual,) * 2, rel=0.1)  # max(eps, size) × lr
    assert slow.text.startswith("Adafactor moves what is zero at 1/")


def lamb(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """The trust ratio of LAMB, which is 1 for a weight of norm 0."""
    step = gradient.sign()
    return -step * float(p.norm() / step.norm() if p.norm() and step.any() else 1.0)


def test_lamb_goes_far_and_then_stands() -> None:
    model = late()
    usual = float(model[0].weight.detach().square().mean().sqrt())
    found = remarks(with_it(model, made(lamb)))["large first step"]
    first, later = found.numbers
    assert found.names == ("2.weight",)
    assert first == pytest.approx(1 / usual, rel=0.2)
    assert later == pytest.approx(0.01 / usual, rel=0.3)  # its own first step is its size now


def test_a_multiplicative_step_never_moves_a_zero() -> None:
    found = with_it(late(), made(lambda p, g, state: -p * p.sign() * g.sign()))
    assert causes(found)["2.weight"] == ("stuck", "Made does not move what is zero")


def fixed(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Any:
    """A rate that the first gradient fixes."""
    state.setdefault("rate", gradient.norm().sign())
    return -gradient * state["rate"]


def test_a_rate_fixed_by_the_first_gradient_keeps_late_weights() -> None:
    found = causes(with_it(late(), made(fixed)))
    text = "Made does not move what has its first gradient late"
    assert found == {"0.weight": ("stuck", text), "0.bias": ("stuck", text)}


def test_an_optimizer_that_recomputes_weights_erases_those_that_wait() -> None:
    found = causes(with_it(late(), made(lambda p, g, state: -100 * p if not g.any() else -g)))
    text = "Made sets to zero what has no gradient"
    assert found == {"0.weight": ("erased", text), "0.bias": ("erased", text)}


def test_an_optimizer_that_draws_a_start_of_its_own_overwrites() -> None:
    def drawn(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Any:
        if not state:
            state["drawn"] = True
            return 100 * torch.randn_like(p) / p.numel() ** 0.5
        return -gradient

    found = with_it(late(), made(drawn))
    assert remarks(found)["overwritten"].names == ("0.weight", "0.bias")


def test_numbers_that_are_not_finite_are_named() -> None:
    found = with_it(late(), made(lambda p, g, state: -g / g.norm()))
    text = "Made brings numbers that are not finite at step 1"
    assert causes(found) == {n: ("not finite", text) for n in ("0.weight", "0.bias")}


def test_a_loss_that_is_not_finite_is_named() -> None:
    model = late()
    found = audit(
        model,
        lambda m: classify(m) / (m.get_parameter("2.weight").norm() < 1),
        optimizer=torch.optim.SGD(model.parameters(), lr=1e4),
    )
    assert {cause for _, cause in causes(found).values()} == {"with SGD the loss is inf at step 2"}


def test_weights_of_half_precision_without_a_gradient_become_nan_with_adam() -> None:
    model = late().half()
    nn.init.zeros_(model[0].bias)
    found = audit(
        model,
        lambda m: F.cross_entropy(m(X.half()).float(), Y),
        optimizer=torch.optim.Adam(model.parameters()),
    )
    assert found["0.bias"].kind == "not finite"  # its eps is zero there


def noisy(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
    return -gradient * (1 + 0.1 * torch.randn_like(p))


def test_noise_parts_twins_and_gradient_steps_do_not() -> None:
    assert "parts twins" not in remarks(with_it(tied(), torch.optim.Adam))
    parted = remarks(with_it(tied(), made(noisy)))["parts twins"]
    assert parted.names == ("0.weight",)
    assert 0.01 < parted.numbers[0] < 1
    assert "after 1 step by" in parted.text
    kinds = {f.kind for f in with_it(tied(), made(noisy)).faults}
    assert kinds == {"twins"}  # it is a fault of the start all the same


def test_what_no_group_holds_is_named_and_with_strict_a_fault() -> None:
    model = late()
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    found = audit(model, classify, optimizer=head)
    assert [f.name for f in found if f.kind == "not held"] == ["0.weight", "0.bias"]
    assert not found.faults
    strict = audit(model, classify, optimizer=head, strict=True)
    assert [f.name for f in strict.faults] == ["0.weight", "0.bias"]


def test_a_schedule_that_starts_at_rate_zero_is_no_fault_and_stays_there() -> None:
    model = late()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    before = copy.deepcopy(schedule.state_dict())
    found = audit(model, classify, optimizer=optimizer)
    assert (found.faults, found.remarks) == ((), ())
    assert schedule.state_dict() == before
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("trained", [0, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_the_optimizer_is_left_as_it_was(trained: int, fails: bool) -> None:
    model = late()
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    for _ in range(trained):
        optimizer.zero_grad()
        classify(model).backward()
        optimizer.step()
    before = copy.deepcopy((optimizer.state_dict(), model.state_dict()))
    own = {p: dict(state) for p, state in optimizer.state.items()}
    calls = []

    def loss(m: nn.Module) -> Tensor:
        calls.append(1)
        if fails and len(calls) == 6:
            raise RuntimeError("out of memory")
        return classify(m)

    try:
        audit(model, loss, optimizer=optimizer)
    except RuntimeError:
        assert fails
    assert len(calls) >= 6
    torch.testing.assert_close((optimizer.state_dict(), model.state_dict()), before, rtol=0, atol=0)
    for p, state in optimizer.state.items():
        assert all(state[key] is value for key, value in own[p].items())
    assert "step" not in vars(optimizer) or not trained


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (lambda p: torch.optim.Adam, r"must be an instance, got the class Adam: write optimizer=A"),
        (lambda p: "adam", "must be one of torch.optim, got str: give the optimizer itself"),
        (
            lambda p: torch.optim.SGD(late().parameters(), lr=0.1),
            "SGD holds no parameter of this model",
        ),
        (torch.optim.LBFGS, "LBFGS calls the loss itself, several times a step: leave the optimiz"),
        (
            torch.optim.SparseAdam,
            r"SparseAdam.step\(\) raises RuntimeError at step 1: .*: leave the optimizer out",
        ),
    ],
)
def test_bad_optimizers_are_refused_in_a_sentence(
    optimizer: Callable[[Any], Any], said: str
) -> None:
    model = late()
    with pytest.raises((TypeError, ValueError), match=said):
        audit(model, classify, optimizer=optimizer(model.parameters()))


def test_a_loss_whose_batches_end_says_what_it_can() -> None:
    model = late()
    batches = iter([(X, Y)] * 8)

    def loss(m: nn.Module) -> Tensor:
        x, y = next(batches)
        return F.cross_entropy(m(x), y)

    found = audit(model, loss, optimizer=torch.optim.Adafactor(model.parameters()))
    assert "slow" in remarks(found)


def test_the_optimizer_of_a_model_made_in_inference_mode_is_copied_with_it() -> None:
    with torch.inference_mode():
        model = late()
    optimizer = torch.optim.Adafactor(model.parameters())
    found = audit(model, classify, optimizer=optimizer)
    assert found.note.startswith("on a copy")
    assert "slow" in remarks(found)
    assert not [f for f in found if f.kind == "not held"]
    assert not optimizer.state


def test_an_optimizer_gets_the_gradients_of_each_loss_in_turn() -> None:
    model, asked = late(), []

    def loss(number: int, m: nn.Module) -> Tensor:
        asked.append(number)
        return classify(m)

    losses = [partial(loss, number) for number in range(3)]
    audit(model, losses, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    alone = asked.index(1)  # as often each loss is asked first, by itself
    assert asked[3 * alone :][:4] == [0, 1, 2, 0]


def test_noise_parts_twin_numbers_of_a_vector_and_gradient_steps_do_not() -> None:
    """The scale of a query and that of a key enter a loss as a product alone."""
    torch.manual_seed(0)
    model: Any = nn.Module()
    model.scales = nn.Parameter(torch.ones(16))
    weights = torch.randn(8, 3)

    def loss(m: Any) -> Tensor:
        return F.cross_entropy((X * m.scales[:8]) * (X * m.scales[8:]) @ weights, Y)

    for losses in (loss, [loss] * 2):
        plain = audit(model, losses, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        assert plain["scales"].verdict == "twins (16 units act as 8)"
        assert plain.remarks == ()
    noise = audit(model, loss, optimizer=made(noisy)(model.parameters()))  # type: ignore[call-arg]
    assert remarks(noise)["parts twins"].names == ("scales",)


def test_a_pace_is_how_far_steps_go_against_the_gradient_weight_decay_apart() -> None:
    p = nn.Parameter(torch.tensor([0.3, 0.0]))
    pace = Pace()
    pace.learn(p)  # no step with a gradient yet
    assert (pace.gradients, pace.ways) == ([], [])
    for size in (1e-30, 1.0, 2.0, 3.0):
        p.grad = size * torch.tensor([3.0, 4.0])
        pace.look(p)
        p.data = p.data - torch.tensor([0.03, 0.5])  # of which the first number is decay
        pace.learn(p)
        pace.learn(p)
    assert pace.ways == pytest.approx([0.5 * 4 / 5] * FIRST)
    zero = nn.Parameter(torch.zeros(2))
    zero.grad, pace = torch.tensor([3.0, 4.0]), Pace()
    pace.look(zero)
    zero.data = -torch.tensor([0.6, 0.8])
    pace.learn(zero)
    assert pace.ways == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0.0, "0"),
        (1 / 12345, "1/12,000"),
        (1 / 101, "1/100"),
        (1 / 99.6, "1/100"),
        (1 / 120, "1/120"),
        (0.05, "1/20"),
        (0.1, "0.1"),
        (0.126, "0.13"),
        (1.0, "1"),
        (9.64, "9.6"),
        (99.6, "100"),
        (12345.0, "12,000"),
        (-0.05, "-0.05"),
    ],
)
def test_a_number_is_said_with_two_digits(number: float, said: str) -> None:
    assert _short(number) == said


def test_a_ratio_is_stuck_slow_large_or_not_worth_a_word() -> None:
    def said(**ratios: list[float]) -> tuple[Any, list[Remark]]:
        named: Any = {type("Named", (), {"name": name}): r for name, r in ratios.items()}
        nothing: Any = None
        trial = Trial(torch.optim.SGD([nn.Parameter(X)]), [], nothing, nothing, nothing)
        trial.say("what is zero", named)
        return trial.faults, trial.remarks

    assert said(a=[3.0, 1.0, 0.1], b=[1.0, 1.0], c=[-1e-4, 0.5]) == ({}, [])
    assert said(a=[9e-5, -9e-5, 0.0], b=[0.2, 0.2])[0] == {
        "a": ("stuck", "SGD does not move what is zero")
    }
    assert said(a=[5.0, 9.0, 1.0], b=[3.5, 3.0]) == (
        {},
        [
            Remark(
                "large first step",
                ("a", "b"),
                "the first step of SGD with what is zero is 3.5 to 5 times the ordinary, "
                "a later one 1 to 3",
                (4.25, 2.0),
            )
        ],
    )
    text = "SGD moves what is zero at 1/10,000 to 1/20 of the ordinary pace"
    numbers: Any = pytest.approx((4.0001 / 3, 0.0502 / 3))
    assert said(a=[3.0, 1.0, 0.05], b=[1.0, -0.2], c=[1e-4, 0.0]) == (
        {},
        [Remark("slow", ("a", "b", "c"), text, numbers)],
    )
    text = "SGD moves what is zero at 1/20 of the ordinary pace"
    assert said(a=[1.0, 0.05])[1] == [Remark("slow", ("a",), text, (1.0, 0.05))]


def proportional(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """A step whose every number has the size of the weights, or a ten-thousandth."""
    return -gradient.sign() * max(float(p.square().mean().sqrt()), 1e-4)


def strict(kind: type[Optimizer]) -> type[Optimizer]:
    """Return a class that asks for every gradient."""

    class Strict(kind):  # type: ignore[misc, valid-type]
        def step(self, closure: Any = None) -> None:
            if any(p.grad is None for group in self.param_groups for p in group["params"]):
                raise ValueError("a gradient is missing")
            super().step()

    return Strict


def counted(kind: type[Optimizer]) -> tuple[type[Optimizer], list[float]]:
    """Return a class that writes down the rate of each of its steps."""
    rates: list[float] = []

    class Counted(kind):  # type: ignore[misc, valid-type]
        def step(self, closure: Any = None) -> None:
            rates.append(self.param_groups[0].get("lr"))
            super().step()

    return Counted, rates


def random_network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))


@pytest.mark.parametrize(
    ("model", "steps", "taken"),
    [
        (random_network, 1, 1),  # nothing to look at longer
        (random_network, 5, 5),
        (late, 1, 4 + FIRST),  # three gradients of what wakes at step 2, then those to compare
        (late, 3, 4 + FIRST),
        (tied, 3, LONG_ENOUGH),  # twins that do not part
        (tied, 25, 25),
    ],
)
def test_as_many_steps_are_taken_as_there_is_something_to_see(
    model: Callable[[], Any], steps: int, taken: int
) -> None:
    kind, rates = counted(torch.optim.SGD)
    network = model()
    audit(network, classify, optimizer=kind(network.parameters(), lr=0.1), steps=steps)  # type: ignore[call-arg]
    assert (len(rates), LONG_ENOUGH, FIRST) == (taken, 20, 3)


@pytest.mark.parametrize(("now", "used"), [(0.0, 0.1), (0.05, 0.05)])
def test_a_rate_of_zero_alone_is_replaced_by_that_of_the_schedule(now: float, used: float) -> None:
    model = late()
    kind, rates = counted(torch.optim.SGD)
    optimizer = kind(model.parameters(), lr=0.1)  # type: ignore[call-arg]
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: now / 0.1)
    rates.clear()
    found = audit(model, classify, optimizer=optimizer)
    assert {*rates} == {used}
    assert found.faults == ()


def test_an_optimizer_without_a_rate_is_taken_as_it_is() -> None:
    class Plain(Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        @torch.no_grad()
        def step(self) -> None:  # type: ignore[override]
            for p in self.param_groups[0]["params"]:
                p -= 0.1 * p.grad

    assert with_it(random_network(), Plain).faults == ()


def test_twins_that_do_not_move_are_not_parted() -> None:
    found = with_it(tied(), torch.optim.SGD, lr=0.0)
    assert (found.remarks, len(found.faults)) == ((), 2)


def sized(sizes: list[float]) -> Any:
    """Return linear layers of these sizes, with large biases, and a last one of zeros."""
    torch.manual_seed(0)
    layers = [nn.Linear(8, 8) for _ in sizes]
    for layer, size in zip(layers, sizes, strict=True):
        layer.weight.data *= size / layer.weight.data.square().mean().sqrt()
        nn.init.constant_(layer.bias, 10 * size)
    last = nn.Linear(8, 3)  # of which the bias is not compared
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, last)


def test_a_pace_is_that_of_a_random_weight_of_the_usual_size() -> None:
    def pace(seed: int) -> Remark:
        model = sized([0.001, 0.01, 1.0])
        torch.manual_seed(seed)  # which changes nothing
        found = with_it(model, strict(made(proportional)), lr=1e-3)
        return remarks(found)["slow"]

    slow = pace(0)
    assert slow.names == ("3.weight",)
    assert slow.numbers == pytest.approx((1e-4 / 0.01,) * 2, rel=0.2)
    assert pace(1) == slow


def test_without_a_matrix_the_usual_size_is_a_tenth() -> None:
    torch.manual_seed(0)
    model: Any = nn.Module()
    model.scales = nn.Parameter(torch.zeros(8))
    weights = torch.randn(8, 3)
    found = audit(
        model,
        lambda m: F.cross_entropy(X * m.get_parameter("scales") @ weights, Y),
        optimizer=made(proportional)(model.parameters()),  # type: ignore[call-arg]
    )
    assert remarks(found)["slow"].numbers == pytest.approx((1e-4 / 0.1,) * 2, rel=0.5)


def test_what_a_draw_left_out_is_not_late() -> None:
    model: Any = nn.ModuleDict({"first": nn.Linear(8, 3), "other": nn.Linear(8, 3)})

    def loss(m: Any) -> Tensor:
        return F.cross_entropy(m["first"](X) + m["other"](X) * (torch.rand(()) < 0.5), Y)

    seeds = (
        s
        for s in range(99)
        if (torch.manual_seed(s), (torch.rand(4) < 0.5).tolist())[1] == [False, True, True, True]
    )
    torch.manual_seed(next(seeds))
    found = audit(model, loss, optimizer=made(fixed)(model.parameters()))  # type: ignore[call-arg]
    assert found["other.weight"].verdict == "left out (wakes at step 2)"
    assert found.faults == ()


@pytest.mark.parametrize(("batches", "kinds"), [(0, []), (1, []), (2, ["slow"]), (3, ["slow"])])
def test_an_audit_of_an_optimizer_ends_with_the_batches(batches: int, kinds: list[str]) -> None:
    """Two gradients of what is zero are enough to compare; an end is not asked for more."""

    def asked(left: int, **options: Any) -> tuple[int, Audit]:
        numbers = itertools.count(1)

        def loss(m: nn.Module) -> Tensor:
            if next(numbers) > left:
                raise StopIteration
            return classify(m)

        found = audit(model, loss, **options)
        return next(numbers) - 1, found

    model = late()
    alone, _ = asked(99)
    optimizer = torch.optim.Adafactor(model.parameters())
    count, found = asked(alone + batches, optimizer=optimizer)
    assert [remark.kind for remark in found.remarks] == kinds
    assert count == alone + batches + 1


@pytest.mark.parametrize(
    ("factor", "kinds"),
    [(0.95, []), (0.8, ["overwritten"]), (0.15, ["overwritten"]), (0.08, ["erased"])],
)
def test_what_has_no_gradient_may_decay_by_a_tenth(factor: float, kinds: list[str]) -> None:
    def decaying(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        return -gradient if gradient.any() else (factor - 1) * p / 0.01

    found = with_it(late(), made(decaying))
    text = "Made changes these where they have no gradient"
    both = ("0.weight", "0.bias")
    assert [f.kind for f in found.faults] + [r.kind for r in found.remarks] == kinds * (
        1 + (factor < 0.1)
    )
    if "overwritten" in kinds:
        assert found.remarks == (Remark("overwritten", both, text),)


def test_each_parameter_without_a_gradient_is_judged_by_itself() -> None:
    def biases(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        return -100 * p if not gradient.any() and p.ndim == 1 else -gradient

    assert [*causes(with_it(late(), made(biases)))] == ["0.bias"]
    model = late()
    nn.init.zeros_(model[0].bias)  # it is zero before and after
    assert with_it(model, torch.optim.SGD, lr=0.1).remarks == ()


def test_an_optimizer_that_is_on_its_way_may_move_what_has_no_gradient() -> None:
    def rolling(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Any:
        return state.get("velocity", 0) - gradient

    model = late()
    optimizer: Any = made(rolling)(model.parameters())  # type: ignore[call-arg]
    assert "overwritten" not in remarks(audit(model, classify, optimizer=optimizer))
    for p in model.parameters():
        optimizer.state[p]["velocity"] = torch.full_like(p, 10.0)
    assert "overwritten" not in remarks(audit(model, classify, optimizer=optimizer))


def test_what_was_erased_before_numbers_were_lost_is_named_as_well() -> None:
    def update(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Any:
        state["steps"] = state.get("steps", 0) + 1
        if len(p) == 3 and state["steps"] == 2:
            return math.nan
        return -gradient if gradient.any() else -100 * p

    kinds = {name: kind for name, (kind, _) in causes(with_it(late(), made(update))).items()}
    assert kinds == {"0.weight": "erased", "0.bias": "erased", "2.weight": "not finite"}


def test_an_error_of_an_optimizer_is_told_in_a_sentence() -> None:
    def stops(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Any:
        raise OSError("no\n  way")

    said = (
        r"Made.step\(\) raises OSError at step 1: no way: leave the optimizer out, the audit then"
    )
    with pytest.raises(ValueError, match=said):
        with_it(late(), made(stops))


def test_each_tensor_is_made_where_the_model_is() -> None:
    """Without a word of a device they are made on the default one: here they have no numbers."""
    model = tied()
    nn.init.zeros_(model[2].weight)
    found = with_it(model, torch.optim.SGD)
    with torch.device("meta"):
        assert str(with_it(model, torch.optim.SGD)) == str(found)


@pytest.mark.parametrize("step", [1, 2])
def test_twins_are_parted_by_a_part_of_their_way(step: int) -> None:
    """Half of the twins go further by a tenth, from some step on."""

    def update(p: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        state["steps"] = state.get("steps", 0) + 1
        further = torch.ones(len(p), *[1] * (p.ndim - 1))
        if state["steps"] >= step and len(p) == 16:
            further[1:8:2] = 1.1
        return -further

    model = tied()
    with torch.no_grad():  # half of the units are no twins
        model[0].weight[8:].normal_()
    (parted,) = with_it(model, made(update)).remarks
    assert parted.kind == "parts twins"
    assert parted.names == ("0.weight",)
    ways = torch.tensor([step, step + 0.1] * 4)
    apart = (4 * 0.1**2) ** 0.5 / float(ways.norm())
    assert parted.numbers == pytest.approx((apart,), rel=1e-3)
    assert parted.text == (
        "Made parts these twins, out of rounding or a draw: they differ after "
        + {1: "1 step by 1/15", 2: "2 steps by 1/29"}[step]
        + " of the way they have gone"
    )
