"""Networks that start with a zero on purpose: one factor of a product is 0, and the other is not.

Each is the smallest model in which its source's idea can be seen: from 2 numbers, over one block of
16 units, to 2 logits, with linear layers where the source has convolutions. All other layers keep
PyTorch's default start, and so do the frozen layers, which take the place of pretrained ones.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit._checks import lookup
from zeroinit.initialization import zeros_


class ZeroGamma(nn.Module):
    """Zero: γ of a residual branch's last norm (Goyal et al. 2017).

    Examples
    --------
    >>> design("zero-γ").norm2.weight.any()
    tensor(False)
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 16)
        self.first = nn.Linear(16, 16, bias=False)
        self.norm1 = nn.BatchNorm1d(16)
        self.last = nn.Linear(16, 16, bias=False)
        self.norm2 = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 2)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        branch = self.norm2(self.last(F.relu(self.norm1(self.first(u)))))
        return cast(Tensor, self.head(F.relu(u + branch)))


class Fixup(nn.Module):
    """Zero: each branch's last layer, and the head (Zhang et al. 2019).

    Scalar biases and a scale replace the norms. With many branches their first
    layers also start smaller, by a factor that is 1 for a single branch.

    Examples
    --------
    >>> model = design("Fixup")
    >>> model.last.weight.any(), model.head.weight.any()
    (tensor(False), tensor(False))
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 16)
        self.first = nn.Linear(16, 16, bias=False)
        self.last = zeros_(nn.Linear(16, 16, bias=False))
        self.scale = nn.Parameter(torch.ones(1))
        self.biases = nn.Parameter(torch.zeros(4))
        self.head = zeros_(nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        b1, b2, b3, b4 = self.biases
        h = F.relu(self.first(u + b1) + b2)
        branch = self.scale * self.last(h + b3) + b4
        return cast(Tensor, self.head(F.relu(u + branch)))


class SkipInit(nn.Module):
    """Zero: a scalar gate at the end of each residual branch (De & Smith 2020).

    Examples
    --------
    >>> design("SkipInit").gate
    Parameter containing:
    tensor([0.], requires_grad=True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 16)
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 16)
        self.gate = nn.Parameter(torch.zeros(1))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        branch = self.last(F.relu(self.first(F.relu(u))))
        return cast(Tensor, self.head(u + self.gate * branch))


class ReZero(nn.Module):
    """Zero: a scalar gate on every layer (Bachlechner et al. 2021).

    Examples
    --------
    >>> design("ReZero").gate
    Parameter containing:
    tensor([0.], requires_grad=True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 16)
        self.layer = nn.Linear(16, 16)
        self.gate = nn.Parameter(torch.zeros(1))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        return cast(Tensor, self.head(u + self.gate * F.relu(self.layer(u))))


class LayerScale(nn.Module):
    """Nearly zero: a gate for each unit of a branch (Touvron et al. 2021).

    The gates start at 1e-5, as the paper has it for 24 layers: it takes 0.1 up
    to 18 layers, and 1e-6 for more than 24.

    Examples
    --------
    >>> design("LayerScale").gate.unique()
    tensor([1.0000e-05], grad_fn=<Unique2Backward0>)
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Linear(2, 16), nn.LayerNorm(16)
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 16)
        self.gate = nn.Parameter(torch.full((16,), 1e-5))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        branch = self.last(F.gelu(self.first(self.norm(u))))
        return cast(Tensor, self.head(u + self.gate * branch))


