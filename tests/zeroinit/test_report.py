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
from matplotlib.layout_engine import ConstrainedLayoutEngine

from zeroinit import _tables
from zeroinit.report import KINDS, Audit, Finding, Remark

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


def of_every_kind() -> Audit:
    """Return findings of every kind, in another order than that of the table."""
    asleep = ("dead", "not used by this loss", "frozen")
    more = {"act_as": 4, "distinct": 8, "dead": 2, "unreached": 3}
    found = [
        finding(f"{k}.weight", kind, wakes=None if kind in asleep else k, **more)
        for k, kind in enumerate(KINDS)
    ]
    return Audit(tuple(found[::-1]), 3)


def test_a_fault_is_what_the_table_of_kinds_calls_one() -> None:
    faults = ["dead", "twins", "drawn alike", "equal modules", "twin parameters"]
    faults += ["stuck", "erased", "not finite", "shared memory"]
    assert [f.kind for f in of_every_kind().faults][::-1] == faults
    assert [kind for kind in KINDS if KINDS[kind].fault is True] == faults
    assert [kind.fault for kind in KINDS.values()].count(False) == 9


def test_every_kind_is_told_and_explained_in_the_order_of_the_table() -> None:
    assert str(of_every_kind()).splitlines() == [
        "9 of 18 parameters cannot train as they should:",
        "1. dead (2 of 16 units): 0.weight",
        "2. twins (16 units act as 4): 1.weight",
        "3. drawn alike (16 units start as 8): 2.weight",
        "4. equal modules: 3.weight",
        "5. twin parameters: 4.weight",
        "6. stuck: 5.weight",
        "7. erased: 6.weight",
        "8. not finite: 7.weight",
        "9. shared memory: 8.weight",
        "not registered                      1  9.weight",
        "not held                            1  10.weight",
        "out of scale                        1  11.weight",
        "unreached (3 of 16 units)           1  12.weight",
        "left out (wakes at step 13)         1  13.weight",
        "zero on purpose (wakes at step 14)  1  14.weight",
        "not used by this loss               1  15.weight",
        "frozen                              1  16.weight",
        "fine                                1  17.weight",
        "dead: no step gives it a gradient, so it never moves (page gradients)",
        "twins: units that are equal now and learn alike, so they stay equal (page",
        "  symmetry)",
        "drawn alike: several ranks drew the same numbers for their shards, so units",
        "  start as copies (page symmetry)",
        "equal modules: modules that are equal now and learn alike, so they stay equal",
        "  (page symmetry)",
        "twin parameters: parameters that are equal now and learn alike, so they stay",
        "  equal (page symmetry)",
        "stuck: it has a gradient, and the given optimizer does not move it (page",
        "  check-your-network)",
        "erased: the given optimizer sets it to zero where it has no gradient (page",
        "  check-your-network)",
        "not finite: the given optimizer brings numbers that are not finite (page",
        "  check-your-network)",
        "shared memory: its numbers share one place in memory, so a step raises: clone()",
        "  it (page check-your-network)",
        "not registered: the loss uses it, and model.parameters() does not give it (page",
        "  check-your-network)",
        "not held: no group of the given optimizer holds it, so no step moves it (page",
        "  check-your-network)",
        "out of scale: its weights or its gradients are far from any usual size (page",
        "  why-the-start-matters)",
        "unreached: units that this batch never reaches: off, or chosen by no sample",
        "  (page check-your-network)",
        "left out: a draw, a choice or units that were off left it out of the first step",
        "  (page check-your-network)",
        "zero on purpose: it wakes by itself, whether its zeros are meant or not (page",
        "  zero-on-purpose)",
        "not used by this loss: another loss may use it; if none does, remove it (page",
        "  gradients)",
    ]
    folded = {name: kind.meaning for name, kind in KINDS.items() if kind.folded}
    assert folded == {
        "frozen": "it has no gradient, as you asked",
        "fine": "it moves, and its units differ",
    }


def test_a_verdict_on_all_units_counts_none() -> None:
    verdicts = [finding("w", kind, dead=16).verdict for kind in ("dead", "drawn alike")]
    assert verdicts == ["dead", "drawn alike"]


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


