"""The audit on networks that nobody here wrote: no false alarm, and every fault where it is."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from evidence.__main__ import HERE, begin, examine, fault_table, start_table
from evidence.architectures import Architecture, architectures
from evidence.faults import FAULTS, repeat_expert
from evidence.starts import STARTS, TRUE_FAULTS
from zeroinit.auditing import audit

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, about itself


@pytest.fixture(scope="module")
def networks() -> dict[str, Architecture]:
    return {architecture.name: architecture for architecture in architectures()}


KEPT: dict[str, dict[str, Any]] = {
    row["name"]: row for row in json.loads((HERE / "faults.json").read_text())["architectures"]
}


@pytest.mark.parametrize("name", KEPT)
def test_the_published_table_is_what_the_audit_finds(
    name: str, networks: dict[str, Architecture]
) -> None:
    row = examine(networks[name])
    assert row == KEPT[name]
    assert row["healthy_alarms"] == {}
    for fault, result in row["faults"].items():
        assert not result["wrong"], fault
        assert not result["also"], fault


def test_the_table_holds_every_network_and_every_fault(networks: dict[str, Architecture]) -> None:
    assert list(networks) == list(KEPT)
    assert len(networks) >= 13
    assert {fault for row in KEPT.values() for fault in row["faults"]} == {*FAULTS}


def test_the_table_is_of_what_was_found() -> None:
    assert (HERE / "faults.md").read_text("utf-8") == fault_table(list(KEPT.values()))


def test_the_table_names_misses_and_false_alarms() -> None:
    good = {"expected": {"a": "dead (2 of 4 units)"}, "wrong": {}, "also": {}, "named": True}
    rows = [
        {
            "name": name,
            "parameters": size,
            "healthy_alarms": {"a": "dead"} if name == "one" else {},
            "faults": {FAULTS[0]: good | change, FAULTS[1]: good},
        }
        for name, size, change in (
            ("one", 8, {"wrong": {"a": "fine"}, "named": False}),
            ("two", 9, {"also": {"b": "twins"}}),
            ("three", 10, {"named": False}),
        )
    ]
    shown = fault_table(rows)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    assert cells[2] == [f"{FAULTS[0]}: *dead*", "3", "missed: one; more: two; cause: three"]
    assert cells[3] == [f"{FAULTS[1]}: *dead*", "3", ""]
    assert shown.endswith(
        "Faults: 6, in 3 networks of 8 to 10 parameters. Missed: 1. Found, with more reported: 1. "
        "Found without the cause: 1. Networks with an alarm as they are: one.\n"
    )


def test_a_tie_of_the_router_parts_identical_experts(networks: dict[str, Architecture]) -> None:
    """Where two of four answer, and the equal ones tie for the second place, one alone learns."""
    mixtral = networks["Mixtral"]
    torch.manual_seed(0)
    model = mixtral.build()
    repeat_expert([*mixtral.faults["two identical experts"].expected], model)
    assert audit(model, mixtral.loss).faults == ()


def test_a_constant_matrix_between_random_ones_is_parted_by_them(
    networks: dict[str, Architecture],
) -> None:
    gpt2 = networks["GPT-2"]
    torch.manual_seed(0)
    model = gpt2.build()
    nn.init.constant_(model.get_parameter("transformer.h.0.mlp.c_fc.weight"), 0.02)
    assert audit(model, gpt2.loss).faults == ()


def test_dropout_parts_twin_heads(networks: dict[str, Architecture]) -> None:
    """What treats units unlike each other is no fault of the start: see twins stay twins."""
    bert = networks["BERT"]
    torch.manual_seed(0)
    model = bert.build()
    bert.faults["two identical heads"].inject(model)
    assert audit(model.train(), bert.loss).faults == ()
    assert audit(model.eval(), bert.loss).faults != ()


def test_the_zeros_of_adaln_zero_wake_one_after_another(networks: dict[str, Architecture]) -> None:
    """As its paper starts it, a DiT's modulation and its last layer are zero, on purpose."""
    dit = networks["DiT"]
    torch.manual_seed(0)
    model = dit.build()
    for i in (0, 1):
        nn.init.zeros_(model.get_parameter(f"transformer_blocks.{i}.norm1.linear.weight"))
        nn.init.zeros_(model.get_parameter(f"transformer_blocks.{i}.norm1.linear.bias"))
    nn.init.zeros_(model.get_parameter("proj_out_2.weight"))
    nn.init.zeros_(model.get_parameter("proj_out_2.bias"))
    found = audit(model, dit.loss)
    assert found.faults == ()
    assert found["proj_out_2.weight"].wakes == 1
    assert found["transformer_blocks.0.norm1.linear.weight"].wakes == 2
    assert found["transformer_blocks.0.attn1.to_q.weight"].wakes == 3


STARTED = {row["name"]: row for row in json.loads((HERE / "starts.json").read_text("utf-8"))}


def test_the_published_starts_have_no_false_alarm() -> None:
    assert list(STARTED) == list(STARTS)
    assert {name for name, row in STARTED.items() if row["alarms"]} == {*TRUE_FAULTS}
    assert (HERE / "starts.md").read_text("utf-8") == start_table(list(STARTED.values()))


@pytest.mark.parametrize("name", [*STARTS[::10], *TRUE_FAULTS])
def test_a_published_start_is_as_the_audit_finds_it(name: str) -> None:
    assert begin(name) == STARTED[name]


def test_a_false_alarm_is_named() -> None:
    rows = [{"name": name, "alarms": {"a": "dead"}} for name in ("one", *list(TRUE_FAULTS)[:1])]
    shown = start_table([*rows, {"name": "two", "alarms": {}}])
    assert shown.startswith("Networks as they start: 3. False alarms: `one`. True alarms: ")
