r"""What gets through a network before it is trained: the size of signal and error at every layer.

A layer :math:`z = Wx + b` whose weights have mean 0 and variance :math:`s^2`, and are independent
of one another, of its input :math:`x` and of the error :math:`\delta` at its output, gives in
expectation, with bars for means over units,

.. math::

    \overline{z^2} = \text{fan\_in}\, s^2\, \overline{x^2} + \overline{b^2}, \qquad
    \overline{g^2} = \text{fan\_out}\, s^2\, \overline{\delta^2} \quad\text{for } g = W^\top\delta

(Glorot and Bengio, 2010; He et al., 2015). :func:`signal` measures both sides of both laws in a
network of any library, with hooks and without a copy.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

from zeroinit._kept import keep_random_states

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OFF = frozenset({F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})
# Of an output, the slope there as a share of the largest.
_SLOPES: Mapping[Any, Callable[[Tensor], Tensor]] = {
    torch.tanh: lambda h: 1 - h * h,
    Tensor.tanh: lambda h: 1 - h * h,
    torch.sigmoid: lambda h: 4 * h * (1 - h),
    Tensor.sigmoid: lambda h: 4 * h * (1 - h),
}
_FLAT = 0.01


@dataclass(eq=False)
class LayerSignal:
    r"""What comes out of a layer on the way up and on the way down, and what its weights predict.

    All sizes are mean squares over batch and units. Errors are gradients, of which that at the
    network's output has mean square 1.

    Parameters
    ----------
    name : str
        The layer's name in the model.
    signal : float
        Of its output :math:`z`.
    predicted_signal : float or None
        By the law, from the weights and the signal at the input; None for a layer that is neither
        linear, a convolution nor an embedding.
    error : float or None
        Of the gradient by :math:`z`; None if :math:`z` needs no gradient.
    input_error : float or None
        Of the gradient by the input :math:`x`; None if :math:`x` needs no gradient.
    predicted_input_error : float or None
        By the law, added up over all layers that read :math:`x`. It is too small where something
        else reads :math:`x` too, as a skip does.
    off : float or None, from 0 to 1
        Share of units that a ReLU behind the layer sets to 0 for the whole batch; None without one.
    saturated : float or None, from 0 to 1
        Share of the numbers of a tanh or sigmoid behind the layer at which its slope is below a
        hundredth of the largest; None without one.

    Examples
    --------
    >>> from zeroinit import MLP, half_plane, signal
    >>> first, last = signal(MLP([2, 16, 2], "tanh"), half_plane().x)
    >>> first.name, first.input_error, first.off, first.saturated < 0.01
    ('layers.0', None, None, True)
    """

    name: str
    signal: float
    predicted_signal: float | None = None
    error: float | None = None
    input_error: float | None = None
    predicted_input_error: float | None = None
    off: float | None = None
    saturated: float | None = None


@dataclass(frozen=True, eq=False)
class Signal(Sequence[LayerSignal]):
    """The result of :func:`signal`: one :class:`LayerSignal` for each call of a layer, in order.

    ``print`` shows it as a table.

    Parameters
    ----------
    layers : sequence of LayerSignal
        The calls.
    not_called : sequence of str
        Layers with weights that the model did not call.

    Examples
    --------
    From all-zero, nothing gets up, and nothing gets down:

    >>> from zeroinit import MLP, half_plane, signal, zeros_
    >>> found = signal(zeros_(MLP([2, 16, 2])), half_plane().x)
    >>> [layer.signal for layer in found], [layer.input_error for layer in found]
    ([0.0, 0.0], [None, 0.0])
    """

    layers: Sequence[LayerSignal]
    not_called: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, k: int) -> LayerSignal: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[LayerSignal]: ...
    def __getitem__(self, k: int | slice) -> LayerSignal | Sequence[LayerSignal]:
        return self.layers[k]

    def __str__(self) -> str:
        rows = [["layer", "signal", "law", "error", "below", "law", "off", "saturated"]]
        for row in self.layers:
            up = row.signal, row.predicted_signal
            sizes = *up, row.error, row.input_error, row.predicted_input_error
            shown = [*("" if s is None else f"{s:.2g}" for s in sizes)]
            shown += ["" if s is None else f"{s:.0%}" for s in (row.off, row.saturated)]
            rows.append([row.name, *shown])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [
            [name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])] for name, *cells in rows
        ]
        lines = ["  ".join(cells).rstrip() for cells in aligned]
        return "\n".join(lines + [f"not called: {name}" for name in self.not_called])

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the signal and the error of each layer as dots, and the laws as lines.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        Axes
            The same ``ax``, on a logarithmic scale. Sizes of exactly 0 are crosses at its foot.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing, which the extra ``zeroinit[plots]`` brings.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from zeroinit import MLP, half_plane, signal
        >>> ax = signal(MLP([2, 16, 16, 2]), half_plane().x).plot(Figure().subplots())
        >>> ax.get_ylabel(), ax.get_yscale()
        ('mean square', 'log')
        """
        from zeroinit.figures import curves  # it needs matplotlib, an extra

        if ax is None:
            from matplotlib.pyplot import subplots

            _, ax = subplots(layout="constrained")
        return curves.signals(
            ax,
            {
                "signal": ([r.signal for r in self], [r.predicted_signal for r in self]),
                "error below": (
                    [r.input_error for r in self],
                    [r.predicted_input_error for r in self],
                ),
            },
        )


