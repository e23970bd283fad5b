"""The files that the lab's page loads compute the numbers of PyTorch."""

import json
import os
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from itertools import product
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from oracles import NAMED
from torch import Generator

from bookbuild.lab.archive import NPM, sources
from bookbuild.lab.build import ACTIVATIONS, LICENCE, choices, draws, step
from zeroinit import functional, lab
from zeroinit.initialization import default_
from zeroinit.networks import MLP

ROOT = Path(__file__).parents[2]
MADE = ROOT / "_build/lab.zip"
Arrays = dict[str, NDArray[np.float32]]

needs_npm = pytest.mark.skipif(
    not MADE.exists() and not os.environ.get("CI"), reason="npm brought no runtime for the lab"
)


@cache
def graph(depth: int) -> bytes:
    with ZipFile(MADE) as archive:
        return archive.read(f"graphs/{depth}.onnx")


def number(activation: str) -> NDArray[np.float32]:
    return np.array(ACTIVATIONS.index(activation), np.float32)


def run(graph: bytes, inputs: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def mid_run(activation: str, depth: int, width: int, optimizer: str) -> tuple[Arrays, Arrays]:
    """Return inputs in the midst of a run, and the outputs that torch.optim computes from them."""
    model = lab.start_(lab.network(activation, depth, width), "kaiming", seed=1)
    data = lab.DATA["moons"]()
    update = NAMED[optimizer](model.parameters(), lr=0.03)

    seen: list[torch.Tensor] = []
    for layer in model.layers:
        layer.register_forward_hook(lambda *call: seen.append(call[-1].detach()))

    def descend() -> tuple[torch.Tensor, torch.Tensor]:
        seen.clear()
        logits = model(data.x)
        loss = F.cross_entropy(logits, data.y)
        update.zero_grad()
        loss.backward()
        update.step()
        return loss.detach(), logits.detach()

    def carried() -> Arrays:
        key = "exp_avg" if optimizer == "adam" else "momentum_buffer"
        numbers = {}
        for name, p in model.named_parameters():
            mean, square = (update.state[p].get(k) for k in (key, "exp_avg_sq"))
            parts = (torch.zeros_like(p) if t is None else t for t in (p.detach(), mean, square))
            numbers[name] = torch.stack([*parts]).numpy()
        return numbers

    for _ in range(3):
        descend()
    inputs = carried()
    weights = [1 - 0.9**3, 1 - 0.999**3] if optimizer == "adam" else [1.0, 1.0]
    inputs |= {
        "weights": np.array(weights, np.float32),
        "x": data.x.numpy(),
        "y": F.one_hot(data.y).float().numpy(),
        "settings": functional.settings(optimizer, 0.03).numpy(),
        "activation": number(activation),
    }
    loss, logits = descend()
    norms = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None])
    kept = {"sgd": 1, "momentum": 2, "adam": 3}[optimizer]  # SGD keeps no square, nor a mean
    outputs = {f"{name}'": after[:kept] for name, after in carried().items()}
    outputs |= {"loss": loss.numpy(), "logits": logits.numpy(), "norms": norms.numpy()}
    outputs["signals"] = torch.stack([z.square().mean()[None] for z in seen]).numpy()
    return inputs, outputs


def differences(graph: bytes, inputs: Arrays, expected: Arrays) -> list[str]:
    """Return the names of the outputs that are further off than rounding explains.

    Of a state's new numbers those count that the optimizer keeps.
    """
    found = run(graph, inputs)
    kept = {
        k: a[: len(expected[k])] if k.endswith("'") else a
        for k, a in found.items()
        if k in expected
    }
    close = partial(np.allclose, rtol=2e-6, atol=2e-6)
    return [name for name, array in expected.items() if not close(kept[name], array)]


@needs_npm
@pytest.mark.parametrize("width", [2, 16, 17])
@pytest.mark.parametrize("optimizer", NAMED)
@pytest.mark.parametrize(("activation", "depth"), list(product(ACTIVATIONS, lab.DEPTHS)))
def test_a_compiled_step_is_the_step_of_torch_optim(
    activation: str, depth: int, optimizer: str, width: int
) -> None:
    inputs, expected = mid_run(activation, depth, width, optimizer)
    assert not differences(graph(depth), inputs, expected)


