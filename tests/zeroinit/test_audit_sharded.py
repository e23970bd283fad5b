"""An audit on several ranks: what it finds is what it finds of the whole model on one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from ranks import KINDS, PATIENCE, RANKS, SPREAD, WAYS, WRAPPED

from zeroinit._run import MORE
from zeroinit._sharded import speaks

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="gloo is missing")

# Audits of one model on one rank, as a user tries it on one card; prints what each finds.
ALONE = """
import json, sys, torch, torch.distributed as dist, torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from zeroinit import MLP, audit, half_plane, tied_

def model():
    return tied_(MLP([2, 8, 8, 2], "tanh", seed=1))

def findings(model):
    data = half_plane()
    found = audit(model, lambda model: F.cross_entropy(model(data.x), data.y)).to_dict()
    return json.dumps(found["findings"]).replace("module.", "")

alone = findings(model())
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
sharded = model()
fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
print(json.dumps([alone, findings(sharded), findings(DistributedDataParallel(model()))]))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def found() -> dict[str, list[Any]]:
    """Return what each case gives on each rank; they run once, in one process group."""
    program = Path(__file__).with_name("ranks.py")
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=PATIENCE + 60
    )
    assert done.returncode == 0, done.stderr
    ranks = json.loads(done.stdout.splitlines()[-1])  # below what Gloo says of itself
    return {name: [rank[name] for rank in ranks] for name in ranks[0]}


def findings(given: Any) -> list[dict[str, Any]]:
    """Return the findings of an audit, with the names that the model has without DDP."""
    assert isinstance(given, dict), given
    plain: dict[str, Any] = json.loads(json.dumps(given).replace("module.", ""))
    return list(plain["findings"])


def verdicts(given: Any) -> dict[str, str]:
    return {f["name"]: f["verdict"] for f in findings(given)}


@pytest.mark.parametrize(("kind", "way"), SPREAD)
def test_the_findings_are_those_of_the_whole_model(
    found: dict[str, list[Any]], kind: str, way: str
) -> None:
    whole, spread = found[f"{kind}, alone"][0], found[f"{kind}, {way}"]
    assert all(given == spread[0] for given in spread)
    for mine, other in zip(findings(whole), findings(spread[0]), strict=True):
        if kind == "twins":  # a kernel's rounding depends on how many rows a shard has
            assert other["act_as"] <= other.pop("distinct_after") <= other["units"]
            mine.pop("distinct_after")
        assert mine == other
    assert whole["steps"] == spread[0]["steps"]


def test_the_kinds_are_those_that_their_names_say(found: dict[str, list[Any]]) -> None:
    said = {kind: [*verdicts(found[f"{kind}, alone"][0]).values()] for kind in KINDS}
    assert set(said["healthy"]) == {"fine"}
    assert said["dead"][:5] == ["dead"] * 5
    assert said["twins"][:2] == ["twins (10 units act as 4)"] * 2
    assert {f["unreached"] for f in findings(found["tokens, alone"][0])} == {0}
    (shift,) = (f for f in findings(found["rounding, alone"][0]) if f["name"] == "shift")
    assert shift["cause"] == "the terms of its gradient cancel"
    assert said["zero on purpose"][4] == "zero on purpose (wakes at step 1)"


@pytest.mark.parametrize("way", ["DDP", "FSDP2"])
def test_copies_an_optimizer_and_several_losses_are_judged_as_of_the_whole_model(
    found: dict[str, list[Any]], way: str
) -> None:
    whole, spread = found["options, alone"][0], found[f"options, {way}"]
    assert all(given == spread[0] for given in spread)
    assert json.loads(json.dumps(spread[0]).replace("module.", "")) == whole
    assert verdicts(whole) == {
        "one.weight": "equal modules",
        "one.bias": "equal modules, ignored",
        "two.weight": "equal modules",
        "two.bias": "equal modules",
        "three.weight": "stuck",
        "three.bias": "fine",
    }
    assert {remark["kind"] for remark in whole["remarks"]} == {"some losses"}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_copies_are_equal_also_where_one_or_none_is_wrapped_by_itself(
    found: dict[str, list[Any]], wrapped: str
) -> None:
    whole, spread = found["copies, alone"][0], found[f"copies, wrapped: {wrapped}"]
    assert findings(whole)[0]["cause"] == "one and two are equal, learn alike and stay equal"
    assert all(findings(given) == findings(whole) for given in spread)


@pytest.mark.parametrize("way", WAYS)
def test_all_is_as_it_was_and_trains_on(found: dict[str, list[Any]], way: str) -> None:
    """On every rank, to the last bit, with the gradients that were there."""
    assert found[f"kept, {way}"] == [True] * RANKS


