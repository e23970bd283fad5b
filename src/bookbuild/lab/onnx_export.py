"""Write a PyTorch function, with the gradients that it takes, as an ONNX file for the browser.

PyTorch traces the function on an example. Sizes of the example that are named may differ later.
Tracing is what takes long, so operations that ONNX lacks are replaced in the first trace.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import onnx
import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.export import Dim, export
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten

NOT_IN_ONNX = (  # what the exporter meets and cannot write; of another one it says so
    aten._log_softmax_backward_data.default,
    aten.conj_physical.default,
    aten.gelu_backward.default,
    aten.rsub.Scalar,
    aten.sigmoid_backward.default,
    aten.tanh_backward.default,
    aten.threshold_backward.default,
)


def export_onnx(
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
        Sizes of the example that may differ later, from 2 on, each with a name. Every axis of that
        size gets the name, so no other axis may have the same size.
    """
    sizes = {size: Dim(name, min=2, max=2**20) for size, name in free.items()}
    shapes = tuple(
        {axis: sizes[size] for axis, size in enumerate(tensor.shape) if size in sizes}
        for tensor in inputs.values()
    )
    example = tuple(inputs.values())
    # The exporter alone cannot trace gradients that are taken within a function.
    replaced: Any = get_decompositions(NOT_IN_ONNX)
    traced = make_fx(functionalize(function), replaced, "symbolic")(*example)
    exported = export(traced, example, dynamic_shapes=shapes)
    vars(exported)["run_decompositions"] = lambda _: exported  # there is nothing left to replace
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about PyTorch's own calls
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of steps that it skips
        program = torch.onnx.export(
            exported,
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
    """Remove the entries for debuggers, and shorten all names that are not inputs or outputs."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    names: dict[str, str] = {}

    def short(name: str) -> str:
        # No input begins with %. A constant with the name of an input would replace that input.
        return name if name in kept or not name else names.setdefault(name, f"%{len(names)}")

    for constant in graph.initializer:
        constant.name = short(constant.name)
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
