"""The steps of an audit: how often they call what, and what they read off the gradients."""

import math
from itertools import count
from typing import Any

import pytest
import torch
from audited import Made, X, classify
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from zeroinit._watched import Slope, measure
from zeroinit.auditing import audit

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
SHAPES = [(2, 3), (3, 2), (1, 1), (6, 1), (0, 2), (2, 0), (70, 60)]


@given(st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES),
                          st.sampled_from([0.0, 1e-30, 1.0, float("nan")])), max_size=8),
       st.integers(0, 2**32))  # fmt: skip
def test_gradients_that_are_measured_together_are_measured_right(
    kinds: list[tuple[tuple[int, int], torch.dtype, float]], seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    drawn = [(torch.randn(s, generator=draw) * size).to(dtype) for s, dtype, size in kinds]
    slopes = [Slope(rows, lambda rows=rows: rows, None) for rows in drawn]  # type: ignore[misc]
    measure(slopes)
    for slope, rows in zip(slopes, drawn, strict=True):
        tall = [max(map(abs, row), default=0.0) for row in rows.tolist()]
        tall = [float("nan") if row.isnan().any() else t for t, row in zip(tall, rows, strict=True)]
        assert slope.heights.dtype == rows.dtype
        torch.testing.assert_close(slope.heights.double(), torch.tensor(tall).double(),
                                   rtol=0, atol=0, equal_nan=True)  # fmt: skip
        assert slope.steepest == max(tall, default=0.0) or rows.isnan().any()
        assert math.isnan(slope.steepest) == bool(rows.isnan().any())


def passes(model: Any) -> int:
    """Return how often an audit goes back from the first value of the loss."""
    gone: list[int] = []
    calls = count()

    def loss(m: Any) -> Tensor:
        value, call = classify(m), next(calls)
        value.register_hook(lambda g: gone.append(call))
        return value

    audit(model, loss, steps=2)
    return gone.count(0)


@pytest.mark.parametrize("learns", [True, False])
def test_causes_are_seen_in_the_first_pass_where_a_matrix_is_zero(learns: bool) -> None:
    """Where nothing is zero that hides what is below, a second pass is made if it is needed."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    assert passes(model) == 1
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    nn.init.constant_(model[0].bias, -50)
    assert passes(model) == 2
    nn.init.zeros_(model[2].weight).requires_grad_(learns)
    assert passes(model) == (1 if learns else 2)


def test_two_equal_pairs_are_told_apart_by_their_gradients_alone() -> None:
    """Matrices without a gradient stay together, and those whose gradients differ part."""
    torch.manual_seed(0)

    def how(s: Any, x: Tensor) -> Any:
        a, b, c, d = (layer(x) for layer in s.layers)
        return s.head(a + b) + s.other(c) + 0 * d

    start = nn.Linear(8, 8, bias=False)
    layers = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(4)])
    layers.load_state_dict({f"{n}.weight": start.weight for n in range(4)})
    model: Any = Made(how, layers=layers, head=nn.Linear(8, 8), other=nn.Linear(8, 8))
    found = audit(model, lambda m: (m(X) - 1).square().mean())
    assert {f.name: f.kind for f in found.faults} == {
        "layers.0.weight": "equal modules",
        "layers.1.weight": "equal modules",
        "layers.3.weight": "dead",
    }
