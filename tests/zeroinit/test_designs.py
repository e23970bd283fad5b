"""The designs that put zero on purpose compute what their papers write."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from zeroinit import xor
from zeroinit.designs import DESIGNS, design

DATA = xor(64, dtype=torch.float64)


class Parameters:
    """The parameters of a design by name, and which of them a formula has used."""

    def __init__(self, model: nn.Module) -> None:
        self.named = dict(model.named_parameters())
        self.used: set[str] = set()

    def __call__(self, name: str) -> Tensor:
        self.used.add(name)
        return self.named[name]

    def times(self, name: str, u: Tensor) -> Tensor:
        """Return u Wᵀ."""
        return u @ self(f"{name}.weight").T

    def linear(self, name: str, u: Tensor) -> Tensor:
        """Return u Wᵀ + b."""
        return self.times(name, u) + self(f"{name}.bias")

    def norm(self, name: str, u: Tensor, dim: int) -> Tensor:
        """Return γ x̂ + β, with mean and variance along ``dim``."""
        return self(f"{name}.weight") * standard(u, dim) + self(f"{name}.bias")


def standard(u: Tensor, dim: int) -> Tensor:
    """Return u less its mean, over its deviation."""
    centred = u - u.mean(dim, keepdim=True)
    return centred / (centred.square().mean(dim, keepdim=True) + 1e-5).sqrt()


def gelu(z: Tensor) -> Tensor:
    """Return z Φ(z)."""
    return z * (1 + torch.erf(z / math.sqrt(2))) / 2


def relu(z: Tensor) -> Tensor:
    """Return the positive part."""
    return z.clamp(min=0)


def zero_gamma(p: Parameters, u: Tensor) -> Tensor:
    h = relu(p.norm("norm1", p.times("first", u), 0))
    return relu(u + p.norm("norm2", p.times("last", h), 0))


def fixup(p: Parameters, u: Tensor) -> Tensor:
    b = p("biases")
    h = relu(p.times("first", u + b[0]) + b[1])
    return relu(u + p("scale") * p.times("last", h + b[2]) + b[3])


def skip_init(p: Parameters, u: Tensor) -> Tensor:
    return u + p("gate") * p.linear("last", relu(p.linear("first", relu(u))))


def layer_scale(p: Parameters, u: Tensor) -> Tensor:
    return u + p("gate") * p.linear("last", gelu(p.linear("first", p.norm("norm", u, 1))))


def adaln_zero(p: Parameters, u: Tensor) -> Tensor:
    z = p.linear("condition", DATA.x)
    made = p.linear("modulation", z * z.sigmoid())
    h = gelu(p.linear("first", standard(u, 1) * (1 + made[:, 16:32]) + made[:, :16]))
    return u + made[:, 32:] * p.linear("last", h)


def mup(p: Parameters, tokens: Tensor) -> Tensor:
    """Attend one token at a time."""
    u = relu(tokens).reshape(-1, 4, 16)
    query, key, value = (p.times(name, u) for name in ("query", "key", "value"))
    seen = []
    for t in range(4):
        shares = torch.exp((query[:, t, None] * key).sum(2) / 16)
        shares = shares / shares.sum(1, keepdim=True)
        seen.append((shares[:, :, None] * value).sum(1))
    return (u + p.times("out", torch.stack(seen, 1))).sum(1) / 4


#: What stands between the first layer and the last in each design, as its paper writes it.
FORMULAS: dict[str, Callable[[Parameters, Tensor], Tensor]] = {
    "zero-γ": zero_gamma,
    "Fixup": fixup,
    "SkipInit": skip_init,
    "ReZero": lambda p, u: u + p("gate") * relu(p.linear("layer", u)),
    "LayerScale": layer_scale,
    "LoRA": lambda p, u: relu(
        p.linear("layer", relu(u)) + relu(u) @ (p("B.weight") @ p("A.weight")).T
    ),
    "ControlNet": lambda p, u: (
        relu(p.linear("block.0", u))
        + p.linear("zero2", relu(p.linear("copy.0", u + p.linear("zero1", DATA.x))))
    ),
    "adaLN-Zero": adaln_zero,
    "µP": mup,
    "ZerO": lambda p, u: u + p.linear("last", relu(p.linear("first", u))),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_computes_the_formula_of_its_paper(name: str) -> None:
    """At random parameters, none of them zero; and no parameter is left out of the formula."""
    model = design(name).double()
    generator = Generator().manual_seed(0)
    for p in model.parameters():
        p.data.normal_(generator=generator)
    parameters = Parameters(model)
    first, last = ("embed", "readout") if name == "µP" else ("stem", "head")
    u = FORMULAS[name](parameters, parameters.linear(first, DATA.x))
    torch.testing.assert_close(model(DATA.x), parameters.linear(last, u))
    assert model(DATA.x).shape == (64, 2)
    assert parameters.used == {*parameters.named}
