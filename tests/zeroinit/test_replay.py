"""A replay gives the numbers of the function that it replays, and is refused where it would not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zeroinit.replay import recorded

POINT = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], dtype=torch.float64)
CONSTANT = torch.arange(3.0, dtype=torch.float64)


def chosen(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parts of an operation that gives several tensors, one of them twice."""
    value, place = x.max(0)
    return value * 2, value + place


#: What a function may do: operations of several outputs, constants, views, keywords, other shapes.
FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "several outputs": chosen,
    "split": lambda x: [part.sum() for part in x.split([1, 2], 1)],
    "a constant": lambda x: x @ CONSTANT + CONSTANT.sum(),
    "two constants": lambda x: x * CONSTANT - CONSTANT.flip(0),
    "views": lambda x: x.detach().view(2, 3).view(3, 2).expand(3, 2) + x.view(6)[:1],
    "widened": lambda x: x.view(2, 3, 1).expand(2, 3, 4).sum(2),
    "keywords": lambda x: torch.softmax(x, dim=1).sum(dim=0, keepdim=True),
    "a number by name": lambda x: torch.add(x, CONSTANT, alpha=2),
    "a list": lambda x: torch.cat([x, 2 * x]),
    "the argument itself": lambda x: (x, x + 1),
    "NaN": lambda x: (x - 100).log(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_replay_gives_the_same_numbers_without_running_the_function(name: str) -> None:
    calls = []

    def function(x: Tensor) -> Any:
        calls.append(x)
        return FUNCTIONS[name](x)

    replay = recorded(function, [POINT])
    assert replay is not function
    count = len(calls)
    torch.testing.assert_close(
        replay(POINT**2), FUNCTIONS[name](POINT**2), rtol=0, atol=0, equal_nan=True
    )
    assert len(calls) == count


def test_a_replay_must_give_the_same_to_the_last_bit() -> None:
    calls = []

    def drifting(x: Tensor) -> Tensor:
        calls.append(x)
        return x + len(calls) * 1e-12

    assert recorded(drifting, [POINT]) is drifting


def test_a_function_that_reads_numbers_out_of_tensors_is_left_as_it_is() -> None:
    """What depends on a number was decided when it was recorded, and is wrong elsewhere."""

    def function(x: Tensor) -> Tensor:
        return x * float(x.sum())

    assert recorded(function, [POINT]) is function


def test_a_function_that_fails_says_so_itself() -> None:
    def function(x: Tensor) -> Tensor:
        return x @ x

    assert recorded(function, [POINT]) is function
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        function(POINT)


def test_a_replay_asks_for_no_gradient() -> None:
    replay = recorded(lambda x: x * 2, [POINT])
    assert not replay(POINT.clone().requires_grad_()).requires_grad