def signal(
    model: nn.Module, *inputs: Any, generator: Generator | None = None, **named: Any
) -> Signal:
    r"""Measure the size of signal and error at every layer, and what the layer's law predicts.

    One forward and one backward pass with hooks. Parameters, gradients, buffers, modes and random
    states stay as they are.

    Parameters
    ----------
    model : nn.Module
        Of any library, in the mode in which it is to be measured. Its output, or the first tensor
        in it, is what the error comes from.
    *inputs, **named
        A batch, as the model takes it: at least two inputs, some tens for shares of units.
    generator : torch.Generator, optional
        Draws the error at the output: a direction, all equally likely, of mean square 1. By
        default a new one with seed 0.

    Returns
    -------
    Signal
        A row for each call of a layer: of a module with a weight of two or more dimensions.

    Raises
    ------
    TypeError
        If ``model`` is no module, or no input is a tensor.
    ValueError
        If the batch has one input, an input or what a layer gives is not finite, no layer has
        weights or none is called, or the output needs no gradient. The message names the remedy.

    Examples
    --------
    With He's variance a ReLU layer keeps its input's mean square in expectation. One draw is near:

    >>> from zeroinit import MLP, kaiming_normal_, signal
    >>> rng = torch.Generator().manual_seed(0)
    >>> x = torch.randn(64, 256, generator=rng)
    >>> he = signal(kaiming_normal_(MLP([256] * 4), generator=rng), x)
    >>> [f"{layer.signal / layer.predicted_signal:.1f}" for layer in he]
    ['1.0', '1.0', '1.0']

    Weights of mean zero are what the law asks for. Equal weights break it:

    >>> from zeroinit import constant_
    >>> layer = signal(constant_(MLP([256, 256, 2]), 0.1), x)[1]
    >>> layer.signal > 10 * layer.predicted_signal
    True

    >>> signal(MLP([2, 2]), torch.zeros(1, 2))
    Traceback (most recent call last):
        ...
    ValueError: one input says nothing about a batch: give some tens of inputs
    """
    _check(model, [*inputs, *named.values()])
    layers = {
        module: name
        for name, module in model.named_modules()
        if any("weight" in key and p.ndim > 1 for key, p in module.named_parameters(recurse=False))
    }
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no layer with a weight of two or more dimensions: "
            "give the network, not its loss or activation"
        )
    watch = _Watch(layers)
    with _as_it_was(model), torch.enable_grad(), ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_hook(watch.see).remove)
        with watch:
            output = next(_tensors(model(*inputs, **named)), None)
        if not watch.rows:
            raise ValueError(
                f"{type(model).__name__} called none of its {len(layers)} layers with weights: "
                "give inputs that reach them"
            )
        if output is None or not output.requires_grad:
            raise ValueError("the output needs no gradient: unfreeze a parameter of the model")
        error = torch.randn(output.shape, generator=generator or Generator().manual_seed(0))
        error *= math.sqrt(error.numel()) / error.norm()
        trained = [p for p in model.parameters() if p.requires_grad]
        torch.autograd.grad(output, trained, error.to(output), allow_unused=True)
    watch.predict()
    called = {row.name for row in watch.rows}
    inside = [f"{name}." for name in called if name]  # attention reads a weight of its last layer
    idle = [n for n in layers.values() if n not in called and not n.startswith((*inside,))]
    return Signal(watch.rows, idle)


def _check(model: object, inputs: Sequence[object]) -> None:
    """Refuse what is no module or no batch."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}: give it first")
    given = [x for x in inputs if isinstance(x, Tensor)]
    if not given:
        raise TypeError("no input is a tensor: give a batch as the model takes it")
    first = given[0]
    if first.numel() == 0 or (first.is_floating_point() and len(first) == 1) or first.numel() == 1:
        raise ValueError("one input says nothing about a batch: give some tens of inputs")
    for x in given:
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise ValueError("an input is not finite: mend the batch first")


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Leave buffers and random states as they are."""
    back: list[Callable[[], None]] = []
    keep_random_states(model, back)
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, old in buffers:
                buffer.copy_(old)
        for put in back:
            put()