ROUTER = "no sample chooses it: router.weight is zero, so each choice of an expert is the same"
NAME = "encoder.layers.10.self_attention.key-value-projection.lora_A.default.weight"


def with_everything() -> Audit:
    """Return an audit with all that it can say, and what is long a little longer than a line."""
    return Audit(
        (
            finding("gate", "dead", dead=16, wakes=None, shape=(16,)),
            finding("a<b", "dead", dead=4, cause=ROUTER, remedy=f"draw {NAME} at random"),
            finding("c", "dead", dead=5, cause=ROUTER, remedy="or leave it out"),
            finding("d", "twins", act_as=8, cause=ROUTER, remedy="or leave it out"),
            finding("old.0", "dead", dead=4, ignored=True),
            finding("old.1", "dead", dead=16, wakes=None, ignored=True),
            finding(
                "late.0", "zero on purpose", wakes=12, cause=f"waits for {NAME}, which is zero"
            ),
            finding("late.1", "zero on purpose", wakes=2, cause="waits for gain"),
            finding("late.2", "zero on purpose", wakes=2, cause="waits for a&b"),
            finding("late.3", "zero on purpose", wakes=2, cause="waits for c"),
            *(finding(f"{k}.weight", "frozen", wakes=None) for k in range(10)),
            finding("head"),
        ),
        3,
        note=f"on a copy: what was made in inference mode cannot be changed, as {NAME}",
        remarks=(
            Remark("slow", ("<b>",), f"Lion moves zeros at 1/120 of {NAME}'s pace"),
            Remark("one object", ("layers.0", NAME), "one module"),
        ),
    )


def test_the_text_of_an_audit_with_everything() -> None:
    assert str(with_everything()).splitlines() == [
        "4 of 21 parameters cannot train as they should:",
        "1. no sample chooses it: router.weight is zero, so each choice of an expert is",
        "   the same",
        "   dead: a<b (4 of 16 units), c (5 of 16 units)",
        "   twins (16 units act as 8): d",
        "   remedy: draw",
        f"      {NAME}",
        "      at random",
        "   remedy: or leave it out",
        "2. dead: gate",
        "dead, ignored                        1  old.1",
        "dead (4 of 16 units), ignored        1  old.0",
        "zero on purpose (wakes at step 2)    3  late.1, late.2, late.3",
        "   waits for gain; waits for a&b; and 1 more",
        "zero on purpose (wakes at step 12)   1  late.0",
        "   waits for",
        f"   {NAME},",
        "   which is zero",
        "frozen                              10  0.weight, 1.weight, 2.weight and 7 more",
        "fine                                 1  head",
        "dead: no step gives it a gradient, so it never moves (page gradients)",
        "twins: units that are equal now and learn alike, so they stay equal (page",
        "  symmetry)",
        "zero on purpose: it wakes by itself, whether its zeros are meant or not (page",
        "  zero-on-purpose)",
        "slow: Lion moves zeros at 1/120 of",
        f"  {NAME}'s",
        "  pace",
        "  <b>",
        "one object: one module",
        "  layers.0 and 1 more",
        "note: on a copy: what was made in inference mode cannot be changed, as",
        f"      {NAME}",
    ]


def elements(found: Audit) -> list[str]:
    """Return the HTML of an audit, cut before its lists and their entries."""
    return re.split(r"(?=<(?:strong|li|dt|dd|ol|ul|dl|details)\b)", found._repr_html_())


