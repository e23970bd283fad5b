"""Say what hides a parameter: walk from it towards the loss, to where the gradient ends."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

from zeroinit._equal_rows import any_number
from zeroinit._graph import (
    GATES,
    PRODUCTS,
    VIEWS,
    before,
    gradients,
    leaves,
    operation,
    viewed,
    walk,
)
from zeroinit._sharded import Ranks, freed, local, parameter_of

#: Where autograd keeps the factors of a product, in the order of the inputs of its node.
FACTORS: Mapping[str, tuple[str | None, ...]] = {
    "Mul": ("_saved_self", "_saved_other"),
    "Mm": ("_saved_self", "_saved_mat2"),
    "Bmm": ("_saved_self", "_saved_mat2"),
    "Mv": ("_saved_self", "_saved_vec"),
    "Dot": ("_saved_self", "_saved_tensor"),
    "Addmm": (None, "_saved_mat1", "_saved_mat2"),
    "Baddbmm": (None, "_saved_batch1", "_saved_batch2"),
    "GroupedMm": ("_saved_self", "_saved_mat2"),
    "Convolution": ("_saved_input", "_saved_weight"),
    "NativeLayerNorm": ("_saved_input", "_saved_weight"),
    "NativeBatchNorm": ("_saved_input", "_saved_weight"),
    "NativeGroupNorm": ("_saved_input", "_saved_weight"),
    "FusedRmsNorm": ("_saved_input", "_saved_weight"),
    "ScaledDotProductFlashAttentionForCpu": ("_saved_query", "_saved_key", "_saved_value"),
    "ScaledDotProductFlashAttention": ("_saved_query", "_saved_key", "_saved_value"),
    "ScaledDotProductEfficientAttention": ("_saved_query", "_saved_key", "_saved_value"),
    "ScaledDotProductCudnnAttention": ("_saved_query", "_saved_key", "_saved_value"),
}
#: The operations that turn zero into zero.
KEEP_ZERO = frozenset(
    {"Relu", "Tanh", "Gelu", "Silu", "Elu", "LeakyRelu", "Neg", "Abs", "Div", "Threshold", "Sin"}
    | {"Mean", "Sum", "Hardtanh", "Clamp", "ClampMin", "Pow", "Mish"}
    | {"NativeDropout", "Index", "Gather"}
)
#: The operations whose slope is zero where they are flat.
FLAT = {"Sigmoid": "saturated", "Tanh": "saturated", "Softmax": "saturated", "Hardtanh": "off"}
ROUND = frozenset({"Round", "Floor", "Ceil", "Sign", "Trunc"})
CHOOSE = frozenset(
    {"Where", "Index", "IndexSelect", "Gather", "Max", "Topk", "Scatter", "IndexAdd"}
)


@dataclass(frozen=True)
class Cause:
    """What takes a gradient away: ``what`` it is, and the names of what it stands at."""

    what: str
    at: frozenset[str] = frozenset()

    def __str__(self) -> str:
        names = listed(sorted(self.at))
        return {
            "zero": f"{names} {'is' if len(self.at) == 1 else 'are'} zero",
            "frozen": f"{names} is zero and frozen",
            "off": f"{names} is off for every sample",
            "saturated": f"{names} is saturated for every sample",
            "one logit": f"{names} is a softmax over one logit",
            "round": f"{names} has a slope of zero everywhere",
            "mask": "a draw or a mask takes it out",
            "choice": "no sample chooses it",
            "empty": "no sample comes to it",
            "data": "what it works on is zero",
            "apart": "it works on zeros wherever the loss sends an error",
            "cancel": "the terms of its gradient cancel",
            "other": f"{names} passes on no gradient",
        }[self.what]


def listed(names: Sequence[str]) -> str:
    """Return some names as they stand in a sentence."""
    if len(names) > 4:
        return f"{names[0]}, {names[1]} and {len(names) - 2} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


@dataclass
class Calls:
    """Which modules a loss calls, and which node of the graph each of them ends with."""

    called: set[nn.Module] = field(default_factory=set)
    ends: dict[Node, nn.Module] = field(default_factory=dict)
    spans: list[tuple[int, int, nn.Module]] = field(default_factory=list)  # by places in the graph

    @contextmanager
    def watched(self, model: nn.Module) -> Iterator[None]:
        """Take down the calls of a model's modules made in here."""

        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            self.called.add(module)
            if isinstance(output, Tensor) and output.grad_fn is not None:
                self.ends.setdefault(output.grad_fn, module)
                given = [t.grad_fn for t in inputs if isinstance(t, Tensor) and t.grad_fn]
                start = max((node._sequence_nr() for node in given), default=-1)
                self.spans.append((start, output.grad_fn._sequence_nr(), module))

        hooks = [module.register_forward_hook(look) for module in model.modules()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


class Search:
    """A backward pass that is watched, and what it shows of the parameters without a gradient."""

    def __init__(
        self, model: nn.Module, calls: Calls, nodes: Sequence[Node], zeros: Collection[Tensor]
    ) -> None:
        self.names = {id(parameter_of(p)): name for name, p in model.named_parameters()}
        self.zeros = set(map(id, zeros))
        self.frozen = [
            (name, t)
            for name, t in (*model.named_parameters(), *model.named_buffers())
            if not t.requires_grad
        ]
        self.modules = {module: name for name, module in model.named_modules()}
        self.calls, self.nodes = calls, nodes
        self.came: dict[Node, bool] = {}
        self.went: dict[Node, tuple[bool, ...]] = {}
        self.empty: set[tuple[Node, int]] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the backward pass that is made in here."""
        hooks = [node.register_hook(partial(self.see, node)) for node in self.nodes
                 if not hasattr(node, "variable")]  # fmt: skip
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def see(self, node: Node, out: tuple[Any, ...], into: tuple[Any, ...]) -> None:
        """Take down whether a node got a gradient, and which inputs it gave one to."""
        self.came[node] = any(g is not None and any_number(local(g)) for g in into)
        self.went[node] = tuple(g is not None and any_number(local(g)) for g in out)
        self.empty |= {(node, n) for n, g in enumerate(out) if g is not None and not g.numel()}

    def agree(self, ranks: Ranks) -> None:
        """Take for given what came, and went, on one of the ranks."""
        mine = [(self.came.get(node), self.went.get(node)) for node in self.nodes]
        for others in ranks.all(mine) if ranks.ranks else ():
            for node, (came, went) in zip(self.nodes, others, strict=False):
                if node in self.came and came and went and len(went) == len(self.went[node]):
                    self.came[node] = True
                    self.went[node] = tuple(
                        a or b for a, b in zip(self.went[node], went, strict=True)
                    )

    def ends(self) -> dict[Node, dict[tuple[Node, int], None]]:
        """Return for every node without a gradient where, on the ways to the loss, it ends."""
        found: dict[Node, dict[tuple[Node, int], None]] = {}
        parameters = [n for n in self.nodes if hasattr(n, "variable")]
        order = sorted((n for n in self.nodes if n in self.came), key=lambda n: -n._sequence_nr())
        for node in order:
            for place, (source, _) in enumerate(node.next_functions):
                if source is None:
                    continue
                ends = found.setdefault(source, {})
                if not self.came[node]:
                    ends.update(found.get(node, {}))
                elif place < len(self.went[node]) and not self.went[node][place]:
                    ends[node, place] = None
        return {n: found.get(n, {}) for n in parameters}

    def name(self, node: Node) -> str:
        """Return the name of the module that ends with a node, or of the node's operation."""
        module = self.calls.ends.get(node)
        if module is not None and self.modules.get(module):
            return f"{self.modules[module]} ({type(module).__name__})"
        return f"{operation(node).lower()}()"

    def cause(self, node: Node, place: int) -> Cause:
        """Return why an operation that got a gradient gives an input none."""
        name = operation(node)
        if (node, place) in self.empty or name == "Embedding":  # all its tokens are padding
            return Cause("empty")
        factors = FACTORS.get(name, ())
        for other in range(len(factors)):
            if other != place and self.is_zero(node, other):
                return self.factor(node, other)
        if factors and name not in ("NativeLayerNorm", "NativeBatchNorm", "NativeGroupNorm"):
            return Cause("apart")
        if name in ROUND:
            return Cause("round", frozenset({self.name(node)}))
        if name in ("Softmax", "SafeSoftmax") and _one_logit(node):
            return Cause("one logit", frozenset({self.name(node)}))
        if name in CHOOSE:
            return Cause("choice")
        if name in GATES or name in FLAT:
            source = self.zero(node.next_functions[0][0], name)
            if source.what == "zero":
                return source
            return Cause(FLAT.get(name, "off"), frozenset({self.name(node)}))
        return Cause("other", frozenset({self.name(node)}))

    def is_zero(self, node: Node, place: int) -> bool:
        """Whether a factor of a product is known to be zero."""
        where = FACTORS[operation(node)][place]
        if place >= len(node.next_functions):
            return False  # a number, which is no tensor
        parameter, _ = viewed(node.next_functions[place][0]) if where else (None, 0)
        if id(parameter) in self.names:
            return id(parameter) in self.zeros
        value = parameter if parameter is not None else _saved(node, where or "")
        return value is not None and not any_number(value)

    def is_unknown(self, node: Node, place: int) -> bool:
        """Whether a factor comes from the graph, and autograd has no need of its numbers."""
        where = FACTORS[operation(node)][place]
        source = node.next_functions[place][0] if place < len(node.next_functions) else None
        return (
            source is not None
            and where is not None
            and (viewed(source)[0] is None and _saved(node, where) is None)
        )

    def factor(self, node: Node, place: int, depth: int = 0) -> Cause:
        """Return why a factor of a product is zero."""
        source = node.next_functions[place][0]
        value = _saved(node, FACTORS[operation(node)][place] or "")
        held = _memory(value) if source is None and value is not None else None
        for name, t in self.frozen if held is not None else ():
            if _memory(local(t)) == held:
                return Cause("frozen", frozenset({name}))
        if source is None and value is not None and (made_of := self.frozen_near(node, value)):
            return Cause("frozen", frozenset({made_of}))
        return self.zero(source, operation(node), depth)

    def frozen_near(self, node: Node, value: Tensor) -> str:
        """Return what is zero, frozen, of this size and held by the module that does a product."""
        for start, end, module in self.calls.spans:
            if start < node._sequence_nr() <= end:
                for own, t in (*module._parameters.items(), *module._buffers.items()):
                    if t is None or t.requires_grad or not t.is_floating_point():
                        continue
                    if t.numel() == value.numel() and not any_number(local(t)):
                        return f"{self.modules[module]}.{own}".removeprefix(".")
        return ""

    def zero(self, node: Node | None, user: str, depth: int = 0) -> Cause:
        """Return why a factor is zero."""
        parameter, _ = viewed(node)
        if parameter is not None:
            if id(parameter) in self.zeros:
                return Cause("zero", frozenset({self.names[id(parameter)]}))
            return Cause("data")
        if node is None or depth > 50:
            return Cause("mask" if user in ("Mul", "Div") else "data")
        name = operation(node)
        places = range(len(FACTORS.get(name, ())))
        zeros = [n for n in places if self.is_zero(node, n)] or [
            n for n in places if self.is_unknown(node, n)
        ]
        for place in sorted(zeros, key=lambda n: viewed(node.next_functions[n][0])[0] is None):
            return self.factor(node, place, depth + 1)
        if name in GATES and name not in ("Where", "Maximum", "Minimum"):
            below = self.zero(node.next_functions[0][0], name, depth + 1)
            return below if below.what == "zero" else Cause("off", frozenset({self.name(node)}))
        if name in VIEWS or name in KEEP_ZERO:
            return self.zero(node.next_functions[0][0], name, depth + 1)
        if name in ("Add", "Sub", "Cat", "Stack"):
            for below in (self.zero(n, name, depth + 1) for n, _ in node.next_functions):
                if below.what == "zero":
                    return below
        return Cause("data")


def _saved(node: Node, where: str) -> Tensor | None:
    try:
        value = getattr(node, where, None)
    except RuntimeError:
        return None  # changed in place since
    if not isinstance(value, Tensor):
        return None
    value = local(value.detach())
    return None if freed(value) else value


def _memory(tensor: Tensor) -> int | None:
    """Return the place in memory that a tensor and all views of it share."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (NotImplementedError, RuntimeError):
        return None


def _one_logit(node: Node) -> bool:
    result = _saved(node, "_saved_result")
    dim = getattr(node, "_saved_dim", -1)
    dim = dim - 2**64 if dim > 2**63 else dim
    return result is not None and result.ndim > 0 and result.shape[dim] == 1


def causes(search: Search, loss: Tensor, asked: Sequence[Tensor], ranks: Ranks) -> dict[int, Cause]:
    """Return, by the ids of parameters without a gradient, what hides them.

    If no backward pass was watched so far, it takes one more.
    """
    if not search.came:
        with search.watching():
            gradients(loss, asked)
    search.agree(ranks)
    found: dict[int, Cause] = {}
    wanted = set(map(id, asked))
    judged: dict[tuple[Node, int], Cause] = {}
    for node, ends in search.ends().items():
        key = id(parameter_of(node.variable))  # type: ignore[attr-defined]
        if key in wanted and ends:
            for end in ends:
                if end not in judged:
                    judged[end] = search.cause(*end)
            found[key] = _worst([judged[end] for end in ends])
    said = ranks.all([found.get(id(p)) for p in asked])
    first = [
        next((c for c in several if c is not None), None) for several in zip(*said, strict=True)
    ]
    return {id(p): cause for p, cause in zip(asked, first, strict=True) if cause is not None}


def _worst(several: Sequence[Cause]) -> Cause:
    """Return the one cause to name where the ways to the loss have several."""
    order = (
        "mask",
        "zero",
        "frozen",
        "round",
        "one logit",
        "saturated",
        "off",
        "choice",
        "empty",
        "other",
        "apart",
        "cancel",
    )
    what = min((c.what for c in several), key=lambda w: order.index(w) if w in order else 99)
    return Cause(what, frozenset().union(*(c.at for c in several if c.what == what)))


def joined(found: Mapping[int, Cause], names: Mapping[int, str]) -> dict[int, Cause]:
    """Make one cause of those that hide each other: of two zero factors each hides the other."""
    keys = {name: key for key, name in names.items()}
    group = {key: key for key in found}

    def root(key: int) -> int:
        while group[key] != key:
            key = group[key]
        return key

    for key, cause in found.items():
        for name in cause.at if cause.what == "zero" else ():
            if keys.get(name) in found and found[keys[name]].what == "zero":
                group[root(key)] = root(keys[name])
    at: dict[int, set[str]] = {}
    for key, cause in found.items():
        at.setdefault(root(key), set()).update(cause.at)
    return {
        key: Cause("zero", frozenset(at[root(key)])) if cause.what == "zero" else cause
        for key, cause in found.items()
    }


class Cuts(TorchFunctionMode):
    """Take down which parameters' results lose their graph, and by which functions.

    ``by`` names the functions, by the ids of all parameters behind them. ``chosen`` names those
    that give indices, by the ids of the parameters whose scores they compare.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by: dict[int, dict[str, None]] = {}
        self.chosen: dict[int, dict[str, None]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").removeprefix("__").removesuffix("__")
        given = [t for t in args if isinstance(t, Tensor) and t.requires_grad]
        tensors = [t for t in (out if isinstance(out, tuple) else (out,)) if isinstance(t, Tensor)]
        if func == torch.Tensor.data.__get__:  # type: ignore[attr-defined]
            name = "data"
        if name == "get":
            return out
        whole = bool(tensors) and not any(t.requires_grad for t in tensors)
        indices = any(t.dtype == torch.long for t in tensors)
        if whole or indices:
            by = f"{name}()" if torch.is_grad_enabled() else "torch.no_grad()"
            by = by if whole else f"the indices of {by}"
            for tensor in given:
                for leaf in _behind(tensor):
                    self.by.setdefault(id(parameter_of(leaf)), {})[by] = None
                for leaf in _scoring(tensor) if indices else ():
                    self.chosen.setdefault(id(leaf), {})[by] = None
        return out


def _behind(tensor: Tensor) -> Iterable[Tensor]:
    return [tensor] if tensor.grad_fn is None else leaves(walk(tensor))


def _scoring(tensor: Tensor) -> Iterator[Tensor]:
    """Give the parameters of the last products before a tensor."""
    for node in walk(tensor, lambda node: operation(node) in PRODUCTS):
        for parameter, _ in map(viewed, before(node)):
            if parameter is not None:
                yield parameter
