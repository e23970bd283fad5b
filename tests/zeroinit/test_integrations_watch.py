"""What the callbacks share: when an audit is due, and what is logged of it."""

import logging
from typing import Any

import pytest
from audited import classify
from torch import nn
from torch.optim import SGD

from zeroinit.integrations import _watch
from zeroinit.integrations._watch import Watch
from zeroinit.report import Audit, Finding


def test_an_audit_is_due_at_the_start_and_every_so_many_steps_once() -> None:
    watch, model = Watch(3, {"steps": 7}), nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1)

    def audited(*steps: int) -> list[int]:
        due = []
        for step in steps:
            if watch.due(step):
                due.append(step)
                watch.look(step, model, classify, optimizer, tell=False)
        return due

    assert audited(0, 0, 1, 2, 3, 3, 4, 5, 6) == [0, 3, 6] == [*watch.audits]
    assert {found.steps for found in watch.audits.values()} == {7}
    watch.restart()
    assert audited(5, 5, 6, 7) == [5, 6] == [*watch.audits]  # a run that goes on
    assert audited(1) == []
    assert Watch(1, {}).due(0)


def finding(name: str, kind: str = "dead", **more: Any) -> Finding:
    """Return a finding of sixteen units."""
    base: dict[str, Any] = {"act_as": 16, "dead": 0, "unreached": 0}
    return Finding(name, (16, 2), 1, 16, 16, 16, kind=kind, **base | more)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """Return what is logged of audits that find what they are told, one after the other."""

    def logged(*audits: list[Finding], tell: bool = True) -> list[tuple[str, str]]:
        several = iter(audits)
        monkeypatch.setattr(
            _watch, "audit", lambda *arguments, **options: Audit((*next(several),), 3)
        )
        watch, model = Watch(10, {}), nn.Linear(8, 3)
        optimizer = SGD(model.parameters(), lr=0.1)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            for k, found in enumerate(audits):
                numbers = watch.look(10 * k, model, classify, optimizer, tell)
                assert numbers == {"audit/faults": float(sum(f.fault for f in found))}
        assert {record.name for record in caplog.records} <= {"zeroinit"}
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return logged


def test_the_first_audit_is_told_whole(told: Any) -> None:
    assert told([finding("a", "fine")]) == [("INFO", "step 0: No faults in 1 parameter:")]
    assert told([finding("a", dead=16)]) == [
        (
            "WARNING",
            "step 0: 1 of 1 parameter cannot train as they should:\n1. dead: a\n"
            "dead: no step gives it a gradient, so it never moves (page gradients)",
        )
    ]
    assert told([finding("a", dead=16)], [], tell=False) == []


def test_then_it_is_told_what_died_and_what_woke(told: Any) -> None:
    before = [
        finding("fine", "fine"),
        finding("new", "fine"),
        finding("more", dead=4),
        finding("unreached", dead=4, unreached=3),
        finding("twins", "twins", act_as=8),
        finding("same", dead=4),
        finding("less", dead=4),
        finding("woke", dead=1),
        finding("free", "stuck"),
        finding("bad", "fine"),
        finding("stuck", "fine"),
    ]
    after = [
        finding("fine", "fine"),
        finding("new", dead=1),
        finding("more", dead=5),
        finding("unreached", dead=4, unreached=4),
        finding("twins", "twins", act_as=7),
        finding("same", dead=4),
        finding("less", dead=3),
        finding("woke", "fine"),
        finding("free", "fine"),
        finding("bad", "not finite"),
        finding("stuck", "stuck"),
    ]
    assert told([finding("old", "fine")], before, after)[2:] == [
        (
            "WARNING",
            "step 20: died since step 10: more: dead (5 of 16 units), unreached: dead (4 of 16 "
            "units), twins: twins (16 units act as 7), new: dead (1 of 16 units), bad: not finite, "
            "stuck: stuck",
        ),
        (
            "INFO",
            "step 20: woke since step 10: less: dead (3 of 16 units), woke: fine, free: fine",
        ),
    ]
    assert told(before, before)[1:] == []


@pytest.mark.parametrize(
    ("length", "end"), [(188, f", {'b' * 188}: dead, c: dead"), (189, " and 2 more")]
)
def test_what_died_is_told_in_up_to_four_hundred_characters(
    told: Any, length: int, end: str
) -> None:
    names = "a" * 189, "b" * length, "c"
    start = [finding(name, "fine") for name in names]
    died = [finding(name, dead=16) for name in names]
    assert told(start, died)[1][1] == f"step 10: died since step 0: {names[0]}: dead{end}"


def test_an_audit_that_stops_is_told_and_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch, model = Watch(1, {"steps": 0}), nn.Linear(8, 3)
    assert watch.look(4, model, classify, SGD(model.parameters(), lr=0.1), tell=True) == {}
    assert caplog.messages == [
        "step 4: the audit stopped: ValueError: steps must be at least 1, got 0: "
        "3 is enough for most networks"
    ]
    assert (watch.audits, watch.due(4), watch.due(5)) == ({}, False, True)


@pytest.mark.parametrize("every", [0, -1, 2.0, True, "often"])
def test_every_must_be_a_number_of_steps(every: Any) -> None:
    with pytest.raises(ValueError, match="every must be an int of at least 1, got "):
        Watch(every, {})


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        (False, {}, "the trainer has none yet"),
        (False, {"optimizer": None}, None),
        (True, {"optimizer": None}, None),
        (True, {}, "ValueError: it has no step"),
    ],
)
def test_it_is_told_why_an_audit_is_without_the_optimizer(
    given: bool,
    options: dict[str, Any],
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = nn.Linear(8, 3)
    optimizer = SGD(model.parameters(), lr=0.1) if given else None

    def audit(*arguments: Any, **options: Any) -> Audit:
        assert arguments == (model, classify)
        if options.pop("optimizer") is not None:
            raise ValueError("it has no step")
        assert options == {"steps": 5}
        return Audit((finding("a", "fine"),), 5)

    monkeypatch.setattr(_watch, "audit", audit)
    with caplog.at_level(logging.INFO):
        watch = Watch(1, {"steps": 5} | options)
        assert watch.look(4, model, classify, optimizer, tell=True) == {"audit/faults": 0.0}
    said = [f"step 4: audited without the optimizer: {reason}"] if reason else []
    assert caplog.messages == [*said, "step 4: No faults in 1 parameter:"]