def test_the_html_of_an_audit_with_everything() -> None:
    assert elements(with_everything()) == [
        '<div style="overflow-wrap:anywhere"><p>',
        "<strong>4 of 21 parameters cannot train as they should:</strong></p>",
        "<ol>",
        "<li>no sample chooses it: router.weight is zero, so each choice of an expert is the same",
        "<dl>",
        "<dt>dead</dt>",
        "<dd>",
        '<ul style="margin:0">',
        "<li><code>a&lt;b</code> 16×2 (4 of 16 units)</li>",
        "<li><code>c</code> 16×2 (5 of 16 units)</li></ul></dd>",
        "<dt>twins (16 units act as 8)</dt>",
        "<dd>",
        '<ul style="margin:0">',
        "<li><code>d</code> 16×2</li></ul></dd>",
        "<dt>remedy</dt>",
        f"<dd>draw {NAME} at random</dd>",
        "<dt>remedy</dt>",
        "<dd>or leave it out</dd></dl></li>",
        "<li>",
        "<dl>",
        "<dt>dead</dt>",
        "<dd>",
        '<ul style="margin:0">',
        "<li><code>gate</code> 16</li></ul></dd></dl></li></ol>",
        "<dl>",
        "<dt>dead</dt>",
        "<dd>no step gives it a gradient, so it never moves (page gradients)</dd>",
        "<dt>twins</dt>",
        "<dd>units that are equal now and learn alike, so they stay equal (page symmetry)</dd>",
        "<dt>dead, ignored</dt>",
        "<dd>no step gives it a gradient, so it never moves (page gradients)",
        '<ul style="margin:0">',
        "<li><code>old.1</code> 16×2</li></ul></dd>",
        "<dt>dead (4 of 16 units), ignored</dt>",
        "<dd>no step gives it a gradient, so it never moves (page gradients)",
        '<ul style="margin:0">',
        "<li><code>old.0</code> 16×2</li></ul></dd>",
        "<dt>zero on purpose (wakes at step 2)</dt>",
        "<dd>it wakes by itself, whether its zeros are meant or not (page zero-on-purpose)",
        '<ul style="margin:0">',
        "<li><code>late.1</code> 16×2: waits for gain</li>",
        "<li><code>late.2</code> 16×2: waits for a&amp;b</li>",
        "<li><code>late.3</code> 16×2: waits for c</li></ul></dd>",
        "<dt>zero on purpose (wakes at step 12)</dt>",
        "<dd>it wakes by itself, whether its zeros are meant or not (page zero-on-purpose)",
        '<ul style="margin:0">',
        f"<li><code>late.0</code> 16×2: waits for {NAME}, which is zero</li></ul></dd>",
        "<dt>slow</dt>",
        f"<dd>Lion moves zeros at 1/120 of {NAME}&#x27;s pace: <code>&lt;b&gt;</code></dd>",
        "<dt>one object</dt>",
        f"<dd>one module: <code>layers.0</code>, <code>{NAME}</code></dd>",
        "<dt>note</dt>",
        f"<dd>on a copy: what was made in inference mode cannot be changed, as {NAME}</dd></dl>",
        "<details><summary>frozen: 10 parameters</summary>",
        '<ul style="margin:0">',
        "<li><code>0.weight</code> 16×2</li>",
        "<li><code>1.weight</code> 16×2</li>",
        "<li><code>2.weight</code> 16×2</li>",
        "<li><code>3.weight</code> 16×2</li>",
        "<li><code>4.weight</code> 16×2</li>",
        "<li><code>5.weight</code> 16×2</li>",
        "<li><code>6.weight</code> 16×2</li>",
        "<li><code>7.weight</code> 16×2</li>",
        "<li><code>8.weight</code> 16×2</li>",
        "<li><code>9.weight</code> 16×2</li></ul></details>",
        "<details><summary>fine: 1 parameter</summary>",
        '<ul style="margin:0">',
        "<li><code>head</code> 16×2</li></ul></details></div>",
    ]
    assert elements(Audit((finding("w"),), 3)) == [
        '<div style="overflow-wrap:anywhere"><p>',
        "<strong>No faults in 1 parameter:</strong></p>",
        "<details><summary>fine: 1 parameter</summary>",
        '<ul style="margin:0">',
        "<li><code>w</code> 16×2</li></ul></details></div>",
    ]


def test_html_folds_more_than_eight_names() -> None:
    def summaries(count: int) -> list[str]:
        some = tuple(finding(f"{k}.weight", "twins", act_as=1) for k in range(count))
        return re.findall("<summary>(.*)</summary>", Audit(some, 3)._repr_html_())

    assert (summaries(8), summaries(9)) == ([], ["and 1 more"])