def _tensors(value: object) -> Iterator[Tensor]:
    """Give the floating tensors in what a module gives."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _mean_square(tensor: Tensor) -> float:
    """Return the mean square, row by row: a sum of millions loses digits in single precision."""
    rows = tensor.detach().reshape(-1, tensor.shape[-1] if tensor.ndim else 1)
    for precision in (None if rows.dtype == torch.float64 else torch.float32, torch.float64):
        norms = torch.linalg.vector_norm(rows, dim=1, dtype=precision).double()
        if torch.isfinite(norms).all():
            break  # else single precision may be too small for a large number
    return float(norms.square().sum()) / max(tensor.numel(), 1)


def _fans(layer: Any) -> tuple[float, float] | None:
    """Return fan-in and fan-out of a layer for which the law holds, far from any border."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D" and layer.weight.ndim == 2:  # of transformers: (in, out)
        into, out = layer.weight.shape
        return int(into), int(out)
    if isinstance(layer, nn.modules.conv._ConvNd):
        places = math.prod(layer.kernel_size) / layer.groups
        reads, gives = layer.in_channels * places, layer.out_channels * places
        steps = math.prod(layer.stride)
        return (reads / steps, gives) if layer.transposed else (reads, gives / steps)
    return None


class _Watch(TorchFunctionMode):
    """What hooks and activations tell during one forward and one backward pass."""

    def __init__(self, layers: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.layers = layers
        self.rows: list[LayerSignal] = []
        # By the place of a tensor in memory that lives as long as it is kept here.
        self.behind: dict[int, tuple[Tensor, LayerSignal, int]] = {}
        self.readers: dict[int, tuple[Tensor, list[tuple[LayerSignal, float]]]] = {}
        self.input_errors: dict[int, float] = {}

    def see(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Measure what a layer gives; follow its output through a norm behind it."""
        x, z = next(_tensors(inputs), None), next(_tensors(output), None)
        if z is None:
            return
        if module in self.layers:
            self.rows.append(self.measure(module, x, z))
        elif x is not None and id(x) in self.behind and x.shape == z.shape and _is_norm(module):
            self.behind[id(z)] = (z, *self.behind[id(x)][1:])

    def measure(self, layer: Any, x: Tensor | None, z: Tensor) -> LayerSignal:
        """Return the row of a call, which the backward pass completes."""
        row = LayerSignal(self.layers[layer], _mean_square(z))
        if not math.isfinite(row.signal):
            raise ValueError(
                f"{row.name or type(layer).__name__} is the first layer whose output is not "
                "finite: start with smaller weights, or look at what it is given"
            )
        if z.requires_grad:
            z.register_hook(lambda g: setattr(row, "error", _mean_square(g)))
        self.behind[id(z)] = (z, row, 1 if isinstance(layer, nn.modules.conv._ConvNd) else -1)
        fans = _fans(layer)
        square = _mean_square(layer.weight) if fans else 0.0
        bias = getattr(layer, "bias", None)
        if isinstance(layer, nn.Embedding):
            row.predicted_signal = _mean_square(layer.weight)
        elif fans and x is not None:
            constant = 0.0 if bias is None else _mean_square(bias)
            row.predicted_signal = fans[0] * square * _mean_square(x) + constant
            if x.requires_grad:
                if id(x) not in self.readers:
                    self.readers[id(x)] = x, []
                    x.register_hook(lambda g: self.input_errors.update({id(x): _mean_square(g)}))
                self.readers[id(x)][1].append((row, fans[1] * square))
        return row

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = self.behind.get(id(args[0])) if args else None
        if known is None or (func not in _OFF and func not in _SLOPES):
            return func(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        _, row, units = known
        with torch.no_grad():
            if func in _OFF:
                on = (out != 0).movedim(units, -1).flatten(0, -2).any(0)
                row.off = 1 - float(on.double().mean())
            else:
                row.saturated = float((_SLOPES[func](out) < _FLAT).double().mean())
        return out

    def predict(self) -> None:
        """Add up, of each input, what the law lets the layers that read it send down."""
        for place, (_, readers) in self.readers.items():
            if place not in self.input_errors:
                continue
            predicted = sum(gain * (row.error or 0.0) for row, gain in readers)
            for row, _ in readers:
                row.input_error = self.input_errors[place]
                row.predicted_input_error = predicted


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm by its name, with nothing inside."""
    return not list(module.children()) and "Norm" in type(module).__name__
