"""The atlas of architectures: its rules, twenty rows measured again, and a run with bad luck."""

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atlas import architectures as atlas
from atlas.forks import Row
from atlas.networks import LIBRARIES, Library, Way, fixed, smaller
from zeroinit.report import KINDS

KEPT = atlas.read()
ROWS = {f"{row['library']}:{row['class']}": row for row in KEPT["rows"]}
#: Rows of libraries that the tests install, of each kind and sort of input.
LIVE = (
    "torch.nn:LSTMCell",
    "torch.nn:MultiheadAttention",
    "torch.nn:TransformerDecoder",
    "torch.nn:TransformerEncoder",
    "diffusers:ControlNetModel",
    "diffusers:DiTTransformer2DModel",
    "diffusers:ChromaTransformer2DModel",
    "diffusers:AuraFlowTransformer2DModel",
    "transformers:ASTForAudioClassification",
    "transformers:AfmoeForCausalLM",
    "transformers:BertLMHeadModel",
    "transformers:CLIPForImageClassification",
    "transformers:DeepseekV32ForCausalLM",
    "transformers:Dinov2WithRegistersForImageClassification",
    "transformers:GPT2LMHeadModel",
    "transformers:GemmaForCausalLM",
    "transformers:LlamaForCausalLM",
    "transformers:MambaForCausalLM",
    "transformers:ViTForImageClassification",
    "transformers:T5ForConditionalGeneration",
)


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import what each fork needs, once."""
    for library in ("transformers", "diffusers"):
        next(LIBRARIES[library].ways(next(k.split(":")[1] for k in LIVE if library in k)))


@pytest.mark.filterwarnings("ignore")  # of the libraries, about themselves
@pytest.mark.parametrize("key", LIVE)
def test_a_row_is_what_the_library_does(key: str) -> None:
    kept, (library, name) = ROWS[key], key.split(":")
    version = metadata.version(LIBRARIES[library].package)
    if version.split("+")[0] != kept["version"].split("+")[0]:
        pytest.skip(f"measured with {library} {kept['version']}, here is {version}")
    row = atlas.measured(library, name)
    assert "error" not in row, row["error"]
    for field in ("how", "inputs", "parameters"):
        assert row[field] == kept[field]
    for kind in {*row["counts"], *kept["counts"]} - {"fine", "unreached", "not used by this loss"}:
        assert row["counts"].get(kind) == kept["counts"].get(kind), kind
    faults = [[g for g in one["found"] if KINDS[g["kind"]].fault] for one in (row, kept)]
    assert faults[0] == faults[1]


def test_each_row_has_a_verdict_or_a_reason() -> None:
    assert len(ROWS) == len(KEPT["rows"])
    assert sum("error" not in row for row in ROWS.values()) >= 400
    assert {row["library"] for row in ROWS.values()} == {*LIBRARIES}
    for key, row in ROWS.items():
        assert ("error" in row) != ("counts" in row), key
        assert row["version"] == KEPT["versions"][LIBRARIES[row["library"]].package], key
        if "error" in row:
            assert row["error"], key
            continue
        assert row["counts"].keys() <= KINDS.keys()
        for kind, count in row["counts"].items():
            groups = [group for group in row["found"] if group["kind"] == kind]
            assert kind in atlas.QUIET or sum(group["count"] for group in groups) == count, key
        assert all(group["kind"] in row["counts"] for group in row["found"]), key


def test_the_pins_are_those_measured() -> None:
    pins = dict(line.split("==") for line in atlas.PINS.read_text().split())
    pins = {name.replace("-", "_"): version for name, version in pins.items()}
    measured = {name: version.split("+")[0] for name, version in KEPT["versions"].items()}
    assert {name: pins[name] for name in measured} == measured


def test_the_page_shows_the_tables_of_the_rows() -> None:
    shown = atlas.RESULT.with_suffix(".md").read_text("utf-8")
    assert shown == atlas.tables(KEPT)
    for row in ROWS.values():
        assert f"`{row['class']}`" in shown
    head, _, *lines = [line.split("|")[1:-1] for line in shown.split("\n\n")[0].splitlines()]
    last = dict(zip((cell.strip() for cell in head), lines[-1], strict=True))
    assert int(last["audited"]) == sum("error" not in row for row in ROWS.values())
    assert int(last["not audited"]) == sum("error" in row for row in ROWS.values())
    assert int(last["dead"]) == sum("dead" in row.get("counts", ()) for row in ROWS.values())
    assert atlas.RESULT.stat().st_size < 600_000


def test_numbers_in_names_are_stars() -> None:
    assert atlas.pattern("0.blocks.11.mlp.3, 4 of 8") == "*.blocks.*.mlp.*, 4 of 8"
    assert atlas.pattern("layer1.0.conv2.weight") == "layer1.*.conv2.weight"


@pytest.mark.parametrize(
    ("name", "value", "small"),
    [("hidden_size", 768, 64), ("hidden_size", 16, 16), ("num_hidden_layers", 12, 2),
     ("num_key_value_heads", 8, 4), ("image_size", [224, 448], [128, 128]), ("patch_size", 16, 16),
     ("depths", [3, 4, 6, 3], [2, 2, 2, 2]), ("hidden_sizes", (256, 512), (32, 64)),
     ("num_attention_heads", [1, 2, 5, 8], [1, 2, 4, 4]), ("use_cache", True, True),
     ("pad_token_id", 50256, 0), ("layer_norm_eps", 1e-5, 1e-5)],
)  # fmt: skip
def test_settings_are_made_small(name: str, value: Any, small: Any) -> None:
    assert smaller(name, value) == small


# A library with bad luck


class Small(nn.Module):
    """A layer, with units that start equal."""

    def __init__(self, bad: str = "") -> None:
        super().__init__()
        self.bad, self.layer, self.last = bad, nn.Linear(8, 4), nn.Linear(4, 2)
        nn.init.constant_(self.layer.weight, 0.1)
        nn.init.constant_(self.last.weight, 0.1)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor) -> Any:
        if self.bad == "crash":
            os._exit(7)
        while self.bad == "hang":
            pass
        if self.bad == "large":
            torch.empty(3 << 30)  # 12 GB, of which none is used
        if self.bad == "refuse":
            raise ValueError("not\ntoday")
        out = self.last(self.layer(x).tanh())
        return SimpleNamespace(loss=(out - x[:, :2]).square().mean()) if self.bad == "loss" else out


NAMES = ["fine", "loss", "crash", "hang", "large", "refuse", "wide", "empty"]


def ways(name: str) -> Iterator[Way]:
    def build() -> nn.Module:
        if name == "wide":
            return nn.Linear(10_000, 10_000)
        return nn.Identity() if name == "empty" else Small(name)

    yield Way(
        "as it is", build, lambda model: [{"x": lambda draw: torch.randn(16, 8, generator=draw)}]
    )


@pytest.fixture
def bad_luck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bad_luck", ModuleType("bad_luck"))
    libraries = {"bad": Library("torch", lambda: NAMES, ways),
                 "none": Library("no_such", lambda: [], ways)}  # fmt: skip
    monkeypatch.setattr(atlas, "LIBRARIES", libraries)
    monkeypatch.setattr(atlas, "RESULT", tmp_path / "result.json")
    monkeypatch.setattr(atlas, "PINS", tmp_path / "pins.txt")
    monkeypatch.setattr(atlas, "SECONDS", 2)
    monkeypatch.setattr(atlas, "stand_in", lambda: None)


@pytest.mark.usefixtures("bad_luck")
def test_a_crash_a_hang_no_memory_and_a_missing_library_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    atlas.PINS.write_text("torch==0.1\n")
    atlas.main([])
    kept = json.loads(atlas.RESULT.read_text())
    rows: dict[str, Row] = {row["class"]: row for row in kept["rows"]}
    assert rows["crash"]["error"] == "the process ended with 7"
    assert rows["hang"]["error"] == "no end in 2 seconds"
    assert rows["large"]["error"] == "inputs: out of memory, of 8 GB"
    assert rows["refuse"]["error"] == "inputs: ValueError: not today"
    assert rows["wide"]["error"] == "100 million parameters"
    assert "empty" not in rows
    assert list(kept["left_out"]) == ["none"]
    assert f"torch is {metadata.version('torch')} here, and 0.1" in capsys.readouterr().out
    for name in ("fine", "loss"):
        [twins] = [group for group in rows[name]["found"] if group["kind"] == "twins"]
        assert (twins["detail"], twins["names"]) == (
            "4 units act as 1", ["layer.weight", "layer.bias"])  # fmt: skip
    text = atlas.RESULT.with_suffix(".md").read_text()
    assert "Not audited, as it does not end in 2 seconds: 1\n`hang`\n" in text
    assert "The last run left out none: `ModuleNotFoundError: No module named 'no_such'`" in text
    assert re.search(r"\| `fine` .*\*\*twins", text)


@pytest.mark.usefixtures("bad_luck")
def test_a_run_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    libraries = {"bad": Library("torch", lambda: ["fine", "refuse"], ways)}
    monkeypatch.setattr(atlas, "LIBRARIES", libraries)
    atlas.main([])
    first = atlas.RESULT.read_text()
    capsys.readouterr()
    atlas.main([])
    assert "bad:" not in capsys.readouterr().out
    assert atlas.RESULT.read_text() == first
    atlas.main(["bad:fine"])
    out = capsys.readouterr().out
    assert "bad:fine" in out
    assert "bad:refuse" not in out
    kept = json.loads(atlas.RESULT.read_text())
    kept["rows"][0]["version"] = "0.1"
    kept["rows"].append(kept["rows"][1] | {"class": "no longer there"})
    atlas.RESULT.write_text(json.dumps(kept))
    atlas.main([])
    assert "bad:fine" in capsys.readouterr().out
    assert [row["class"] for row in atlas.read()["rows"]] == ["fine", "refuse"]
    assert fixed(1)(torch.Generator()) == 1
