"""The table of slopes at zero: PyTorch's column again, and the sides on which all agree."""

import json
from itertools import pairwise

import pytest

from atlas import slopes

COLUMNS = json.loads(slopes.COLUMNS.read_text("utf-8"))


def test_pytorchs_column_is_as_it_is_kept() -> None:
    kept = COLUMNS["PyTorch"]["slopes"]
    now = slopes.measure("PyTorch")["slopes"]
    assert now.keys() == kept.keys() == slopes.FUNCTIONS.keys()
    for name, values in now.items():
        assert values == pytest.approx(kept[name], rel=1e-6), name


@pytest.mark.parametrize("name", slopes.FUNCTIONS)
def test_all_libraries_agree_beside_zero(name: str) -> None:
    rows = [c["slopes"][name] for c in COLUMNS.values() if name in c["slopes"]]
    assert len(rows) > 3
    for one, other in pairwise(rows):
        assert one[::2] == pytest.approx(other[::2], rel=3e-3)


def test_the_page_shows_the_table_of_the_columns() -> None:
    assert slopes.COLUMNS.with_suffix(".md").read_text("utf-8") == slopes.table(COLUMNS)


def test_the_sentences_below_the_table_are_so() -> None:
    at = {name: {k: v[1] for k, v in c["slopes"].items()} for name, c in COLUMNS.items()}
    others = {name: column for name, column in at.items() if name != "PyTorch"}
    assert at["PyTorch"]["leaky_relu"] == pytest.approx(0.01)
    assert all(column["leaky_relu"] == 1 for column in others.values())
    answers = {c["prelu"] for c in at.values() if "prelu" in c}
    assert answers == {0, 0.25, 1.25}
    assert (at["Keras on JAX"]["prelu"], at["MLX"]["prelu"]) == (0, 1.25)
    assert (at["MLX"]["celu"], at["tinygrad"]["elu"], at["tinygrad"]["erf"]) == (0, 0, 0)
    nan = {name for name, column in at.items() if column.get("norm") != column.get("norm")}
    assert nan == {"JAX", "Keras on JAX", "MLX"}
    assert {n for n, c in at.items() if c["prod"] != c["prod"]} == {"Paddle"}
