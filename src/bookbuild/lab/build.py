"""The files that the lab's page loads: compiled steps, initial numbers, data and libraries."""

import gzip
import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import torch
import torch._dynamo  # here, so that processes which compile find it imported
import torch.nn.functional as F
from torch import Generator, Tensor

from bookbuild.lab import onnx_export
from zeroinit import functional, initialization, lab, networks

ACTIVATIONS = "relu", "tanh", "sigmoid", "gelu"
ORT = "onnxruntime-web/dist/"
FROM_NPM = {  # files of the packages, and their names here
    f"{ORT}ort.wasm.min.mjs": "ort/ort.wasm.min.mjs",
    f"{ORT}ort-wasm-simd-threaded.mjs": "ort/ort-wasm-simd-threaded.mjs",
    f"{ORT}ort-wasm-simd-threaded.wasm": "ort/ort-wasm-simd-threaded.wasm.gz",
    "uplot/dist/uPlot.esm.js": "uplot/uPlot.esm.js",
    "uplot/dist/uPlot.min.css": "uplot/uPlot.min.css",
    "uplot/LICENSE": "uplot/LICENSE",
}
# uPlot writes numbers in the reader's language, and does not load if the browser names one that is
# no valid tag, as WebKit may do. The page is in English.
LANGUAGE = b"domEnv ? nav.language : 'en-US'", b"'en-US'"
LICENCE = Path(__file__).with_name("LICENSE.onnxruntime")  # the package does not hold its text
UNITS, POINTS = 7, 61  # sizes of the example; no other size in a step equals one of them


def chosen(number: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that applies the activation at an index of ``ACTIVATIONS``."""

    def function(z: Tensor) -> Tensor:
        h, *others = (networks.ACTIVATIONS[name].function(z) for name in ACTIVATIONS)
        for place, other in enumerate(others, 1):
            h = torch.where(number == place, other, h)
        return h

    return function


def step(depth: int) -> bytes:
    """Return as ONNX one training step of networks of a depth. The activation is an input.

    Beside the report of the step there is the signal: the mean square of each layer's output.
    """
    model = lab.network("relu", depth, UNITS).requires_grad_(False)
    state = functional.initial_state(dict(model.named_parameters()))
    carried = {**state.slots, "weights": state.corrections}
    points = lab.DATA["half-plane"]()
    x, y = points.x[:POINTS], F.one_hot(points.y[:POINTS]).float()
    inputs = carried | {"x": x, "y": y, "settings": functional.settings("adam", 0.1)}
    inputs["activation"] = torch.zeros(())
    once = functional.functional_step(model)

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        *slots, corrections, x, y, settings, activation = tensors
        model.sigma = model.sigma._replace(function=chosen(activation))  # autograd derives it
        now = functional.State(dict(zip(state.slots, slots, strict=True)), corrections)
        new, report = once(now, x, y, settings)
        signals, h, values = [], x, list(now.parameters.values())
        for weight, bias in zip(values[::2], values[1::2], strict=True):
            z = F.linear(h, weight, bias)  # the exporter finds that the step computes it too
            signals.append((z * z).mean((0, 1), keepdim=True))
            h = model.sigma.function(z)
        return (*new.slots.values(), new.corrections, *report, torch.cat(signals))

    outputs = [*(f"{name}'" for name in carried), *functional.StepReport._fields, "signals"]
    return onnx_export.export_onnx(flat, inputs, outputs, {UNITS: "units", POINTS: "points"})


def draws(draw: Callable[..., networks.MLP], seed: int) -> bytes:
    """Return the random numbers of every network for a seed, as float32; ``draw`` draws them."""
    parts = []
    for depth, width in product(lab.DEPTHS, lab.WIDTHS):
        network = lab.network("relu", depth, width)
        model = draw(network, generator=Generator().manual_seed(seed))
        layers = networks.linear_layers(model)
        parts += [layer.weight.flatten() for layer in layers] + [layer.bias for layer in layers]
    return torch.cat(parts).detach().numpy().astype("<f4").tobytes()


def choices() -> bytes:
    """Return the data and the choices that the menus offer, as JSON."""
    sets = {name: make() for name, make in lab.DATA.items()}
    offered = {
        "activations": ACTIVATIONS,
        "widths": lab.WIDTHS,
        "depths": lab.DEPTHS,
        "seeds": len(lab.SEEDS),
        "optimizers": functional.OPTIMIZERS,
        "data": {n: {"x": d.x.tolist(), "y": d.y.tolist()} for n, d in sets.items()},
    }
    return json.dumps(offered, default=dict).encode()


def files(packages: Path, jobs: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file; ``jobs`` processes compile."""
    quietly = signal.SIGINT, signal.SIG_DFL  # Ctrl-C ends a process, and it says nothing
    with ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=quietly) as pool:
        deepest_first = sorted(lab.DEPTHS, reverse=True)  # they take longest
        for depth, graph in zip(deepest_first, pool.map(step, deepest_first), strict=True):
            yield f"graphs/{depth}.onnx", graph
    for seed in lab.SEEDS:
        yield f"draws-{seed}.bin", draws(lab.draw_, seed)
        yield f"default-{seed}.bin", draws(initialization.default_, seed)
    for source, target in FROM_NPM.items():
        content = (packages / source).read_bytes().replace(*LANGUAGE)
        yield target, gzip.compress(content, 9, mtime=0) if target.endswith(".gz") else content
    yield "ort/LICENSE", LICENCE.read_bytes()
    yield "lab.json", choices()
