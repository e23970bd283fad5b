"""A PyTorch function as a file that a browser can run: traced by PyTorch, and written as ONNX.

A function of tensors is followed while it works on an example, its gradients included. Sizes that
the example marks are left free.
"""

import logging
import warnings
from collections.abc import Callable, Mapping

import onnx
import torch
from torch import Tensor
from torch.export import Dim, export
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx


def compiled(
    function: Callable[..., tuple[Tensor, ...]],
    inputs: Mapping[str, Tensor],
    outputs: list[str],
    free: Mapping[int, str],
) -> bytes:
    """Return an ONNX file that computes a function.

    Parameters
    ----------
    function : callable
        Takes the tensors of ``inputs`` in their order, and returns one for each of ``outputs``.
    inputs : mapping of str to Tensor
        An example by the names that the file gives to its inputs.
    outputs : list of str
        The names that the file gives to what the function returns.
    free : mapping of int to str
        Sizes of the example that may be others, from 2, each with a name. A size means the same
        wherever it occurs, so no other may be equal to it.
    """
    sizes = {size: Dim(name, min=2, max=2**20) for size, name in free.items()}
    shapes = tuple(
        {axis: sizes[size] for axis, size in enumerate(tensor.shape) if size in sizes}
        for tensor in inputs.values()
    )
    example = tuple(inputs.values())
    # Followed first: the exporter alone does not know gradients that are taken within a function.
    followed = make_fx(functionalize(function), tracing_mode="symbolic")(*example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's own, of what it calls
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # what it skips
        program = torch.onnx.export(
            export(followed, example, dynamic_shapes=shapes),
            args=(),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=outputs,
        )
    assert program is not None
    model = program.model_proto
    shorten(model, {*inputs, *outputs})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def shorten(model: onnx.ModelProto, kept: set[str]) -> None:
    """Take away what only a debugger reads, and number what has no name outside."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    names: dict[str, str] = {}

    def short(name: str) -> str:
        # Two characters that no input begins with: a constant of an input's name would replace it.
        return name if name in kept or not name else names.setdefault(name, f"%{len(names)}")

    for constant in graph.initializer:
        constant.name = short(constant.name)
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
