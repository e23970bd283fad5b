"""Equal rows, found by fingerprints and by neighbours: the oracle compares every two of them."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zeroinit._equal_rows import groups_of_equal, split_groups, spread

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def together(group: Tensor) -> set[tuple[int, int]]:
    """Return the pairs of rows that have one number."""
    return {(i, j) for i, j in combinations(range(len(group)), 2) if group[i] == group[j]}


def equal(rows: Tensor) -> set[tuple[int, int]]:
    return {
        (i, j) for i, j in combinations(range(len(rows)), 2) if bool((rows[i] == rows[j]).all())
    }


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
    rows[1, place % width] += torch.finfo(dtype).eps
    assert together(groups_of_equal(rows)) == {(0, 2)}


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
