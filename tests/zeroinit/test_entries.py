"""Numbers of a vector that start equal and learn alike; the verdicts by hand."""

import pytest
import torch
from torch import Tensor

from zeroinit._entries import Entries, entries_of


@pytest.mark.parametrize(
    ("numbers", "watched"),
    [
        (torch.ones(8), True),
        (torch.ones(8, dtype=torch.float64), True),
        (torch.ones(8, dtype=torch.bfloat16), False),
        (torch.ones(7), False),
        (torch.ones(2**16), True),
        (torch.ones(2**16 + 1), False),
        (torch.arange(8.0), False),
        (torch.arange(1000.0).clamp(min=9), False),  # nine have an equal one before them
        (torch.arange(1000.0).clamp(min=10), True),
    ],
)
def test_a_vector_with_equals_that_is_neither_short_nor_long_is_watched(
    numbers: Tensor, watched: bool
) -> None:
    assert (entries_of(numbers) is not None) is watched


def test_numbers_are_parted_by_two_gradients_of_any_size() -> None:
    """The first is large and says little; the second is small, and parts the halves."""
    found = Entries(torch.ones(8))
    found.learn(torch.full((8,), 1e4))
    assert (found.equal(), found.known()) == (7, False)
    found.learn(torch.arange(8.0).remainder(2).add(1) * 1e-4)
    assert (found.equal(), found.known()) == (6, True)
    found.learn(torch.arange(8.0).add(1))
    assert (found.equal(), found.known()) == (0, True)
    found.learn(torch.ones(8))
    assert len(found.gradients) == 3  # as none is left to be parted


def test_numbers_that_no_gradient_reaches_are_left_aside() -> None:
    found = Entries(torch.tensor([1.0, 1, 1, 2, 2, 3, 3, 3]))
    for _ in range(2):
        found.learn(torch.tensor([1.0, 1, 0, 1, 0, 0, 0, -1]))
    assert found.equal() == 1  # four are reached: two of the first kind


def test_two_losses_part_what_one_of_them_parts() -> None:
    one, other = Entries(torch.ones(8)), Entries(torch.ones(8))
    for gradient in ([1.0, 1, 2, 2, 0, 0, 0, 0], [1.0, 1, 3, 3, 0, 0, 0, 0]):
        one.learn(torch.tensor(gradient))
    for gradient in ([1.0, 2, 1, 1, 1, 1, 0, 0], [1.0, 3, 1, 1, 1, 1, 0, 0]):
        other.learn(torch.tensor(gradient))
    assert (one.equal(), other.equal()) == (2, 4)
    one.agree(other)
    assert one.equal() == 2  # the third and the fourth, the fifth and the sixth
    assert len(one.gradients) == 4
    third = Entries(torch.ones(8))
    third.learn(torch.tensor([0.0] * 7 + [1]))
    third.agree(one)
    assert third.equal() == 2
    one.agree(Entries(torch.ones(8)))
    assert (one.equal(), len(one.gradients)) == (2, 4)
