"""The options of an audit: several losses, names to ignore, how strict it is; also in a command."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from audited import X, Y, classify
from torch import Tensor, nn

from zeroinit._options import judged
from zeroinit.auditing import assert_trainable, audit
from zeroinit.command import main
from zeroinit.report import Audit, Finding


def dead() -> Any:
    """Return a network of which the first layer can never move."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    nn.init.zeros_(model[0].weight)  # type: ignore[arg-type]
    nn.init.constant_(model[0].bias, -1)  # type: ignore[arg-type]
    return model


class Branches(nn.Module):
    """Two branches; the sign of the first feature of a batch says which one it takes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.plus, self.minus = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        one = (x[:, :1] > 0).float()
        return one * self.plus(x) + (1 - one) * self.minus(x)


def on(x: Tensor) -> Any:
    return lambda model: F.cross_entropy(model(x), Y[: len(x)])


def kinds(found: Audit) -> dict[str, str]:
    return {f.name: f.kind for f in found}


def test_a_verdict_is_what_all_losses_agree_on() -> None:
    model, up, down = Branches(), on(X.abs()), on(-X.abs())
    assert {f.name for f in audit(model, up).faults} == {"minus.weight", "minus.bias"}
    found = audit(model, [up, down])
    assert not found.faults
    assert {f.wakes for f in found} == {1}
    remarks = {remark.names: (remark.kind, remark.text) for remark in found.remarks}
    assert remarks == {
        ("plus.weight", "plus.bias", "minus.weight", "minus.bias"): (
            "some losses",
            "dead with 1 of 2 losses",
        )
    }
    assert {f.name for f in audit(model, (up, up)).faults} == {"minus.weight", "minus.bias"}


def test_twins_that_one_loss_parts_are_none() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Tanh(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.3, 0.2], [0.3, 0.2]]))
        model[2].weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 0.5], [0.2, 0.3]])

    def weighed(weights: list[float]) -> Any:
        return lambda m: (m(x).sin() @ torch.tensor(weights)).square().mean()

    alike, apart = weighed([1.0, 1.0]), weighed([1.0, 2.0])
    nn.init.zeros_(model[2].bias)
    assert audit(model, alike)["0.weight"].kind == audit(model, [alike] * 2)["0.weight"].kind
    assert audit(model, apart)["0.weight"].kind == "fine"
    found = audit(model, [alike, apart])
    assert found["0.weight"].kind == "fine"
    texts = [remark.text for remark in found.remarks if "0.weight" in remark.names]
    assert texts == ["twins with 1 of 2 losses"]


def test_the_same_loss_several_times_draws_anew() -> None:
    seen = []

    def loss(model: nn.Module) -> Tensor:
        seen.append(float(torch.rand(())))
        return classify(model)

    model = nn.Linear(8, 3)
    before = torch.get_rng_state()
    audit(model, [loss] * 3, steps=1)
    assert len(set(seen)) == len(seen) > 3
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_modules_are_what_all_losses_agree_on() -> None:
    def loss(y: Tensor) -> Any:
        return lambda m: F.cross_entropy(m.plus(X), Y) + F.cross_entropy(m.minus(X), y)

    model = Branches()
    model.minus.load_state_dict(model.plus.state_dict())
    assert set(kinds(audit(model, [loss(Y)] * 2)).values()) == {"equal modules"}
    found = audit(model, [loss(Y), loss(Y.flip(0))])
    assert not found.faults
    assert [remark.kind for remark in found.remarks] == ["equal at the start"]


def test_patterns_take_faults_away_and_say_so() -> None:
    names = ["0.weight", "0.bias", "2.weight"]
    assert [f.name for f in audit(dead(), classify).faults] == names
    assert [f.name for f in audit(dead(), classify, ignore=["0.*"]).faults] == ["2.weight"]
    found = audit(dead(), classify, ignore=["0.*", "2.w*"])
    assert not found.faults
    assert found["0.weight"].verdict == "dead, ignored"
    assert "dead, ignored  3  0.weight, 0.bias, 2.weight" in str(found)
    assert_trainable(dead(), classify, ignore=["*.weight", "0.bias"])
    assert Audit.from_dict(found.to_dict()) == found
    assert [f["fault"] for f in found.to_dict()["findings"]] == [False] * 4


def test_strict_makes_a_fault_of_what_the_loss_does_not_use() -> None:
    model: Any = nn.ModuleDict({"used": nn.Linear(8, 3), "other": nn.Linear(8, 3)})

    def loss(m: Any) -> Tensor:
        return F.cross_entropy(m["used"](X), Y)

    assert not audit(model, loss).faults
    found = audit(model, loss, strict=True)
    assert [f.name for f in found.faults] == ["other.weight", "other.bias"]
    assert "other is never called" in str(found)
    assert not audit(model, loss, strict=True, ignore=["other.*"]).faults
    with pytest.raises(AssertionError, match="2 of 4 parameters"):
        assert_trainable(model, loss, strict=True)


def test_assert_trainable_asks_the_optimizer() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    assert_trainable(model, classify, optimizer=optimizer)
    with pytest.raises(AssertionError, match=r"(?s)^2 of 4 parameters .*not held: 2\.weight"):
        assert_trainable(model, classify, optimizer=optimizer, strict=True)


def test_verdicts_that_are_no_faults_give_way_to_those_of_modules_and_of_the_optimizer() -> None:
    kinds = {name: "fine" for name in ("stuck", "loose", "held")} | {
        "dead": "dead",
        "unused": "not used by this loss",
        "frozen": "frozen",
        "list[0]": "not registered",
    }
    own = {name: nn.Parameter(torch.zeros(2)) for name in kinds}
    names = {"held": ("held", "tied")}
    findings = [
        Finding(
            name, (2,), 1, 2, 2, 2, 2, 0, kind, names.get(name, ()), cause="seen", remedy="before"
        )
        for name, kind in kinds.items()
    ]
    watched: Any = [
        SimpleNamespace(name=n, parameter=p, used=n != "unused", trained=n != "frozen")
        for n, p in own.items()
        if n != "list[0]"
    ]
    faults = {name: ("stuck", "SGD does not move it") for name in ("stuck", "dead")}

    def said(*held: str, strict: bool = False) -> dict[str, tuple[Any, ...]]:
        optimizer = torch.optim.SGD([own[name] for name in held]) if held else None
        found = judged(findings, watched, faults, optimizer, strict, {"tied"})
        return {f.name: (f.kind, f.cause, f.remedy, f.strict, f.ignored) for f in found}

    alone = {
        "stuck": ("stuck", "SGD does not move it", "", False, False),
        "loose": ("fine", "seen", "before", False, False),
        "held": ("fine", "seen", "before", False, True),
        "dead": ("dead", "seen", "before", False, False),
        "unused": ("not used by this loss", "seen", "before", False, False),
        "frozen": ("frozen", "seen", "before", False, False),
        "list[0]": ("not registered", "seen", "before", False, False),
    }
    assert said() == alone
    assert said("held") == alone | {"loose": ("not held", "", "", False, False)}
    assert said("held", strict=True) == alone | {
        "loose": ("not held", "", "", True, False),
        "unused": ("not used by this loss", "seen", "before", True, False),
        "list[0]": ("not registered", "seen", "before", True, False),
    }


def test_a_tied_parameter_is_ignored_by_each_of_its_names() -> None:
    model: Any = nn.ModuleDict({"one": nn.Linear(8, 3), "two": nn.Linear(8, 3)})
    model.two.weight = model.one.weight
    nn.init.zeros_(model.one.weight)

    def loss(m: Any) -> Any:
        return m.one(X).square().mean() + m.two(X).relu().mean()

    for pattern in ("one.weight", "two.weight"):
        assert audit(model, loss, ignore=[pattern])["two.weight"].ignored


def test_an_optimizer_meets_the_losses_in_turn_and_nothing_else_gets_a_gradient() -> None:
    outside = torch.ones((), requires_grad=True)
    asked: list[int] = []

    def loss(k: int) -> Any:
        def value(model: nn.Module) -> Tensor:
            asked.append(k)
            return classify(model) * outside

        return value

    losses, model = [loss(k) for k in range(3)], nn.Linear(8, 3)
    audit(model, losses)
    alone = len(asked)
    audit(model, losses, optimizer=torch.optim.SGD(model.parameters()), steps=4)
    assert asked[-4:] == [0, 1, 2, 0]
    assert len(asked) > 2 * alone
    assert outside.grad is None


def test_strict_does_not_mind_a_bias_that_a_norm_takes_away() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    assert not audit(model, classify, strict=True).faults


def test_bad_options_are_refused_in_a_sentence() -> None:
    model = nn.Linear(8, 3)
    for loss, options, said in [
        ([], {}, "there are no losses: give a function of the model, or a list of some"),
        ([classify, 3], {}, "the loss must be a function, got int"),
        (classify, {"ignore": "weight"}, r"a list of patterns, got 'weight': write \['weight'\]"),
        (classify, {"ignore": [1]}, r"a list of patterns, got \[1\]: write \['head.\*'\]"),
        (classify, {"ignore": None}, "a list of patterns, got None"),
        (classify, {"ignore": ["wieght"]}, "matches 'wieght': the nearest name is 'weight'"),
        (classify, {"ignore": ["5.*"]}, r"no parameter matches '5\.\*': the nearest name is '"),
    ]:
        with pytest.raises((TypeError, ValueError), match=said):
            audit(model, loss, **options)  # type: ignore[arg-type]


START = """
import torch
from torch import nn

