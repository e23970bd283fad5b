"""Trace a repeated computation once, and replay the traced operations.

On small networks PyTorch takes longer to find out what to compute than to compute it: autograd and
:func:`torch.func.vmap` look at every operation anew. The recorder stands below both and sees only
the operations that they arrive at.
"""

from collections.abc import Callable, Sequence
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

Computation = Callable[..., Any]

# Views that, where they keep the shape, are the tensor itself.
_VIEWS = frozenset(
    {
        torch.ops.aten.detach.default,
        torch.ops.aten.expand.default,
        torch.ops.aten.view.default,
        torch.ops.aten._unsafe_view.default,
    }
)


class _Recorder(TorchDispatchMode):
    """Records in a graph every operation that depends on the inputs, below vmap and autograd.

    What does not depend on them is computed while recording, and is a constant of the graph.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = Graph()
        self.constants: dict[str, Tensor] = {}
        for k, t in enumerate(inputs):
            vars(t)["node"] = self.graph.placeholder(f"input_{k}")

    def node(self, t: Tensor) -> Node:
        """Return the node that computes a tensor, which knows it by its attribute ``node``."""
        if "node" not in vars(t):
            name = f"constant_{len(self.constants)}"
            self.constants[name] = t
            return self.graph.get_attr(name)
        node: Node = vars(t)["node"]
        return node

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = operation(*args, **kwargs)
        if any("node" in vars(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)):
            if operation in _VIEWS and result.shape == args[0].shape:
                vars(result)["node"] = self.node(args[0])
                return result
            inputs = tree_map_only(Tensor, self.node, (args, kwargs))
            node = self.graph.call_function(operation, *inputs)
            if isinstance(result, Tensor):
                vars(result)["node"] = node
            elif isinstance(result, tuple | list):
                for k, t in enumerate(result):
                    if isinstance(t, Tensor):
                        vars(t)["node"] = self.graph.call_function(getitem, (node, k))
        return result


def recorded(function: Computation, point: Sequence[Tensor]) -> Computation:
    """Return a function that computes the same as ``function``, by replaying what that did once.

    Parameters
    ----------
    function : callable
        Of tensors; gives tensors. It depends on nothing else that changes.
    point : sequence of Tensor
        Where it is recorded; later points have these shapes.

    Returns
    -------
    callable
        The replay; or ``function`` itself, if it cannot be recorded or if its replay gives other
        numbers at another point.

    Examples
    --------
    Every number is that of the function; a function that counts its calls is left as it is:

    >>> def cube(x):
    ...     return x * x * x
    >>> replay = recorded(cube, [torch.ones(3)])
    >>> torch.equal(replay(torch.arange(3.0)), cube(torch.arange(3.0)))
    True
    >>> calls = []
    >>> def moody(x):
    ...     calls.append(x)
    ...     return x * len(calls)
    >>> recorded(moody, [torch.ones(3)]) is moody
    True
    """
    recorder, other = _Recorder(point), [p + 0.1 for p in point]
    try:
        with recorder:
            results = function(*point)
        recorder.graph.output(tree_map_only(Tensor, recorder.node, results))
        recorder.graph.eliminate_dead_code()
        replay: Computation = torch.no_grad()(
            GraphModule(recorder.constants, recorder.graph).forward
        )
        pairs = zip(tree_leaves(replay(*other)), tree_leaves(function(*other)), strict=True)
        same = all(a is b or torch.allclose(a, b, 0, 0, equal_nan=True) for a, b in pairs)
    except Exception:  # whatever it was, the function itself runs, or says what is wrong
        return function
    return replay if same else function
