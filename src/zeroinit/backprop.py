"""The gradient written out, layer by layer, for any depth; autograd is its test.

δᴸ = (softmax(f) − onehot(y)) / n, δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ′(zˡ), ∂ℒ/∂Wˡ = Σ δˡ (hˡ⁻¹)ᵀ, ∂ℒ/∂bˡ = Σ δˡ,
sums over the samples (Rumelhart, Hinton & Williams 1986).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit._checks import check_fit
from zeroinit.data import Data
from zeroinit.networks import MLP, Activation, linear_layers


@torch.no_grad()
def forward(model: MLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    r"""Return every :math:`z^l` and every :math:`h^l` of a forward pass.

    Parameters
    ----------
    model : MLP
        A network of L layers.
    x : Tensor, shape (n, widths[0])
        The points.

    Returns
    -------
    z : list of Tensor
        :math:`z^1, \dots, z^L`, of shape (n, widths[l]); the last are the logits.
    h : list of Tensor
        :math:`h^0 = x, h^1, \dots, h^{L-1}`.

    Raises
    ------
    TypeError, ValueError
        If the dtype, the device or the shape of ``x`` does not fit.

    Examples
    --------
    From all-zero every hidden layer holds :math:`\sigma(0)` and nothing of x:

    >>> from zeroinit import zeros_
    >>> z, h = forward(zeros_(MLP([2, 3, 2], "sigmoid")), torch.randn(4, 2))
    >>> h[1].unique()
    tensor([0.5000])
    """
    check_fit(model, x)
    z: list[Tensor] = []
    h = [x]
    for layer in linear_layers(model):
        z.append(F.linear(h[-1], layer.weight, layer.bias))
        h.append(model.sigma.function(z[-1]))
    return z, h[:-1]


@torch.no_grad()
def gradients(model: MLP, data: Data) -> dict[str, Tensor]:
    r"""Return the gradient of the mean cross-entropy, by the formula and without autograd.

    Parameters
    ----------
    model : MLP
        A network of any depth.
    data : Data
        Points with class labels.

    Returns
    -------
    dict of str to Tensor
        For every parameter, by its name in ``model``, a tensor of its shape.

    Raises
    ------
    TypeError
        If ``data.y`` holds targets of a regression, or the dtype of ``data.x`` is not the model's.
    ValueError
        If a shape or a device does not fit, or a label has no output; if ``model.sigma`` was given
        another function and kept the derivative, and the two differ at some :math:`z^l`.

    Examples
    --------
    >>> from zeroinit import half_plane
    >>> model, data = MLP([2, 5, 3, 2], "tanh"), half_plane()
    >>> F.cross_entropy(model(data.x), data.y).backward()
    >>> all(torch.allclose(g, p.grad, atol=1e-6)
    ...     for g, p in zip(gradients(model, data).values(), model.parameters()))
    True
    """
    layers = linear_layers(model)
    if data.y.dtype != torch.int64:
        raise TypeError(f"the formula is for class labels, int64, got {data.y.dtype} targets")
    check_fit(model, data.x, data.y)
    z, h = forward(model, data.x)
    for hidden in z[:-1]:
        _check_derivative(model.sigma, hidden)
    delta = (z[-1].softmax(1) - F.one_hot(data.y, z[-1].shape[1])) / len(data)
    answer: dict[str, Tensor] = {}
    for l in range(len(layers), 0, -1):  # noqa: E741 - the book's letter
        if layers[l - 1].bias is not None:
            answer[f"layers.{l - 1}.bias"] = delta.sum(0)
        answer[f"layers.{l - 1}.weight"] = delta.T @ h[l - 1]
        if l > 1:
            delta = (delta @ layers[l - 1].weight) * model.sigma.derivative(z[l - 2])
    return dict(reversed(answer.items()))


def _check_derivative(sigma: Activation, z: Tensor) -> None:
    """Refuse an activation whose derivative at ``z`` is that of another function."""
    z = z[z.isfinite()]
    slope = torch.func.grad(lambda at: sigma.function(at).sum())(z)
    if not torch.allclose(sigma.derivative(z), slope, atol=0.01):
        raise ValueError(
            "model.sigma.derivative is not that of model.sigma.function: replace both, as in "
            "model.sigma._replace(function=..., derivative=...)"
        )


def gradients_at_zero(
    widths: Sequence[int], activation: str, frequencies: Tensor
) -> dict[str, Tensor]:
    r"""Return the gradient at the all-zero start of a network with a hidden layer, in closed form.

    With class frequencies p of C classes,

    .. math::
        \frac{\partial\mathcal L}{\partial W^L} = \sigma(0)\,(1/C - p)\,\mathbf 1^{\top},
        \qquad \frac{\partial\mathcal L}{\partial b^L} = 1/C - p,
        \qquad \text{all else } 0.

    Parameters
    ----------
    widths : sequence of int
        As for :class:`~zeroinit.networks.MLP`, three at least.
    activation : str
        A name in :data:`~zeroinit.networks.ACTIVATIONS`.
    frequencies : Tensor, shape (widths[-1],)
        Share of each class, from 0 to 1, with sum 1.

    Returns
    -------
    dict of str to Tensor
        For every parameter of ``MLP(widths, activation)``, by name.

    Raises
    ------
    ValueError
        If there is no hidden layer, the activation is unknown, there is not one frequency for each
        output, or they are not frequencies: floating point, at least 0, with sum 1.

    Examples
    --------
    Sigmoid moves its last weight, tanh nothing but the last bias:

    >>> p = torch.tensor([0.25, 0.75])
    >>> gradients_at_zero([2, 4, 2], "sigmoid", p)["layers.1.weight"][:, 0]
    tensor([ 0.1250, -0.1250])
    >>> gradients_at_zero([2, 4, 2], "tanh", p)["layers.1.weight"].any()
    tensor(False)
    """
    if len(widths) < 3:
        raise ValueError(
            f"the closed form is for a network with a hidden layer, got widths {widths}"
        )
    if frequencies.shape != (widths[-1],):
        raise ValueError(
            f"give one frequency for each of the {widths[-1]} outputs, "
            f"got shape {tuple(frequencies.shape)}"
        )
    if not frequencies.is_floating_point():
        raise ValueError(
            f"frequencies must be floating point, got {frequencies.dtype}: divide the counts by "
            "their sum"
        )
    if not ((frequencies >= 0).all() and abs(float(frequencies.sum()) - 1) <= 1e-5):
        raise ValueError(
            f"frequencies must be at least 0 and sum to 1, got {frequencies.tolist()}: "
            "give data.frequencies, or divide the counts by their sum"
        )
    last = 1 / widths[-1] - frequencies
    model = MLP(widths, activation, dtype=frequencies.dtype)
    answer = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    at_zero = model.sigma.function(last.new_zeros(()))
    answer[f"layers.{len(widths) - 2}.weight"] += at_zero * last[:, None]
    answer[f"layers.{len(widths) - 2}.bias"] = last
    return answer
