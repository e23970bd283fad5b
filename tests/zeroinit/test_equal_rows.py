"""Equal rows, found by fingerprints and by neighbours: the oracle compares every two of them."""

from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zeroinit import _equal_rows
from zeroinit._equal_rows import (
    alike_rows,
    all_equal,
    any_number,
    groups_of_equal,
    heights,
    in_both,
    split_groups,
    spread,
    without_equals,
)

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def together(group: Tensor) -> set[tuple[int, int]]:
    """Return the pairs of rows that have one number."""
    return {(i, j) for i, j in combinations(range(len(group)), 2) if group[i] == group[j]}


def equal(rows: Tensor) -> set[tuple[int, int]]:
    return {
        (i, j) for i, j in combinations(range(len(rows)), 2) if bool((rows[i] == rows[j]).all())
    }


def change(rows: Tensor, *places: tuple[int, int, float]) -> Tensor:
    for row, column, number in places:
        rows[row, column] = number
    return rows


DIFFERENT = torch.arange(70 * 64.0).reshape(70, 64).cos() - 2  # each is negative
SHARED = torch.cat([torch.ones(70, 4), DIFFERENT[:, 4:]], 1)  # the first columns do not part them
#: Matrices of which the first rows are a small matrix of the same kind.
MATRICES = {
    "different": DIFFERENT,
    "one is zero": torch.cat([DIFFERENT[:1], torch.zeros(1, 64), DIFFERENT[2:]]),
    "the last two are equal": DIFFERENT[[*range(69), 68]],
    "the first and the last": DIFFERENT[[*range(69), 0]],
    "groups and zeros": DIFFERENT[[n % 3 for n in range(70)]]
    * torch.tensor([[1.0], [0]]).tile(35, 1),
    "alike in four columns": SHARED,
    "alike in four columns, and two are equal": SHARED[[*range(40), 3, *range(41, 70)]],
    "alike in sixteen columns": change(torch.ones(70, 64), (1, 1, 2), (3, 1, 2), (5, 62, 0)),
    "two are alike in sixteen columns": change(DIFFERENT[[*range(69), 3]], (3, 1, 5)),
    "one wide row": torch.ones(1, 5000),
    "all are equal": DIFFERENT[:1].repeat(70, 1),
    "all are zero": torch.zeros(70, 64),
    "zeros of both signs": change(torch.zeros(70, 64), (1, 5, -0.0), (69, 63, -0.0)),
    "zero but one number": change(torch.zeros(70, 64), (2, 40, -1)),
    "equal but one number": change(-torch.ones(70, 64), (2, 40, -2)),
    "a column": DIFFERENT[:, :1],
    "a column of equals": torch.tensor([[2.0], [-1], [0], [2]] * 1025),
    "no columns": torch.zeros(70, 0),
}


@pytest.mark.parametrize("chunk", [2**6, _equal_rows.CHUNK])
@pytest.mark.parametrize("count", [70, 8, 1, 0])
@pytest.mark.parametrize("kind", MATRICES)
def test_what_is_equal_or_zero_is_found_in_small_matrices_and_in_large(
    kind: str, count: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_equal_rows, "CHUNK", chunk)  # so that several parts are looked at
    for dtype in DTYPES:
        rows = MATRICES[kind][: count if count < 70 else None].to(dtype)
        if len(rows) > 70 and dtype != torch.float32:
            continue  # once is enough
        same = (rows[:, None] == rows).all(-1)
        found = alike_rows(rows)
        several = (same.sum(1) > 1) | (rows == 0).all(1)
        if rows.shape[1]:
            assert found.rows.tolist() == several.nonzero().flatten().tolist()
        assert torch.equal(found.of_all[:, None] == found.of_all, same)
        assert torch.equal(found.group, found.of_all[found.rows])
        assert found.distinct == len(set(map(tuple, rows.tolist())))
        assert [t.dtype for t in found[:3]] == 3 * [torch.long]
        if len(rows):
            assert all_equal(rows) == bool(same.all())


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_matrices_without_equals_are_found_together(dtype: torch.dtype) -> None:
    several = {(kind, n): rows[:n].to(dtype) for kind, rows in MATRICES.items() for n in (5, 8)}
    several = {key: rows for key, rows in several.items() if rows.numel()}
    found = without_equals(several)
    for key, rows in several.items():
        alone = alike_rows(rows)
        assert key not in found or str(found[key]) == str(alone)
    assert {key for key, rows in several.items() if len(rows) == 8} & set(found)
    assert ("different", 8) in found
    assert ("a column", 8) in found