class LoRA(nn.Module):
    """Zero: B of the update BA of a frozen weight (Hu et al. 2022).

    Examples
    --------
    Only the update is trained:

    >>> [name for name, p in design("LoRA").named_parameters() if p.requires_grad]
    ['A.weight', 'B.weight']
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(2, 16), nn.Linear(16, 2)
        self.layer = nn.Linear(16, 16)
        self.requires_grad_(False)  # the pretrained network
        self.A = nn.Linear(16, 4, bias=False)
        self.B = zeros_(nn.Linear(4, 16, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = F.relu(self.stem(x))
        z = self.layer(u) + self.B(self.A(u))
        return cast(Tensor, self.head(F.relu(z)))


class ControlNet(nn.Module):
    """Zero: the layers into and out of a trained copy (Zhang et al. 2023).

    A 1×1 convolution is a linear layer at every place. The condition is
    here the point itself.

    Examples
    --------
    At the start the output is that of the frozen network:

    >>> model, x = design("ControlNet"), torch.randn(5, 2)
    >>> torch.equal(model(x), model.head(model.block(model.stem(x))))
    True
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(2, 16), nn.Linear(16, 2)
        self.block = nn.Sequential(nn.Linear(16, 16), nn.ReLU())
        self.requires_grad_(False)  # the pretrained network
        self.zero1 = zeros_(nn.Linear(2, 16))
        self.copy = deepcopy(self.block).requires_grad_(True)
        self.zero2 = zeros_(nn.Linear(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        control = self.zero2(self.copy(u + self.zero1(x)))
        return cast(Tensor, self.head(self.block(u) + control))


class AdaLNZero(nn.Module):
    """Zero: the layer that gives shift, scale and gate; the head (Peebles & Xie 2023).

    The paper mentions the gate alone; the rest is zero in its code. The
    condition is here computed from the point itself.

    Examples
    --------
    >>> model = design("adaLN-Zero")
    >>> model.modulation.weight.any(), model.head.weight.any()
    (tensor(False), tensor(False))
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.condition = nn.Linear(2, 16), nn.Linear(2, 16)
        self.norm = nn.LayerNorm(16, elementwise_affine=False)
        self.modulation = zeros_(nn.Linear(16, 3 * 16))
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 16)
        self.head = zeros_(nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        c = F.silu(self.condition(x))
        shift, scale, gate = self.modulation(c).chunk(3, dim=1)
        modulated = self.norm(u) * (1 + scale) + shift
        branch = self.last(F.gelu(self.first(modulated)))
        return cast(Tensor, self.head(u + gate * branch))


class MuP(nn.Module):
    """Zero: the query of attention, and the readout (µP, Yang et al. 2022).

    A point becomes four tokens. Scores are divided by the width, not by its root.

    Examples
    --------
    >>> model = design("µP")
    >>> model.query.weight.any(), model.readout.weight.any()
    (tensor(False), tensor(False))
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 4 * 16)
        self.query = zeros_(nn.Linear(16, 16, bias=False))
        self.key = nn.Linear(16, 16, bias=False)
        self.value = nn.Linear(16, 16, bias=False)
        self.out = nn.Linear(16, 16, bias=False)
        self.readout = zeros_(nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = F.relu(self.embed(x)).unflatten(1, (4, 16))
        scores = self.query(u) @ self.key(u).mT / 16
        attention = self.out(scores.softmax(2) @ self.value(u))
        return cast(Tensor, self.readout((u + attention).mean(1)))


class ZerO(nn.Module):
    """Zeros and ones, up to a factor, and nothing random (Zhao et al. 2022).

    Where the width grows, a Hadamard matrix; where it shrinks, the first
    units are passed on; and in a branch the identity, then zero.

    Examples
    --------
    >>> design("ZerO").stem.weight.unique().tolist()
    [-0.25, 0.25]
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = zeros_(nn.Linear(2, 16))
        self.first = zeros_(nn.Linear(16, 16))
        self.last = zeros_(nn.Linear(16, 16))
        self.head = zeros_(nn.Linear(16, 2))
        hadamard = signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        while len(hadamard) < 16:
            hadamard = torch.kron(hadamard, signs)
        self.stem.weight.data = hadamard[:, :2] / 4  # 4, the root of the width
        nn.init.eye_(self.first.weight)
        nn.init.eye_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of points ``x``, both of shape (n, 2)."""
        u = self.stem(x)
        return cast(Tensor, self.head(u + self.last(F.relu(self.first(u)))))


#: The designs by the name under which they are known.
#:
#: :meta hide-value:
DESIGNS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "zero-γ": ZeroGamma,
        "Fixup": Fixup,
        "SkipInit": SkipInit,
        "ReZero": ReZero,
        "LayerScale": LayerScale,
        "LoRA": LoRA,
        "ControlNet": ControlNet,
        "adaLN-Zero": AdaLNZero,
        "µP": MuP,
        "ZerO": ZerO,
    }
)


def design(name: str, *, seed: int = 0) -> nn.Module:
    """Return a network of a known design, at its start.

    Parameters
    ----------
    name : str
        A name in :data:`DESIGNS`.
    seed : int, default 0
        Seed of the random part of the start. The global random state is left as it was.

    Raises
    ------
    ValueError
        If the design is unknown.

    Examples
    --------
    The zero factor moves first, the other one a step later:

    >>> model = design("LoRA")
    >>> train(model, half_plane(), lr=0.1, steps=3).wakes()
    {'A.weight': 2, 'B.weight': 1}

    With both zero, nothing moves:

    >>> model = design("LoRA")
    >>> for factor in (model.A, model.B):
    ...     _ = zeros_(factor)
    >>> train(model, half_plane(), lr=0.1, steps=3).wakes()
    {'A.weight': None, 'B.weight': None}
    """
    make = lookup("design", name, DESIGNS)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
