"""What an audit says of an optimizer: what it does to zeros, to late weights and to twins."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from audited import X, Y, classify
from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit._optimizer import Pace
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


def test_bad_optimizers_are_refused_in_a_sentence() -> None:
    model: Any = late()
    for optimizer, said in [
        (torch.optim.Adam, r"must be an instance, got the class Adam: write optimizer=Adam\("),
        ("adam", "must be one of torch.optim, got str: give the optimizer itself"),
        (torch.optim.SGD(late().parameters(), lr=0.1), "SGD holds no parameter of this model"),
        (torch.optim.LBFGS(model.parameters()), "LBFGS calls the loss itself"),
        (
            torch.optim.SparseAdam(model.parameters()),
            r"SparseAdam.step\(\) raises RuntimeError at step 1: .*: leave the optimizer out",
        ),
    ]:
        with pytest.raises((TypeError, ValueError), match=said):
            audit(model, classify, optimizer=optimizer)  # type: ignore[arg-type]


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
