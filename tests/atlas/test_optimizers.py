"""The table of optimizers: the rows of torch.optim live, its rules, and a run with bad luck."""

import importlib.metadata
import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from atlas import optimizers as table
from atlas.forks import Row

DATA: Row = json.loads(table.RESULT.read_text())
TORCH = [r for r in DATA["rows"] if r["library"] == "torch" and "error" not in r]


@pytest.mark.parametrize(
    "row", TORCH, ids=[f"{r['class']}{'-decay' * bool(r['options'])}" for r in TORCH]
)
def test_the_rows_of_torch_are_so(row: Row) -> None:
    if row["version"].split("+")[0] != torch.__version__.split("+")[0]:
        pytest.skip(f"measured with torch {row['version']}, here is {torch.__version__}")
    way = table.Way(getattr(torch.optim, row["class"]), row["options"])
    steps = 20 if row["mode"] == "step()" else 1
    given, along = table.gradients(steps + 1)
    start, late = table.ordinary(), given * (torch.arange(steps + 1) > 0)[:, None, None]
    whole = way.run(start, given)
    assert way.mode == row["mode"]
    for name, seen in (("zero", way.run(0 * start, given)), ("ten", way.run(10 * start, given))):
        assert table.pace(seen[:2], whole, along) == pytest.approx(
            row[f"{name}_1"], rel=1e-3, abs=1e-6
        )
    seen = way.run(start, late)[1:3]
    assert table.pace(seen, whole[1:3], along) == pytest.approx(row["late1_1"], rel=1e-3, abs=1e-6)
    rows = (table.WEIGHT * table.normal((1, 5), 3)).repeat(7, 1)
    twins = table.gradients(steps, (1, 5))[0].repeat(1, 7, 1)
    assert table.gap(way.run(rows, twins)) <= max(2 * row["twins_float32"], 1e-6)


@pytest.mark.parametrize(
    ("cls", "cause"),
    [
        (torch.optim.Adagrad, "its first steps are the same, early or late"),
        (torch.optim.RMSprop, "its first steps are the same, early or late"),
        (torch.optim.NAdam, "it remembers the steps before"),
    ],
)
def test_the_cause_of_a_late_leap_is_measured(cls: type[Any], cause: str) -> None:
    numbers = table.Numbers(table.Way(cls, {}))
    some, along = table.gradients(2 * table.LONG)
    whole = numbers.seen("ordinary", table.ordinary(), some)
    assert whole is not None
    numbers.pace_of_late(whole, some, along)
    row = next(r for r in TORCH if r["class"] == cls.__name__)
    assert row | table.shortened(numbers.numbers) == row
    assert row["kinds"] == ["late leaps"]
    assert row["causes"] == [cause]


def test_there_are_many_and_each_is_said() -> None:
    classes = {(r["library"], r["module"], r["class"]) for r in DATA["rows"] if "error" not in r}
    assert len(classes) >= 150
    for row in DATA["rows"]:
        assert row["version"] == DATA["versions"][row["library"]]
        assert row["kinds"] == table.kinds(row)
        assert row["causes"] == table.causes(row)


def test_the_list_of_the_book_says_what_was_measured() -> None:
    text = table.RESULT.with_suffix(".md").read_text()
    assert text == table.by_kind(DATA["rows"])
    lines = text.splitlines()
    adafactor = next(line for line in lines if "*torch* Adafactor;" in line)
    assert adafactor.startswith(
        "- **Moves a zero at less than a tenth of the pace** (its step is in"
    )
    assert "*torch* ASGD, Adadelta, Adam," in lines[-1]


def test_the_pins_are_those_measured() -> None:
    pins = dict(line.split("==") for line in table.PINS.read_text().split())
    measured = {name: version.split("+")[0] for name, version in DATA["versions"].items()}
    assert {name: pins[name] for name in measured} == measured


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('rank = group["rank"]', True),
        ("rank = min(group['rank'], m)", True),
        ('rank = group.get("rank")', True),
        ("if 'rank' not in group or p.dim() != 2:", True),
        ("self.rank = rank  # of this process", False),
    ],
)
def test_a_rank_is_found_in_any_spelling(
    text: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "getsource", lambda _: text)
    assert table.takes(Proportional, {"rank": 2}) == found
    assert table.takes(Proportional, {})


def test_a_run_starts_with_numbers_of_bfloat16() -> None:
    seen = table.Way(torch.optim.SGD, {}).run(table.ordinary(), table.gradients(1)[0])
    assert torch.equal(seen[0], seen[0].bfloat16().double())


def test_a_weight_that_runs_away_is_lost() -> None:
    row: Row = {"not_finite": [], "raised": {"dead": "it overflows"}, "way": 1e7}
    assert table.kinds(row) == ["the ordinary weight is lost"]
    twins = {"twins_float32": 0.5}
    assert table.kinds(row | twins) == ["the ordinary weight is lost", "parts twins"]
    assert table.kinds(row | {"way": 1e5}) == ["raises on zero gradients"]


class Proportional(torch.optim.Optimizer):
    """Steps in proportion to the weight, or by the rate where that is zero."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})

    def step(self, closure: Any = None) -> Any:
        for p in self.param_groups[0]["params"]:
            if p.grad.any():
                p.data -= 1e-3 * (p.data.norm() or 1) * p.grad / p.grad.norm()


class Crashes(Proportional):
    def step(self, closure: Any = None) -> Any:
        os._exit(7)


class Hangs(Proportional):
    def step(self, closure: Any = None) -> Any:
        while True:
            pass


class Refuses(Proportional):
    def step(self, closure: Any = None) -> Any:
        raise ValueError("not\ntoday")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("small_library")
    module.__file__ = __file__
    for cls in (Proportional, Crashes, Hangs, Refuses):
        monkeypatch.setattr(cls, "__module__", "small_library")
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "small_library", module)
    monkeypatch.setattr(table, "LIBRARIES", {"torch": "small_library", "no-such": "no_such"})
    monkeypatch.setattr(table, "RESULT", tmp_path / "result.json")
    monkeypatch.setattr(table, "PINS", tmp_path / "pins.txt")
    monkeypatch.setattr(table, "SECONDS", 3)
    return module


def test_a_crash_a_hang_and_a_missing_library_are_said(
    library: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    table.PINS.write_text("torch==0.1\n")
    table.main([])
    found = json.loads(table.RESULT.read_text())
    rows = {row["class"]: row for row in found["rows"]}
    assert rows["Crashes"]["error"] == "the process ended with 7"
    assert rows["Hangs"]["error"] == "the process ended with -24"
    assert rows["Refuses"]["error"] == "ValueError: not today"
    assert rows["Proportional"]["kinds"] == ["zero slow"]
    assert rows["Proportional"]["causes"] == ["its step is in proportion to the weight"]
    assert list(found["left_out"]) == ["no-such"]
    version = importlib.metadata.version("torch")
    assert f"torch is {version} here, and 0.1 in pins.txt" in capsys.readouterr().out


def test_a_run_goes_on_where_it_stopped(
    library: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Crashes", "Hangs"):
        delattr(library, name)
    table.main([])
    first = table.RESULT.read_text()
    capsys.readouterr()
    table.main([])
    assert "Proportional" not in capsys.readouterr().out
    assert table.RESULT.read_text() == first
    table.main(["torch"])
    assert "Proportional" in capsys.readouterr().out
