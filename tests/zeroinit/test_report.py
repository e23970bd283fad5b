"""The result of an audit: its table, its names and its other forms."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from email.message import Message
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from zeroinit import _tables
from zeroinit.report import KINDS, Audit, Finding

CAUSE = "gate.weight is zero, and so is what it multiplies"
LONG = "base_model.model.transformer.layers.11.attention.self.query.lora_A.default.weight"


def finding(name: str, kind: str = "fine", **more: object) -> Finding:
    """Return a finding of sixteen units."""
    base: dict[str, object] = {
        "name": name,
        "shape": (16, 2),
        "wakes": 1,
        "units": 16,
        "distinct": 16,
        "distinct_after": 16,
        "act_as": 16,
        "dead": 0,
        "kind": kind,
    }
    return Finding(**(base | more))  # type: ignore[arg-type]


def test_a_tied_parameter_is_found_by_each_of_its_names() -> None:
    tied = finding("wte.weight", names=("wte.weight", "head.weight"))
    found = Audit((tied, finding("bias")), 3)
    assert found["wte.weight"] is found["head.weight"] is tied
    assert found["bias"].names == ("bias",)
    with pytest.raises(KeyError, match="there is no parameter 'head'"):
        found["head"]


def test_a_fault_is_what_the_table_of_kinds_calls_one() -> None:
    found = Audit(tuple(finding(kind, kind) for kind in KINDS), 3)
    assert {f.kind for f in found.faults} == {kind for kind in KINDS if KINDS[kind].fault}


def network(blocks: int) -> Audit:
    """Return the audit of a network of some blocks: faults of one cause, and every other kind."""
    rows = []
    for k in range(blocks):
        hidden = {"cause": CAUSE, "remedy": "start gate.weight random"}
        rows += [
            finding(f"blocks.{k}.mlp.weight"),
            finding(f"blocks.{k}.gate.weight", "dead", wakes=None, dead=16, **hidden),
            finding(f"blocks.{k}.scale", "zero on purpose", wakes=2),
            finding(f"blocks.{k}.norm.weight", "frozen", wakes=None),
        ]
    return Audit((*rows, finding("head.weight", "twins", act_as=8)), 3)


def test_faults_come_first_and_those_of_one_cause_are_one_line() -> None:
    assert str(network(10)).splitlines() == [
        "11 of 41 parameters cannot train as they should:",
        f"1. {CAUSE}",
        "   dead: blocks.0.gate.weight, blocks.1.gate.weight and 8 more",
        "   remedy: start gate.weight random",
        "2. twins (16 units act as 8): head.weight",
        "zero on purpose (wakes at step 2)  10  blocks.0.scale, blocks.1.scale and 8 more",
        "frozen                             10  blocks.0.norm.weight and 9 more",
        "fine                               10  blocks.0.mlp.weight and 9 more",
        "dead: no step gives it a gradient, so it never moves (page gradients)",
        "twins: units that are equal now and learn alike, so they stay equal (page",
        "  symmetry)",
        "zero on purpose: it wakes by itself, whether its zeros are meant or not (page",
        "  zero-on-purpose)",
    ]


def test_what_is_no_fault_says_what_it_waits_for() -> None:
    waits = [
        finding(f"{k}.weight", "zero on purpose", wakes=2, cause=f"waits for {k}.gain")
        for k in range(9)
    ]
    lines = str(Audit((*waits[:1],), 3)).splitlines()
    assert lines[1:3] == ["zero on purpose (wakes at step 2)  1  0.weight", "   waits for 0.gain"]
    lines = str(Audit((*waits,), 3)).splitlines()
    assert lines[2] == "   waits for 0.gain; waits for 1.gain; and 7 more"
    page = "".join(ElementTree.fromstring(Audit((*waits,), 3)._repr_html_()).itertext())
    assert all(f"{k}.weight 16×2: waits for {k}.gain" in page for k in range(9))


def test_a_failure_speaks_of_faults_alone() -> None:
    assert _tables.failure(network(1)).splitlines() == [
        "2 of 5 parameters cannot train as they should:",
        f"1. {CAUSE}",
        "   dead: blocks.0.gate.weight",
        "   remedy: start gate.weight random",
        "2. twins (16 units act as 8): head.weight",
        "dead: no step gives it a gradient, so it never moves (page gradients)",
        "twins: units that are equal now and learn alike, so they stay equal (page",
        "  symmetry)",
    ]


def test_a_few_names_are_not_folded() -> None:
    assert str(network(1)).splitlines()[5:8] == [
        "zero on purpose (wakes at step 2)  1  blocks.0.scale",
        "frozen                             1  blocks.0.norm.weight",
        "fine                               1  blocks.0.mlp.weight",
    ]
    assert str(Audit((finding("w"), finding("b")), 3)) == (
        "No faults in 2 parameters:\nfine  2  w, b"
    )


def test_faults_of_one_cause_that_differ_in_number_each_say_their_own() -> None:
    some = finding("a", "dead", dead=4, cause=CAUSE), finding("b", "dead", dead=16, cause=CAUSE)
    assert "   dead: a (4 of 16 units), b\n" in str(Audit(some, 3))
    both = finding("a", "dead", dead=16, cause=CAUSE), finding("b", "twins", act_as=1, cause=CAUSE)
    lines = str(Audit(both, 3)).splitlines()
    assert lines[1:4] == [f"1. {CAUSE}", "   dead: a", "   twins (16 units act as 1): b"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3000])
@pytest.mark.parametrize("name", ["w", "transformer.h.10.attn.c_attn.weight", LONG])
def test_no_line_is_wider_than_eighty_columns(kind: str, count: int, name: str) -> None:
    rows = [finding(f"{k}.{name}", kind, act_as=1, dead=4, cause=CAUSE * 3) for k in range(count)]
    lines = str(Audit(tuple(rows), 3)).splitlines()
    assert max(map(len, lines)) <= 80


def test_a_long_name_loses_its_middle() -> None:
    lines = str(Audit((finding(LONG, "zero on purpose"),), 3)).splitlines()
    (start, end) = lines[1].split("  ")[-1].split("…")
    assert len(lines[1]) == 80
    assert LONG.startswith(start)
    assert LONG.endswith(end)
    assert "lora_A" in end


def test_a_note_on_the_audit_itself_is_shown() -> None:
    noted = Audit((finding("weight"),), 3, note="on a copy: <locked>")
    assert str(noted).splitlines()[-1] == "note: on a copy: <locked>"
    assert "<dt>note</dt><dd>on a copy: &lt;locked&gt;</dd>" in noted._repr_html_()
    assert noted.to_dict()["note"] == "on a copy: <locked>"
    plain = Audit(noted.findings, 3)
    assert "note" not in str(plain) + plain._repr_html_()


def test_the_console_shows_the_table() -> None:
    assert repr(network(2)) == str(network(2))


def test_html_says_what_the_text_says_and_folds_what_is_long() -> None:
    found = network(10)
    page = ElementTree.fromstring(found._repr_html_())
    words = " ".join(page.itertext())
    for said in (CAUSE, "start gate.weight random", "page gradients", "11 of 41 parameters"):
        assert said in words
    assert {f.name for f in found} == {code.text for code in page.iter("code")}
    summaries = [summary.text for summary in page.iter("summary")]
    assert summaries == ["and 2 more", "and 2 more", "frozen: 10 parameters", "fine: 10 parameters"]
    assert {element.tag for element in page.iter()} <= {
        *("div", "p", "strong", "ol", "ul", "li", "dl", "dt", "dd", "code"),
        *("details", "summary"),
    }
    assert not re.search("color|background|font", found._repr_html_())


def test_html_escapes_names_causes_and_remedies() -> None:
    evil = "<script>&'\""
    for kind in KINDS:
        text = Audit((finding(evil, kind, cause=evil, remedy=evil),), 3)._repr_html_()
        assert "<script" not in text
        assert evil in "".join(ElementTree.fromstring(text).itertext())


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the package know where the book is published."""
    message = Message()
    message["Project-URL"] = "Issues, https://example.org/issues"
    message["Project-URL"] = "Book, https://example.org/book/"
    monkeypatch.setattr(_tables, "metadata", lambda name: message)
    _tables.address.cache_clear()
    yield
    _tables.address.cache_clear()


