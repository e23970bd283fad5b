"""What the lab's page loads: compiled steps, drawn numbers, points, and what npm brought.

``python -m bookbuild.lab.build _build/lab node_modules 2`` makes the files, with two processes, if
what they are made from has changed.
"""

import gzip
import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from bookbuild.lab import onnx_export
from bookbuild.tools.store import draft
from zeroinit import data, functional, initialization, lab, networks

ACTIVATIONS = "relu", "tanh", "sigmoid", "gelu"
ORT = "onnxruntime-web/dist/"
FROM_NPM = {  # what is taken of the packages, and where it goes
    f"{ORT}ort.wasm.min.mjs": "ort/ort.wasm.min.mjs",
    f"{ORT}ort-wasm-simd-threaded.mjs": "ort/ort-wasm-simd-threaded.mjs",
    f"{ORT}ort-wasm-simd-threaded.wasm": "ort/ort-wasm-simd-threaded.wasm.gz",
    "uplot/dist/uPlot.esm.js": "uplot/uPlot.esm.js",
    "uplot/dist/uPlot.min.css": "uplot/uPlot.min.css",
    "uplot/LICENSE": "uplot/LICENSE",
}
NPM = "onnxruntime-web", "uplot"
UNITS, POINTS = 7, 61  # sizes of the example, which nothing else in a step has


def chosen(number: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the activation function whose place in ``ACTIVATIONS`` is an input of the graph."""

    def function(z: Tensor) -> Tensor:
        h, *others = (networks.ACTIVATIONS[name].function(z) for name in ACTIVATIONS)
        for place, other in enumerate(others, 1):
            h = torch.where(number == place, other, h)
        return h

    return function


def step(depth: int) -> bytes:
    """Return the compiled step of the lab's networks of a depth. Their activation is an input."""
    model = lab.network("relu", depth, UNITS).requires_grad_(False)
    state = functional.beginning(dict(model.named_parameters()))
    carried = {**state.numbers, "weights": state.weights}
    points = lab.DATA["half-plane"]()
    x, y = points.x[:POINTS], F.one_hot(points.y[:POINTS]).float()
    inputs = carried | {"x": x, "y": y, "settings": functional.settings("adam", 0.1)}
    inputs["activation"] = torch.zeros(())
    once = functional.functional_step(model)

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        *numbers, weights, x, y, settings, activation = tensors
        model.sigma = model.sigma._replace(function=chosen(activation))  # its slope: autograd's
        now = functional.State(dict(zip(state.numbers, numbers, strict=True)), weights)
        new, seen = once(now, x, y, settings)
        return (*new.numbers.values(), new.weights, *seen)

    outputs = [f"{name}'" for name in carried] + list(functional.Seen._fields)
    return onnx_export.compiled(flat, inputs, outputs, {UNITS: "units", POINTS: "points"})


def draws(seed: int) -> bytes:
    """Return the numbers of every network for a seed, as float32."""
    parts = []
    for depth, width in product(lab.DEPTHS, lab.WIDTHS):
        model = lab.draw_(lab.network("relu", depth, width), Generator().manual_seed(seed))
        layers = networks.linear_layers(model)
        parts += [layer.weight.flatten() for layer in layers] + [layer.bias for layer in layers]
    return torch.cat(parts).detach().numpy().astype("<f4").tobytes()


def choices() -> bytes:
    """Return the points and what can be chosen, as JSON."""
    sets = {name: make() for name, make in lab.DATA.items()}
    told = {
        "activations": ACTIVATIONS,
        "widths": lab.WIDTHS,
        "depths": lab.DEPTHS,
        "seeds": len(lab.SEEDS),
        "optimizers": functional.OPTIMIZERS,
        "data": {n: {"x": d.x.tolist(), "y": d.y.tolist()} for n, d in sets.items()},
    }
    return json.dumps(told, default=dict).encode()


def licence(packages: Path) -> str:
    """Return the licence of ONNX Runtime Web, whose package names it and does not hold its text."""
    head = (packages / ORT / "ort.wasm.min.mjs").read_text("utf-8").partition("*/")[0]
    (holder,) = re.findall("Copyright .*? Corporation", head)
    text = (packages / "uplot/LICENSE").read_text("utf-8")
    if "Licensed under the MIT License" not in head or "MIT License" not in text:
        raise ValueError(f"{ORT} or uPlot is no longer under the MIT License: see what it asks for")
    return re.sub("Copyright .*", f"{holder}. All rights reserved.", text)


def sources(packages: Path) -> list[Path]:
    """Return the files that decide what is made."""
    modules = (data, functional, initialization, lab, networks, onnx_export)
    own = [Path(str(module.__file__)) for module in modules]
    return [*own, Path(__file__), *(packages / name / "package.json" for name in NPM)]


def made_from(packages: Path) -> str:
    """Return a digest of the sources, and of the versions of what compiles them."""
    parts = [file.read_bytes() for file in sources(packages)]
    parts += [version(package).encode() for package in ("torch", "onnx", "onnxscript")]
    return sha256(b"\0".join(parts)).hexdigest()


def make(folder: Path, packages: Path, jobs: int) -> None:
    """Make the files in a folder, all of them or none, if they are not what they should be."""
    note, digest = folder / "made-from", made_from(packages)
    if note.exists() and note.read_text("utf-8") == digest:
        return
    print("Compiling the training steps of the lab ...", flush=True)
    with draft(folder) as made:
        for name in ("graphs", "ort", "uplot"):
            (made / name).mkdir(parents=True)
        with ProcessPoolExecutor(jobs) as pool:
            for depth, graph in zip(lab.DEPTHS, pool.map(step, lab.DEPTHS), strict=True):
                (made / f"graphs/{depth}.onnx").write_bytes(graph)
        for seed in lab.SEEDS:
            (made / f"draws-{seed}.bin").write_bytes(draws(seed))
        for source, target in FROM_NPM.items():
            content = (packages / source).read_bytes()
            packed = gzip.compress(content, 9, mtime=0) if target.endswith(".gz") else content
            (made / target).write_bytes(packed)
        (made / "ort/LICENSE").write_text(licence(packages), "utf-8")
        (made / "lab.json").write_bytes(choices())
        (made / "made-from").write_text(digest, "utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