@pytest.mark.parametrize("kind", ["different", "the last two are equal"])
def test_a_large_matrix_may_be_turned(kind: str) -> None:
    rows = MATRICES[kind].repeat(1, 2)
    turned = rows.T.contiguous().T
    assert str(alike_rows(turned)) == str(alike_rows(rows))


@pytest.mark.parametrize("kind", MATRICES)
def test_each_tensor_is_made_where_the_rows_are(kind: str) -> None:
    """Without a word of a device they are made on the default one: here they have no numbers."""
    rows = MATRICES[kind]
    for some in (rows, rows[:8]):
        with torch.device("meta"):
            found = alike_rows(some), groups_of_equal(some)
        assert str(found) == str((alike_rows(some), groups_of_equal(some)))
        if some.shape[1]:
            group = torch.zeros(len(some), dtype=torch.long)
            with torch.device("meta"):
                parted = split_groups(group, some)
            assert torch.equal(parted, split_groups(group, some))


@given(
    st.integers(0, 12),
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(DTYPES),
    st.integers(0, 2**32),
)
def test_rows_are_grouped_by_their_bits(
    n: int, width: int, kinds: int, dtype: torch.dtype, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    different = torch.randn(kinds, width, generator=draw).to(dtype)
    rows = different[torch.randint(kinds, (n,), generator=draw)]
    assert together(groups_of_equal(rows)) == equal(rows)


@given(st.integers(2, 200), st.integers(0, 10**6), st.sampled_from(DTYPES))
def test_one_bit_anywhere_makes_a_row_another(width: int, place: int, dtype: torch.dtype) -> None:
    rows = torch.ones(3, width, dtype=dtype)
    for other in (1 + torch.finfo(dtype).eps, -1):
        rows[1, place % width] = other
        assert together(groups_of_equal(rows)) == {(0, 2)}


@pytest.mark.parametrize(
    "t",
    [
        *(
            torch.tensor(n)
            for n in ([], [0.0], [0, -0.0], [0, 2], [0.0, -2], [5, -3.0], [torch.nan])
        ),
        *(torch.tensor([0, n]).to(kind) for n in (0, 1) for kind in (torch.complex64, torch.bool)),
        *(torch.tensor(n, dtype=torch.int8) for n in (0, -128)),
        *(torch.tensor([0.0, n]).to(torch.float8_e4m3fn) for n in (0, -1)),
        *(torch.tensor([0.0, n]).to_sparse() for n in (0, 1)),
    ],
    ids=str,
)
def test_a_number_that_is_not_zero_is_seen(t: Tensor) -> None:
    flat = t.to_dense().flatten().tolist() if t.is_sparse else t.flatten().tolist()
    assert any_number(t) is any(number != 0 for number in flat)


def test_a_number_of_python_that_autograd_keeps_is_seen() -> None:
    """PyTorch 2.13 gives as its amax() what stands in memory."""
    for _ in range(100):
        for number in (0.0, 1.0):
            node: Any = (number * torch.ones(3, requires_grad=True)).grad_fn
            assert any_number(node._saved_other.detach()) is bool(number)


def test_the_height_of_a_row_is_its_largest_number_without_the_sign() -> None:
    rows = torch.tensor([[1.0, -3], [2, 1], [0, 0], [torch.nan, 1]])
    assert str(heights(rows).tolist()) == "[3.0, 2.0, 0.0, nan]"


def test_minus_zero_is_zero() -> None:
    assert together(groups_of_equal(torch.tensor([[0.0, 1.0], [-0.0, 1.0]]))) == {(0, 1)}


def test_rows_without_numbers_are_all_equal() -> None:
    assert together(groups_of_equal(torch.empty(3, 0))) == {(0, 1), (0, 2), (1, 2)}
    assert groups_of_equal(torch.empty(0, 3)).shape == (0,)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 1000, 2**24 + 4, 64_000_000, 10**15])
