"""What the table of adapters says is what peft does, measured again, and by another way."""

import math
from typing import Any

import pytest
import torch

from atlas.adapters import ROWS, Case, base, loss_of, peft_cases, read, table, watch

KEPT = read()
#: Rows that are measured again: one of each kind of start.
LIVE = (
    "peft LORA",
    "peft LORA init_lora_weights=mica",
    "peft IA3 GPT-2",
    "peft VERA",
    "peft VERA d_initial=0",
    "peft LOHA",
    "peft ROAD variant=road_4",
    "peft FOURIERFT init_weights=True",
    "peft PREFIX_TUNING init_weights=zero",
    "peft HIRA over zeros",
    "peft LORA over zeros, use_dora",
    "peft OFT Conv2d",
)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.name: case for case in peft_cases()}


@pytest.mark.filterwarnings("ignore")  # of peft, about itself
@pytest.mark.parametrize("name", LIVE)
def test_a_row_is_what_peft_does(name: str, cases: dict[str, Case]) -> None:
    row, kept = watch(cases[name]), KEPT[name]
    assert row["parts"] == kept["parts"]
    for field in ("off", "off in training"):
        one, two = row[field], kept[field]
        assert (one is None) == (two is None)
        assert one is None or math.isclose(one, two, rel_tol=0.1, abs_tol=1e-5)


def test_the_table_holds_every_kind_of_peft(cases: dict[str, Case]) -> None:
    from peft import PeftType

    assert {case.tuner for case in cases.values()} == {kind.value for kind in PeftType}
    assert set(cases) <= set(KEPT)
    libraries = {row["library"] for row in KEPT.values()}
    assert libraries == {"peft", "lycoris"}
    for row in KEPT.values():
        assert row["date"]
        assert {"torch"} < {*row["versions"]}
        assert ("reason" in row) != ("parts" in row)


@pytest.mark.filterwarnings("ignore")
def test_lora_wakes_as_a_plain_loop_sees_it() -> None:
    """The rule of *one factor*, from nothing but the losses: small differences of the loss."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(base("llama"), config).double()
    words = torch.randint(3, 16, (8, 12), generator=torch.Generator().manual_seed(1))
    batch = {"input_ids": words, "labels": words}
    moves: dict[str, float] = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                before = loss_of(model, batch).item()
                p += 1e-3
                moves[name.split(".")[-3]] = abs(loss_of(model, batch).item() - before)
                p -= 1e-3
    assert moves["lora_A"] == 0 < moves["lora_B"]
    parts: dict[str, Any] = KEPT["peft LORA"]["parts"]
    assert (parts["lora_B"]["sgd"], parts["lora_A"]["sgd"]) == ([1], [2])


def test_the_page_shows_the_table_of_the_rows() -> None:
    assert ROWS.with_suffix(".md").read_text("utf-8") == table(KEPT)