@pytest.mark.usefixtures("published")
def test_pages_are_linked_where_the_package_knows_their_address() -> None:
    found = network(1)
    assert "(https://example.org/book/gradients.html)" in str(found)
    assert '<a href="https://example.org/book/gradients.html">gradients</a>' in found._repr_html_()


def test_pages_are_named_where_there_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Message:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_tables, "metadata", missing)
    _tables.address.cache_clear()
    assert _tables.address("gradients") == "page gradients"
    _tables.address.cache_clear()


def test_an_audit_has_a_length_names_and_findings() -> None:
    found = Audit((finding("a", names=("a", "b")), finding("c")), 3)
    assert len(found) == 2
    assert [f.name for f in found] == ["a", "c"]
    assert [name in found for name in ("a", "b", "c", "d")] == [True, True, True, False]


def test_json_brings_everything_back() -> None:
    found = network(2)
    plain = found.to_dict()
    there = json.loads(json.dumps(plain))
    assert there == plain
    assert Audit.from_dict(there) == found
    assert [f["name"] for f in plain["findings"] if f["fault"]] == [f.name for f in found.faults]
    assert plain["findings"][-1]["verdict"] == "twins (16 units act as 8)"
    assert plain["findings"][0]["shape"] == [16, 2]
    with pytest.raises(ValueError, match="the schema must be 1, got 2: write it anew"):
        Audit.from_dict(plain | {"schema": 2})


