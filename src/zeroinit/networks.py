"""The network of the book, and its activations.

Notation of the book: h⁰ = x, zˡ = Wˡ hˡ⁻¹ + bˡ, hˡ = σ(zˡ) for l < L, f(x) = zᴸ.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit._checks import lookup


class Activation(NamedTuple):
    r"""An activation function :math:`\sigma` and its derivative, both elementwise.

    Examples
    --------
    Which parameters of an all-zero network can move depends on :math:`\sigma(0)`:

    >>> zero = torch.zeros(())
    >>> float(ACTIVATIONS["tanh"].function(zero)), float(ACTIVATIONS["sigmoid"].function(zero))
    (0.0, 0.5)

    PyTorch takes 0 for the derivative of ReLU at its kink:

    >>> float(ACTIVATIONS["relu"].derivative(zero))
    0.0
    """

    #: The function, of a tensor of any shape to one of the same shape.
    function: Callable[[Tensor], Tensor]
    #: Its derivative, with PyTorch's value at a kink.
    derivative: Callable[[Tensor], Tensor]


def _sigmoid_derivative(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * torch.sigmoid(-z)


def _gelu_derivative(z: Tensor) -> Tensor:
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    cumulative: Tensor = torch.special.ndtr(z)
    return cumulative + z * density


def _silu_derivative(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * (1 + z * torch.sigmoid(-z))


def _step(z: Tensor, below: float) -> Tensor:
    """1 where z > 0, ``below`` elsewhere, as PyTorch's backward pass has it."""
    return torch.where(z > 0, torch.ones_like(z), torch.full_like(z, below))


#: The activations by name, each with its derivative. Those named relu, leaky_relu, tanh, gelu,
#: silu, elu and identity are 0 at 0; sigmoid and softplus are not.
#:
#: :meta hide-value:
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "relu": Activation(F.relu, lambda z: (~(z <= 0)).to(z.dtype)),  # 1 of NaN, as PyTorch
        "leaky_relu": Activation(F.leaky_relu, lambda z: _step(z, 0.01)),
        "tanh": Activation(torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
        "gelu": Activation(F.gelu, _gelu_derivative),
        "silu": Activation(F.silu, _silu_derivative),
        "elu": Activation(F.elu, lambda z: torch.exp(torch.where(z <= 0, z, 0))),
        "identity": Activation(lambda z: z, torch.ones_like),
        "sigmoid": Activation(torch.sigmoid, _sigmoid_derivative),
        "softplus": Activation(F.softplus, torch.sigmoid),
    }
)


class MLP(nn.Module):
    r"""A fully connected network, :math:`f(x) = W^L\sigma(\dots\sigma(W^1x + b^1)\dots) + b^L`.

    An ordinary module: ``layers[l - 1]`` is the :class:`torch.nn.Linear` that holds
    :math:`W^l` and :math:`b^l`.

    Parameters
    ----------
    widths : sequence of int, each at least 1
        Units of every layer, the input first: ``[2, 16, 2]`` is the lesson's network.
    activation : str, default ``"relu"``
        A name in :data:`ACTIVATIONS`.
    bias : bool, default True
        Whether the layers have a bias.
    seed : int, default 0
        Seed of the start, which is PyTorch's own: what :class:`torch.nn.Linear` draws after
        ``torch.manual_seed(seed)``. The global random state is left as it was.
    dtype : torch.dtype, optional
        Of the parameters; PyTorch's default if not given.

    Raises
    ------
    TypeError
        If ``widths`` is not a sequence, or a width is not an ``int``; ``True`` is none.
    ValueError
        If there are fewer than two widths, one is below 1, or the activation is unknown.

    Examples
    --------
    The lesson's network has 82 parameters, and gives two logits for each point:

    >>> model = MLP([2, 16, 2])
    >>> sum(p.numel() for p in model.parameters())
    82
    >>> model(torch.zeros(128, 2)).shape
    torch.Size([128, 2])

    Two widths make a network without a hidden layer, which is softmax regression:

    >>> len(MLP([2, 2]).layers)
    1
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str = "relu",
        *,
        bias: bool = True,
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(widths, Sequence):
            raise TypeError(f"widths must be a sequence of int such as [2, 16, 2], got {widths!r}")
        if len(widths) < 2:
            raise ValueError(f"widths must name the input and the output at least, got {widths}")
        for width in widths:
            if not isinstance(width, int) or isinstance(width, bool):
                raise TypeError(f"each width must be an int, got {width!r} in {widths}")
            if width < 1:
                raise ValueError(f"each width must be at least 1, got {width} in {list(widths)}")
        self.activation = activation
        self.sigma = lookup("activation", activation, ACTIVATIONS)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.layers = nn.ModuleList(
                nn.Linear(fan_in, fan_out, bias=bias, dtype=dtype)
                for fan_in, fan_out in pairwise(widths)
            )

    @property
    def widths(self) -> list[int]:
        """Units of every layer, the input first."""
        layers = linear_layers(self)
        return [layers[0].in_features, *(layer.out_features for layer in layers)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (n, widths[-1]), of the points ``x``, shape (n, widths[0])."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.sigma.function(layer(x))
        return cast(Tensor, last(x))


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """Return the linear layers of ``model`` in the order it holds them: layer 1 to layer L.

    Parameters
    ----------
    model : nn.Module
        Any network whose linear layers follow one another, such as :class:`MLP`.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> [layer.out_features for layer in linear_layers(MLP([2, 16, 2]))]
    [16, 2]
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"{type(model).__name__} has no nn.Linear layer: give a network that has")
    return layers


class _Last(nn.Module):
    """Take the output of a recurrent layer at the last time step."""

    def forward(self, answer: tuple[Tensor, object]) -> Tensor:
        return answer[0][:, -1]


def _recurrent(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (4, 2)), layer, _Last(), nn.Linear(6, 3))


#: A small network of each family (convolution, RNN, LSTM, GRU, LayerNorm, BatchNorm), from 8
#: numbers to 3 logits. Its start is the one that PyTorch draws.
#:
#: :meta hide-value:
FAMILIES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "convolution": lambda: nn.Sequential(
            nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)
        ),
        "RNN": lambda: _recurrent(nn.RNN(2, 6, batch_first=True)),
        "LSTM": lambda: _recurrent(nn.LSTM(2, 6, batch_first=True)),
        "GRU": lambda: _recurrent(nn.GRU(2, 6, batch_first=True)),
        "LayerNorm": lambda: nn.Sequential(
            nn.Linear(8, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 3)
        ),
        "BatchNorm": lambda: nn.Sequential(
            nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)
        ),
    }
)