@needs_npm
def test_another_operator_is_noticed() -> None:
    inputs, expected = mid_run("tanh", 2, 8, "adam")
    for old, new in (("Tanh", "Sin"), ("Mul", "Add"), ("Sqrt", "Abs")):
        model = onnx.load_from_string(graph(2))
        node = next(node for node in model.graph.node if node.op_type == old)
        node.op_type = new
        assert differences(model.SerializeToString(), inputs, expected), f"{new} in place of {old}"


@needs_npm
def test_another_process_compiles_the_same_bytes() -> None:
    assert step(2) == graph(2)


@needs_npm
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_zeros_are_exact(activation: str) -> None:
    """At the all-zero start every zero of theorem *dead-start* is exact."""
    model = lab.start_(lab.network(activation, 3, 8), "zeros")
    state = functional.initial_state(dict(model.named_parameters()))
    data = lab.DATA["half-plane"]()
    inputs = {k: t.numpy() for k, t in state.slots.items()}
    inputs |= {
        "weights": np.zeros(2, np.float32),
        "x": data.x.numpy(),
        "y": F.one_hot(data.y).float().numpy(),
        "settings": functional.settings("sgd", 0.1).numpy(),
        "activation": number(activation),
    }
    moved = run(graph(3), inputs)["norms"] != 0
    alive = ["layers.3.weight", "layers.3.bias"] if activation == "sigmoid" else ["layers.3.bias"]
    assert [name for name, m in zip(state.slots, moved, strict=True) if m] == alive


@pytest.mark.parametrize("draw", [lab.draw_, default_])
def test_draws_hold_the_numbers_of_every_network(draw: Callable[..., MLP]) -> None:
    numbers, at = np.frombuffer(draws(draw, 2), "<f4"), 0
    for depth, width in product(lab.DEPTHS, lab.WIDTHS):
        model = draw(lab.network("tanh", depth, width), generator=Generator().manual_seed(2))
        for kind in ("weight", "bias"):
            for layer in model.layers:
                due = getattr(layer, kind).detach().numpy().ravel()
                assert (numbers[at : at + due.size] == due).all()
                at += due.size
    assert at == numbers.size


def test_points_survive_as_text() -> None:
    told = json.loads(choices())
    for name, load in lab.DATA.items():
        assert torch.equal(torch.tensor(told["data"][name]["x"]), load().x)


def test_every_module_that_runs_is_a_source() -> None:
    ran: set[str] = set()
    model = lab.network("tanh", 1, 4)
    state, x = functional.initial_state(dict(model.named_parameters())), torch.zeros(2, 2)
    sys.setprofile(lambda frame, event, argument: ran.add(frame.f_code.co_filename))
    try:
        choices()
        draws(lab.draw_, 0)
        functional.functional_step(model)(state, x, x, functional.settings("sgd", 0.1))
    finally:
        sys.setprofile(None)
    own = {file for file in ran if Path(file).parent.name == "zeroinit"}
    assert len(own) > 4
    own = {file for file in own if Path(file).name != "_checks.py"}  # they refuse, no more
    assert own <= {str(file) for file in sources(ROOT / "node_modules")}


@needs_npm
def test_the_licence_is_that_of_the_package() -> None:
    holder = "Copyright (c) Microsoft Corporation. All rights reserved."
    head = (ROOT / "node_modules/onnxruntime-web/dist/ort.wasm.min.mjs").read_text("utf-8")
    assert f"{holder}\n * Licensed under the MIT License.\n */" in head[:300]
    assert holder in LICENCE.read_text("utf-8")
    uplot = (ROOT / "node_modules/uplot/LICENSE").read_text("utf-8")
    own = LICENCE.read_text("utf-8").replace(holder, "Copyright")
    assert own == re.sub("Copyright .*", "Copyright", uplot)
    for name in NPM:
        package = json.loads((ROOT / f"node_modules/{name}/package.json").read_text("utf-8"))
        assert package["license"] == "MIT"
