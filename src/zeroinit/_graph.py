"""Read autograd's graph of a loss: what its parameters are used for, and other backward passes."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from zeroinit._sharded import for_product, parameter_of, sharded, whole

#: The operations of autograd that turn, cut or cast a weight, and compute nothing.
VIEWS = frozenset(
    {"Clone", "Expand", "Permute", "ReshapeAlias", "Select", "Slice", "Split", "Squeeze", "T"}
    | {"ToCopy", "Transpose", "Unbind", "UnsafeView", "Unsqueeze", "View"}
    | {"Redistribute", "_FromTorchTensor", "_ToTorchTensor"}  # of DTensor
)
#: Those of them that change places of rows and columns.
TURNS = frozenset({"T", "Transpose", "Permute"})
#: The operations that multiply by a matrix, so that each of their outputs is a unit.
PRODUCTS = frozenset(
    {"Addmm", "Mm", "Bmm", "Baddbmm", "Addbmm", "Mv", "Addmv", "Dot", "Convolution", "Linear"}
    | {"Trilinear", "ConvolutionOverrideable", "MkldnnConvolution", "CudnnConvolution"}
)
#: The operations that multiply by a stack of matrices, such as those of experts.
STACKED = frozenset({"Bmm", "Baddbmm", "GroupedMm"})
#: The operations that take rows of a table, by numbers that come with the batch.
LOOKUPS = frozenset({"Embedding", "EmbeddingBag", "Index", "IndexSelect", "Gather"})
#: The operations that pass on an error or, where they are off or at their end, nothing.
GATES = frozenset(
    {"Relu", "Threshold", "Clamp", "ClampMin", "ClampMax", "Hardtanh", "Hardsigmoid", "Hardswish"}
    | {"Where", "Maximum", "Minimum", "Round", "Floor", "Ceil", "Sign", "Trunc"}
)
#: The operations after which a choice among parts of the network may be another at the next step.
CHOICES = frozenset({"Topk", "Sort", "Kthvalue", "Max", "Min", "Gather"})

Hook = Callable[[tuple[Tensor | None, ...]], tuple[Tensor | None, ...]]


def operation(node: Node) -> str:
    """Return the name of the operation whose gradient a node computes."""
    try:
        name = node.name()
    except RuntimeError:  # before PyTorch 2.13 the node of a Function of one's own has none
        name = type(node).__name__
    return _operation(name)


@cache
def _operation(name: str) -> str:
    return name.rpartition("::")[2].partition("Backward")[0]


def before(node: Node) -> list[Node]:
    """Return the nodes that gave the operation its inputs."""
    return [n for n, _ in node.next_functions if n is not None]


def walk(loss: Tensor, ends: Callable[[Node], bool] = lambda node: False) -> list[Node]:
    """Return every node of a graph once, each some time after one that leads to it.

    The way goes as far as the nodes that ``ends`` is true of.
    """
    seen: dict[Node, None] = {}
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen[node] = None
            if not ends(node):
                ahead += before(node)
    return list(seen)


def leaves(nodes: Iterable[Node]) -> Iterator[Tensor]:
    """Give the tensors whose gradients a backward pass adds up."""
    for node in nodes:
        found = getattr(node, "variable", None)
        if isinstance(found, Tensor):
            yield found


@dataclass
class Uses:
    """What the loss uses its parameters for, by their ids.

    ``outputs`` are weights whose units are outputs of the network, with nothing between them and
    the loss that may be off; ``gated`` those with such an operation in between. Of the factors of
    products, ``rows`` have a row for each output, and ``turned`` a column. ``tables`` have a row
    for each token, and ``biases`` names the bias that is added to what a weight gives.
    """

    outputs: set[int] = field(default_factory=set)
    gated: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    turned: set[int] = field(default_factory=set)
    tables: set[int] = field(default_factory=set)
    biases: dict[int, int] = field(default_factory=dict)
    chooses: bool = False


def uses(loss: Tensor, nodes: Iterable[Node]) -> Uses:
    """Return what a loss uses its parameters for."""
    found = Uses()
    found.outputs = _outputs(loss, through_gates=False)
    found.gated = _outputs(loss, through_gates=True) - found.outputs
    for node in nodes:
        name = operation(node)
        found.chooses |= name in CHOICES
        if name in LOOKUPS:
            table, _ = viewed(node.next_functions[0][0])
            if table is not None and not _alike_in_all(node):
                found.tables.add(id(table))
        elif name in ("Addmm", "Mm") or name in STACKED:
            for (factor, _), second in zip(node.next_functions[-2:], (False, True), strict=True):
                weight, turns = viewed(factor)
                if weight is None or weight.ndim not in (2, 3):
                    continue
                if name not in STACKED:
                    (found.turned if turns % 2 != second else found.rows).add(id(weight))
                elif weight.ndim == 3 and (last := _last_axis(factor, weight)):
                    # the last axis of the second factor is that of the outputs, of the first not
                    (found.turned if last == 1 + second else found.rows).add(id(weight))
                if name == "Addmm" and second:
                    _join(found, weight, node.next_functions[0][0])
        elif name == "Add" and len(node.next_functions) == 2:  # one, where a norm adds its eps
            for one, other in (node.next_functions, node.next_functions[::-1]):
                product, _ = _behind_views(one[0])
                if product is not None and operation(product) == "Mm":
                    weight, _ = viewed(product.next_functions[-1][0])
                    if weight is not None:
                        _join(found, weight, other[0])
    return found


def _last_axis(factor: Any, stack: Tensor) -> int | None:
    """Return which axis of a stack of matrices is the last of the factor that is a view of it.

    None if the stack has been reshaped, or if its first axis is not that of the matrices.
    """
    _, views = _behind_views(factor)
    order: list[int | None] = [*range(stack.ndim)]
    for view in reversed(views):
        name = operation(view)
        if name == "Unsqueeze":
            order.insert(_signed(view._saved_dim) % (len(order) + 1), None)
        elif name in TURNS and len(order) != len(view._input_metadata[0].shape):
            return None
        elif name == "Transpose":
            one, other = _signed(view._saved_dim0), _signed(view._saved_dim1)
            order[one], order[other] = order[other], order[one]
        elif name == "Permute":
            order = [order[_signed(axis)] for axis in view._saved_dims]
    last = next(axis for axis in reversed(order) if axis is not None)
    # Beside it are the numbers of the other axis, or of all matrices in one.
    height = stack.shape[3 - last] if last else 0
    return last if factor._input_metadata[0].shape[-2] in (height, height * len(stack)) else None


def _signed(axis: int) -> int:
    """Return the number of an axis, of which autograd keeps a negative one without its sign."""
    return axis - 2**64 if axis >= 2**63 else axis


def _join(found: Uses, weight: Tensor, node: Node | None) -> None:
    bias, _ = viewed(node)
    if bias is not None and bias.ndim == 1:
        found.biases[id(weight)] = id(bias)


def _alike_in_all(lookup: Node) -> bool:
    """Whether every sample looks up the same rows, as those of a prefix: they are no tokens."""
    rows = getattr(lookup, "_saved_indices", None)
    if not isinstance(rows, Tensor) or rows.ndim < 2:
        return False  # those of a bag are in one row
    return len(rows) > 1 and bool((rows == rows[:1]).all())


def _outputs(loss: Tensor, *, through_gates: bool) -> set[int]:
    """Return the ids of the weights whose units are outputs: no product stands behind them.

    Targets tell outputs apart, though those that a batch lacks have equal gradients.
    """
    found: set[int] = set()
    seen: set[Node] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen or (operation(node) in GATES and not through_gates):
            continue
        seen.add(node)
        inputs = before(node)
        weights = [w for w in (viewed(n)[0] for n in inputs) if w is not None and w.ndim > 1]
        found.update(map(id, weights))
        if not weights and operation(node) not in PRODUCTS:
            ahead += inputs
    return found


def viewed(node: Node | None) -> tuple[Tensor | None, int]:
    """Return the parameter that a node gives a view of, if it does, and how often it is turned."""
    node, views = _behind_views(node)
    found = getattr(node, "variable", None)
    turns = sum(operation(view) in TURNS for view in views)
    return (parameter_of(found) if isinstance(found, Tensor) else None), turns


def _behind_views(node: Node | None) -> tuple[Node | None, list[Any]]:
    """Return the node that a chain of views begins with, and these, the last one first."""
    views = []
    while node is not None and operation(node) in VIEWS:
        views.append(node)
        node = node.next_functions[0][0]
    return node, views


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return the gradients of one more backward pass, and leave those that are kept.

    Where a parameter is sharded, its gradient comes by ``backward()`` only.
    """
    if not any(map(sharded, parameters)):
        return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    at = [t for leaf in leaves(walk(loss)) for t in (leaf, parameter_of(leaf))]
    then = [(t, t.grad) for t in at]
    for t in at:
        t.grad = None
    try:
        loss.backward(retain_graph=True)
        return [p.grad for p in parameters]
    finally:
        for t, gradient in then:
            t.grad = gradient