def rows(found: Audit) -> dict[str, str]:
    """Return the rows of a figure, from below: label, and what its tile says."""
    ax = found.plot(Figure().subplots())
    said = {round(text.get_position()[1], 1): text.get_text() for text in ax.texts}
    crosses = {y for line in ax.lines for y in np.asarray(line.get_ydata()).tolist()}
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(said) + len(crosses) == len(labels)
    return {label: said.get(k + 0.5, "x") for k, label in enumerate(labels)}


def test_the_figure_has_a_row_for_each_of_a_few_parameters() -> None:
    assert rows(network(1)) == {
        "blocks.0.mlp.weight": "1",
        "blocks.0.gate.weight: dead": "x",
        "blocks.0.scale: zero on purpose": "2",
        "head.weight: twins (16 units act as 8)": "1",
    }


def test_in_a_figure_of_many_parameters_those_that_differ_in_numbers_share_a_row() -> None:
    assert rows(network(75)) == {
        "blocks.0.mlp.weight and 74 more": "1",
        "blocks.0.gate.weight and 74 more: dead": "x",
        "blocks.0.scale and 74 more: zero on purpose": "2",
        "head.weight: twins (16 units act as 8)": "1",
    }
    pairs = [finding(f"{k}.{own}") for k in range(150) for own in ("weight", "bias")]
    assert rows(Audit((*pairs,), 3)) == {
        "0.weight and 149 more": "1",
        "0.bias and 149 more": "1",
    }
    letters = [finding("".join(chr(97 + int(d)) for d in str(k))) for k in range(300)]
    assert rows(Audit((*letters, finding("z", "dead", wakes=None, dead=16)), 3)) == {
        "a and 299 more": "1",
        "z: dead": "x",
    }


def test_without_axes_the_figure_is_as_high_as_it_has_rows() -> None:
    low, high = network(1).plot(), network(9).plot()
    assert isinstance(low.figure, Figure)
    assert isinstance(high.figure, Figure)
    assert low.figure.get_figheight() < high.figure.get_figheight() / 3
    plt.close("all")
