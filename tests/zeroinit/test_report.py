"""The result of an audit: its table, its names and its other forms."""

import pytest

from zeroinit.report import KINDS, Audit, Finding


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