def test_columns_and_rows_that_ranks_drew_alike_are_twins(found: dict[str, list[Any]]) -> None:
    given = found["drawn alike, TP"]
    assert all(other == given[0] for other in given)
    assert verdicts(given[0]) == {
        "one.weight": "twins (16 units act as 8)",
        "one.bias": "twins (16 units act as 8)",
        "two.weight": "drawn alike",  # its rows differ, in halves that are equal
        "two.bias": "fine",
        "three.weight": "fine",
        "three.bias": "fine",
    }
    reasons = {(f["cause"], f["remedy"]) for f in findings(given[0]) if f["fault"]}
    assert reasons == {("2 ranks drew the same shard", "start the model before it is sharded")}


@pytest.mark.parametrize("way", ["FSDP2", "FSDP2 and TP"])
def test_rows_that_ranks_drew_alike_are_a_fault_also_where_they_part(
    found: dict[str, list[Any]], way: str
) -> None:
    given = findings(found[f"drawn alike, {way}"][0])
    for f in given:
        assert f["kind"] == ("twins" if f["act_as"] < f["units"] else "drawn alike")
        assert f["distinct"] <= f["units"] / 2
        assert f["cause"] == "4 ranks drew the same shard"
    assert ("twins" in {f["kind"] for f in given}) == (way == "FSDP2 and TP")


@pytest.mark.parametrize("way", ["DDP", "FSDP2"])
def test_a_loss_that_is_not_finite_on_one_rank_stops_all(
    found: dict[str, list[Any]], way: str
) -> None:
    said = "rank 1: the loss is nan at step 2: mend the batch or the scale of the start"
    assert found[f"nan on rank 1, {way}"] == [f"ValueError: {said}"] * RANKS


def test_it_stops_the_ranks_that_share_the_model(found: dict[str, list[Any]]) -> None:
    """Ranks 2 and 3 hold a model of their own."""
    *sharing, third, fourth = found["nan on rank 1, TP"]
    assert [said.partition(" at")[0] for said in sharing] == [
        "ValueError: rank 1: the loss is nan"
    ] * 2
    assert third == fourth == "no error"


def test_an_error_on_one_rank_is_an_error_on_all(found: dict[str, list[Any]]) -> None:
    *others, own = found["an error on rank 3, FSDP2"]
    assert others == ["RuntimeError: rank 3: LookupError: no such batch"] * 3
    assert own == "LookupError: no such batch"
    for number, said in enumerate(found["a dict on rank 2, FSDP2"]):
        where = "" if number == 2 else "rank 2: "
        assert said.startswith(f"ValueError: {where}the loss must be a tensor with one number")
    assert found["no error"] == ["no error"] * RANKS


def test_one_rank_says_what_is_wrong(found: dict[str, list[Any]]) -> None:
    first, *others = found["assert_trainable"]
    begin = "AssertionError: 2 of 6 parameters cannot train as they should:"
    assert first.startswith(f"{begin}\n1. ")
    assert others == [f"{begin} rank 0 says which"] * 3


@pytest.mark.parametrize("way", ["alone", "DDP", "TP"])
def test_one_rank_shows_how_far_it_is(found: dict[str, list[Any]], way: str) -> None:
    """Also where each rank has a model of its own, or a pair of them: they share the terminal."""
    first, *others = found[f"shown, {way}"]
    assert "audit: step 1 of 3 or more" in first
    assert others == [""] * 3


def test_a_parameter_that_ddp_waits_for_is_not_used(found: dict[str, list[Any]]) -> None:
    for given in found["unused"]:
        assert verdicts(given)["four.weight"] == "not used by this loss"
        assert verdicts(given)["one.weight"] == "fine"


def test_what_one_rank_draws_counts_for_all(found: dict[str, list[Any]]) -> None:
    """A draw may leave out what seems dead, so all take as many more steps as that one."""
    for given in found["random on one"]:
        assert given["steps"] == 3 + MORE
        assert findings(given) == findings(found["dead, alone"][0])


def test_flat_pieces_are_refused(found: dict[str, list[Any]]) -> None:
    for said in found["FSDP1"]:
        assert said.startswith("TypeError: FullyShardedDataParallel keeps weights in flat pieces")


@pytest.mark.parametrize(("rank", "writes"), [(None, True), ("0", True), ("1", False)])
def test_before_there_is_a_group_rank_0_of_torchrun_writes(
    rank: str | None, writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert speaks() is writes


def test_one_rank_may_hold_the_model_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "group"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    alone, *others = json.loads(done.stdout.splitlines()[-1])  # below what Gloo says of itself
    assert "twins" in alone
    assert others == [alone] * 2