def gradients_again(
    loss: Tensor, parameters: Sequence[Tensor], hooks: Mapping[Node, Hook]
) -> Sequence[Tensor | None]:
    """Return the gradients of a backward pass that hooks change on its way."""
    handles = [node.register_prehook(hook) for node, hook in hooks.items()]
    try:
        found = gradients(loss, parameters)
    finally:
        for handle in handles:
            handle.remove()
    return [g.to_dense() if g is not None and g.is_sparse else g for g in found]


def coarsest(nodes: Iterable[Node]) -> float:
    """Return the rounding of the coarsest numbers in a graph, of those of single precision up."""
    kinds = {m.dtype for node in nodes for m in node._input_metadata}
    return max((torch.finfo(d).eps for d in kinds & {torch.float32, torch.float64}), default=0.0)


def rounding(
    loss: Tensor, nodes: Sequence[Node], parameters: Sequence[Tensor], least: float, *, alone: bool
) -> Sequence[Tensor | None]:
    """Return how much of each gradient may be what rounding leaves of terms that cancel.

    Every number of the backward pass is changed by up to a half of it, which changes a gradient by
    about the sum of its terms without their signs. Rounding changes the last of its digits: here a
    third of them is taken for lost, as sums of many terms lose more than one. The numbers of one
    operation are changed more in one direction than in the other, as rounding changes them: the
    changes of many terms must not cancel. Numbers are rounded as much as the least at any rate.

    One process ``alone`` gets the largest number of each, and needs no memory for the others.
    """
    change = 0.25
    draw = _Noise()

    def disturb(seed: int, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        lean = random.Random(seed).uniform(-1, 2)
        return _changed(gradients, lambda g: g + change * g.abs() * (draw(g) - lean))

    def lost(g: Tensor, other: Tensor) -> Tensor:
        return (other - g).mul_(max(torch.finfo(g.dtype).eps, least) ** (2 / 3) / change)

    def largest(n: int, other: Tensor) -> Tensor:
        g = found[n]
        if g is None or other.is_sparse or sharded(other):
            return other
        of_parts = (
            torch.view_as_real(part) if part.is_complex() else part
            for part in map(lost, _parts(g.to_dense()), _parts(other))
        )
        most[n] = torch.stack([torch.maximum(p.amax(), -p.amin()) for p in of_parts]).amax()
        return other.new_zeros(()).expand_as(other)

    most: dict[int, Tensor] = {}
    found = [p.grad for p in parameters]
    hooks = {
        node: partial(disturb, seed)
        for seed, node in enumerate(nodes)
        if viewed(node)[0] is None  # a change of the sums themselves says nothing of their terms
    }
    handles = [p.register_hook(partial(largest, n)) for n, p in enumerate(parameters) if alone]
    try:
        others = gradients_again(loss, parameters, hooks)
    finally:
        for handle in handles:
            handle.remove()
    return [
        None if other is None or g is None else most[n] if n in most else lost(g.to_dense(), other)
        for n, (g, other) in enumerate(zip(found, others, strict=True))
    ]


def _parts(t: Tensor) -> Sequence[Tensor]:
    """Return a tensor in parts along its first axis, each of about a million numbers."""
    return t.split(1 + 2**20 * len(t) // t.numel()) if t.ndim and t.numel() else [t]


def with_other_targets(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return the gradients of a loss that asks something else of every output of every sample.

    Random numbers are added to the first gradient, from the loss, that has several axes. Units
    that are equal only because the batch asks the same of them are equal no more.
    """
    draw = _Noise()

    def change(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return _changed(gradients, lambda g: g + (float(whole(g.abs().max())) or 1.0) * draw(g))

    return gradients_again(loss, parameters, dict.fromkeys(_first_of_several_axes(loss), change))


def _first_of_several_axes(loss: Tensor) -> list[Node]:
    def first(node: Node) -> bool:
        return operation(node) in PRODUCTS or any(len(m.shape) > 1 for m in node._input_metadata)

    return [node for node in walk(loss, first) if first(node)]


class _Noise:
    """The same random numbers, from 0 to 1, for all tensors of one shape."""

    def __init__(self) -> None:
        self.drawn: dict[tuple[torch.Size, torch.dtype, torch.device], Tensor] = {}

    def __call__(self, like: Tensor) -> Tensor:
        kind = (like.shape, like.dtype, like.device)
        if kind not in self.drawn:
            generator = torch.Generator(like.device).manual_seed(0)
            self.drawn[kind] = torch.rand(
                like.shape, generator=generator, device=like.device, dtype=like.dtype
            )
        return for_product(self.drawn[kind], like)


def _changed(
    gradients: Iterable[Tensor | None], change: Callable[[Tensor], Tensor]
) -> tuple[Tensor | None, ...]:
    """Return gradients of which those that are dense and of numbers with a point are changed."""
    return tuple(
        change(g)
        if g is not None and (g.is_floating_point() or g.is_complex()) and not g.is_sparse
        else g
        for g in gradients
    )
