"""The table of designs: two of them live with torch's optimizers, its steps, its rules."""

import functools
import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from atlas import designs as table
from atlas.forks import Row
from atlas.optimizers import LONG, Way
from zeroinit import train, xor
from zeroinit.designs import DESIGNS, design

DATA: Row = json.loads(table.RESULT.read_text())
ROWS = {(r["class"], str(r["given"]), r["design"]): r for r in DATA["rows"]}
LIVE = [r for r in DATA["rows"] if r["library"] == "torch" and r["design"] in ("LoRA", "Fixup")]


def test_twenty_optimizers_meet_ten_designs() -> None:
    assert len(ROWS) == len(DATA["rows"]) == 200
    for row in DATA["rows"]:
        assert row["kind"] == table.kind(row)
    for name in DESIGNS:
        assert ROWS["torch.optim.Adam", "{}", name]["kind"] == "wakes"


@pytest.mark.parametrize(
    "row", LIVE, ids=[f"{r['class']}{'-momentum' * bool(r['given'])}-{r['design']}" for r in LIVE]
)
def test_the_rows_of_torch_are_so(row: Row) -> None:
    version = DATA["versions"]["torch"]
    if version.split("+")[0] != torch.__version__.split("+")[0]:
        pytest.skip(f"measured with torch {version}, here is {torch.__version__}")
    cls = getattr(torch.optim, row["class"].rpartition(".")[2])
    way = Way(functools.partial(cls, **row["given"]), row["options"])
    seen = table.compared(way, row["design"], LONG)
    for name, step in seen["wakes"].items():
        assert step == row["wakes"][name] or (step is None and row["wakes"][name] > LONG)
    for name, paces in seen["zeros"].items():
        assert paces == pytest.approx(row["zeros"][name][:2], rel=1e-2)
    assert seen["losses"] == pytest.approx(row["losses"][:2], rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("name", DESIGNS)
def test_gradient_descent_moves_what_has_a_gradient(name: str) -> None:
    row = ROWS["torch.optim.SGD", "{}", name]
    for part, step in train(design(name), xor(64), lr=1e-3, steps=10).wakes().items():
        seen = row["wakes"][part]
        # A number that is not zero rounds small steps away.
        assert seen == step if part in row["zeros"] else seen is None or seen >= step


def test_the_first_way_of_a_zero_is_its_gradient() -> None:
    draw, data = torch.Generator().manual_seed(3), xor(64)
    ordinary = 0.1 * torch.randn(16, 4, generator=draw, dtype=torch.float64)
    sizes = []
    for start in (torch.zeros(16, 4), ordinary.bfloat16().float()):
        model: Any = design("LoRA")
        model.B.weight.data = start
        loss = F.cross_entropy(model(data.x), data.y)
        sizes.append(torch.autograd.grad(loss, model.B.weight)[0].norm())
    seen = ROWS["torch.optim.SGD", "{}", "LoRA"]["zeros"]["B.weight"][0]
    assert seen == pytest.approx(float(sizes[0] / sizes[1]), rel=2e-3)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"error": "ValueError: no"}, "refused"),
        ({"zeros": {"A": [1.0, 1.0]}, "losses": [1.0, None]}, "not finite"),
        ({"zeros": {"A": [1.0, 1.0], "B": [0.0, 0.0]}, "losses": [1.0]}, "stuck"),
        ({"zeros": {"A": [9.0, 0.05]}, "losses": [1.0]}, "slow"),
        ({"zeros": {"A": [9.0, 0.5]}, "losses": [1.0]}, "leaps"),
        ({"zeros": {"A": [1.0, 2.0]}, "losses": [1.0]}, "wakes"),
    ],
)
def test_the_kinds_are_told_by_rule(row: dict[str, Any], kind: str) -> None:
    assert table.kind(row) == kind
