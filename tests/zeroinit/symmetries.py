"""Networks with maps of their parameters that keep the loss: swaps, signs and rotations."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]

X = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(8) % 2
#: A swap of the first two of three, the sign of the first, and a rotation or reflection.
SWAP = torch.tensor([1, 0, 2])
FLIP = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
TURN = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double())[0]


class Symmetry(NamedTuple):
    """A network from points of the plane to two logits, and the map of each parameter.

    A parameter goes by the first of the keys that its name begins with; others stay.
    """

    network: nn.Module
    maps: dict[str, Map]

    def __call__(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mapped parameters."""
        same: Map = lambda t: t  # noqa: E731
        return {
            name: next((f for key, f in self.maps.items() if name.startswith(key)), same)(t)
            for name, t in parameters.items()
        }


def rows(order: Tensor) -> Map:
    """Return the map that puts the rows of a tensor into an order."""
    return lambda t: t[order]


def columns(order: Tensor) -> Map:
    """Return the map that puts the columns of a tensor into an order."""
    return lambda t: t[:, order]


class Recurrent(nn.Module):
    """An LSTM that reads each point four times, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(x[:, None].expand(-1, 4, -1))[0]
        return torch.as_tensor(self.head(states[:, -1]))


class Heads(nn.Module):
    """PyTorch's attention with two heads, of the points to one another."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.attention(x, x, x)[0]
        return answer


class Experts(nn.Module):
    """Three linear experts, mixed by a softmax over a router's scores."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(2, 3), nn.Parameter(torch.randn(3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ne,eoi,ni->no", self.router(x).softmax(1), self.experts, x)


class Scores(nn.Module):
    """Attention of the points to one another, with queries and keys of three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = (nn.Linear(2, 3, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.query(x) @ self.key(x).T
        return scores.softmax(1) @ x


def symmetries() -> dict[str, Symmetry]:
    """Return the symmetries by name, on networks of random weights in double precision."""

    def perceptron() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))

    def product() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolution = nn.Sequential(
            nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 3, 2),
            nn.BatchNorm1d(3, track_running_stats=False), nn.Tanh(),
            nn.Conv1d(3, 2, 1), nn.Flatten(),
        )  # fmt: skip
        gates = torch.cat([SWAP + 3 * gate for gate in range(4)])
        parts = torch.tensor([1, 0, 3, 2, 5, 4])  # of queries, keys and values, a row each head
        found = {
            "units swapped": Symmetry(
                perceptron(), {"0": rows(SWAP), "2.weight": columns(SWAP)}
            ),
            "channels swapped": Symmetry(
                convolution, {"1": rows(SWAP), "2": rows(SWAP), "4.weight": columns(SWAP)}
            ),
            "units of an LSTM swapped": Symmetry(
                Recurrent(),
                {
                    "lstm.weight_hh": lambda t: t[gates][:, SWAP],
                    "lstm": rows(gates),
                    "head.weight": columns(SWAP),
                },
            ),
            "heads swapped": Symmetry(
                Heads(),
                {
                    "attention.in_proj": rows(parts),
                    "attention.out_proj.weight": columns(torch.tensor([1, 0])),
                },
            ),
            "experts swapped": Symmetry(Experts(), {"": rows(SWAP)}),
            "sign of a tanh unit": Symmetry(
                perceptron(),
                {
                    "0.weight": lambda t: FLIP[:, None] * t,
                    "0.bias": lambda t: FLIP * t,
                    "2.weight": lambda t: t * FLIP,
                },
            ),
            "factors turned": Symmetry(
                product(), {"0": lambda t: TURN @ t, "1": lambda t: t @ TURN.T}
            ),
            "signs of both factors": Symmetry(product(), {"": lambda t: -t}),
            "queries and keys turned": Symmetry(Scores(), {"": lambda t: TURN @ t}),
            "signs of queries and keys": Symmetry(Scores(), {"": lambda t: -t}),
        }  # fmt: skip
        for case in found.values():
            for parameter in case.network.double().parameters():
                nn.init.normal_(parameter)
    return found