def test_places_are_from_the_first_to_the_last_and_none_beyond(length: int) -> None:
    """In single precision 63 999 999 is 64 000 000, which no table of a million by 64 has."""
    found = spread(length).tolist()
    assert (found[0], found[-1]) == (0, length - 1)
    assert found == sorted(set(found))
    assert len(found) == min(16, length)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_splits_no_group_and_a_hundredth_does(dtype: torch.dtype) -> None:
    rows = torch.randn(1, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = rows.repeat(4, 1)
    rows[1] *= 1 + torch.finfo(dtype).eps
    rows[3] *= 1.03
    found = split_groups(torch.zeros(4, dtype=torch.long), rows.to(dtype))
    assert together(found) == {(0, 1), (0, 2), (1, 2)}


def test_a_split_never_joins_what_was_apart() -> None:
    rows = torch.ones(4, 32)
    assert together(split_groups(torch.tensor([0, 0, 1, 1]), rows)) == {(0, 1), (2, 3)}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(5, 7)), max_size=12))
def test_what_is_together_in_both_groupings_stays_together(pairs: list[tuple[int, int]]) -> None:
    group, other = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    assert together(in_both(group, other)) == together(group) & together(other)


@pytest.mark.parametrize("chunk", [2**6, _equal_rows.CHUNK])
@pytest.mark.parametrize("largest", [1e-30, 2.0**-8, 1.0, 1e4])
@given(
    st.integers(2, 30),
    st.integers(20, 40),
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from(DTYPES),
    st.integers(0, 2**32),
)
def test_groups_are_split_as_a_comparison_of_every_two_says(
    chunk: int,
    largest: float,
    n: int,
    width: int,
    groups: int,
    kinds: int,
    dtype: torch.dtype,
    seed: int,
) -> None:
    """Rows are equal up to rounding, or differ by much; some are at none of the places."""
    if largest < torch.finfo(dtype).tiny:
        largest = 1.0
    draw = torch.Generator().manual_seed(seed)
    different = torch.randn(kinds, width, generator=draw, dtype=torch.float64)
    different *= largest / different.abs().max()
    rounding = 1 + torch.finfo(dtype).eps * torch.rand(n + 3, width, generator=draw)
    rows = different[torch.randint(kinds, (n + 3,), generator=draw)].mul(rounding).to(dtype)
    places = torch.randperm(n + 3, generator=draw)[:n]
    group = torch.randint(groups, (n,), generator=draw)
    asked = rows[places].double()
    apart = (asked[:, None] - asked).norm(dim=-1) > 0.1 * asked.norm(dim=-1)
    wanted = {(i, j) for i, j in together(group) if not apart[i, j]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_equal_rows, "CHUNK", chunk)
        assert together(split_groups(group, rows, places, largest)) == wanted
        assert together(split_groups(group, rows[places], None, largest)) == wanted


def test_a_row_is_no_twin_of_its_negative() -> None:
    """Each column's range is as far below zero as above."""
    rows = torch.randn(1, 32, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1], [-1]]
    )
    assert together(split_groups(torch.tensor([0, 0]), rows)) == set()


def test_rows_of_few_numbers_may_be_equal_by_chance() -> None:
    """A thousand rows of one bfloat16 number each: some are equal, and that says nothing."""
    rows = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert len(rows.unique()) < 1000
    assert len(split_groups(torch.zeros(1000, dtype=torch.long), rows).unique()) == 1000


def test_rows_of_tiny_numbers_are_told_apart() -> None:
    """Their squares are zero in single precision."""
    rows = torch.randn(6, 16, generator=torch.Generator().manual_seed(0)) * 1e-30
    rows[3] = rows[0]
    found = split_groups(torch.zeros(6, dtype=torch.long), rows, None, 1e-30)
    assert together(found) == {(0, 3)}