def test_the_cause_of_most_faults_comes_first() -> None:
    few = finding("a", "dead", dead=16, cause=CAUSE)
    some = [finding(name, "twins", act_as=1, cause="router.weight is zero") for name in "bc"]
    lines = str(Audit((few, *some), 3)).splitlines()
    assert lines[1:5:2] == ["1. router.weight is zero", f"2. {CAUSE}"]


def test_a_line_of_exactly_eighty_columns_is_not_cut() -> None:
    def said(first: int, kind: str, line: int) -> str:
        some = finding("a" * first, kind, act_as=1), finding("b", kind, act_as=1)
        remark = Remark("one object", ("c" * first, "d"), "one module")
        return str(Audit(some, 3, remarks=(remark,))).splitlines()[line]

    assert said(68, "fine", 1) == "fine  2  " + "a" * 68 + ", b"
    assert said(69, "fine", 1) == "fine  2  " + "a" * 15 + "…" + "a" * 44 + " and 1 more"
    assert said(47, "twins", 1) == "1. twins (16 units act as 1): " + "a" * 47 + ", b"
    assert said(75, "fine", 3) == "  " + "c" * 75 + ", d"
    assert said(76, "fine", 3) == "  " + "c" * 16 + "…" + "c" * 50 + " and 1 more"
    some = [finding(n, "dead", dead=d, cause=CAUSE) for n, d in (("e" * 90, 4), ("f", 5))]
    assert str(Audit((*some,), 3)).splitlines()[2] == (
        "   dead: " + "e" * 11 + "…" + "e" * 32 + " (4 of 16 units) and 1 more"
    )


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
    monkeypatch.setattr(_tables, "metadata", {"zeroinit": message}.__getitem__)
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


def test_json_has_every_field_and_may_lack_remarks() -> None:
    remark = Remark("one object", ("a", "b"), "one module")
    plain = Audit((finding("w"),), 3, remarks=(remark,)).to_dict()
    assert plain == {
        "schema": 1,
        "findings": [
            {
                "name": "w",
                "shape": [16, 2],
                "wakes": 1,
                "units": 16,
                "distinct": 16,
                "distinct_after": 16,
                "act_as": 16,
                "dead": 0,
                "kind": "fine",
                "names": ["w"],
                "unreached": 0,
                "cause": "",
                "remedy": "",
                "strict": False,
                "ignored": False,
                "verdict": "fine",
                "fault": False,
            }
        ],
        "steps": 3,
        "note": "",
        "remarks": [
            {"kind": "one object", "names": ["a", "b"], "text": "one module", "numbers": []}
        ],
    }
    assert Audit.from_dict(plain).remarks == (remark,)
    del plain["remarks"], plain["note"]
    assert Audit.from_dict(plain) == Audit((finding("w"),), 3)


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


def test_a_figure_has_up_to_forty_rows_and_labels_of_up_to_forty_letters() -> None:
    def labels(count: int) -> list[str]:
        return [*rows(Audit(tuple(finding(f"{k}.w") for k in range(count)), 3))]

    assert labels(40) == [f"{k}.w" for k in range(40)]
    assert labels(41) == ["0.w and 40 more"]
    some = [finding("a" * k) for k in range(1, 40)]
    assert [*rows(Audit((*some, finding("0.w"), finding("1.w")), 3))][-1] == "0.w and 1 more"
    assert [*rows(Audit((finding("a" * 40), finding("b" * 41)), 3))] == [
        "a" * 40,
        "b" * 10 + "…" + "b" * 29,
    ]
    assert [*rows(Audit(tuple(finding(f"{k}.w") for k in range(2)), 3))] == ["0.w", "1.w"]


def test_without_axes_the_figure_is_as_high_as_it_has_rows() -> None:
    for blocks, count in ((1, 4), (9, 28)):
        ax = network(blocks).plot()
        assert isinstance(ax.figure, Figure)
        assert ax.figure.get_size_inches() == pytest.approx([6.4, 0.9 + 0.27 * count])
        assert isinstance(ax.figure.get_layout_engine(), ConstrainedLayoutEngine)
        assert len(ax.get_yticks()) == count
    assert [label.get_text() for label in ax.get_xticklabels()] == ["step of the first gradient"]
    plt.close("all")