def late():
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    nn.init.zeros_(model[2].weight)
    x = torch.randn(32, 8)
    head = torch.optim.Adafactor(model[2].parameters())
    return model, [lambda m: m(x).square().mean() + m(x).mean()] * 2, head
"""


@pytest.mark.parametrize(
    ("options", "status"), [([], 0), (["--strict"], 1), (["--strict", "--ignore", "0.*"], 0)]
)
def test_the_command_takes_the_options(
    options: list[str],
    status: int,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "starts_here.py").write_text(START)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["audit", "starts_here:late", *options]) == status
    said = capsys.readouterr().out
    assert "not held" in said
    assert "slow: Adafactor moves what is zero at 1/" in said


def test_the_command_names_a_pattern_that_matches_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "starts_here.py").write_text(START)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["audit", "starts_here:late", "--ignore", "3.*"]) == 2
    assert "no parameter matches '3.*'" in capsys.readouterr().err


def test_remarks_of_modules_of_names_and_of_the_optimizer_stand_together() -> None:
    """Two modules part, one has two names, and Adafactor moves the zeros slowly."""
    model: Any = Branches()
    model.minus.load_state_dict(model.plus.state_dict())
    model.late = nn.Linear(8, 3)
    model.alias = model.late
    nn.init.zeros_(model.late.weight)

    def loss(m: Any) -> Tensor:
        parts = (m.plus(X), Y), (m.minus(X), Y.flip(0)), (m.late(X), Y)
        return torch.stack([F.cross_entropy(x, y) for x, y in parts]).sum()

    found = audit(model, loss, optimizer=torch.optim.Adafactor(model.parameters()))
    assert [remark.kind for remark in found.remarks] == ["equal at the start", "one object", "slow"]
