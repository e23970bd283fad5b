"""The slope at exactly zero that libraries give to one and the same function.

``python -m atlas.slopes`` writes ``slopes.json`` and, as a table, ``slopes.md``. A library that is
not installed keeps its column; ``pip install -r atlas/slopes.txt`` installs the versions of the
table. Where there is no C compiler, ``DEV=PYTHON`` lets tinygrad do without.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from benchmarks.markdown import markdown

#: Where the columns are kept.
COLUMNS = Path(__file__).with_suffix(".json")
#: What is measured: its name in the table, and where; the slope is that of the first number.
FUNCTIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "relu": ("ReLU", (0.0,)),
    "leaky_relu": ("leaky ReLU, 0.01", (0.0,)),
    "prelu": ("PReLU, 0.25", (0.0,)),
    "elu": ("ELU, α = 1", (0.0,)),
    "celu": ("CELU, α = 1", (0.0,)),
    "selu": ("SELU", (0.0,)),
    "maximum": ("maximum(x, 0)", (0.0,)),
    "clip": ("clip(x, min=0)", (0.0,)),
    "abs": ("the size of x", (0.0,)),
    "erf": ("erf", (0.0,)),
    "norm": ("the norm of (x, 0)", (0.0, 0.0)),
    "prod": ("the product of (x, 2, 3)", (0.0, 2.0, 3.0)),
}
#: How far from zero the sides are measured.
BESIDE = 1e-3

Function = Callable[[Any], Any]
Gradient = Callable[[Function, Sequence[float]], Any]
Library = tuple[Gradient, dict[str, Function]]


def torch() -> Library:
    """Return how PyTorch takes a gradient, and the functions."""
    import torch
    from torch.nn import functional as F

    def gradient(function: Function, values: Sequence[float]) -> Any:
        x = torch.tensor(values, requires_grad=True)
        return torch.autograd.grad(function(x).sum(), x)[0].tolist()

    return gradient, {
        **{name: getattr(F, name) for name in ("relu", "leaky_relu", "elu", "celu", "selu")},
        "prelu": lambda x: F.prelu(x, torch.tensor([0.25])),
        "maximum": lambda x: torch.maximum(x, torch.zeros(1)),
        "clip": lambda x: x.clip(min=0),
        "abs": torch.abs,
        "erf": torch.erf,
        "norm": torch.linalg.vector_norm,
        "prod": torch.prod,
    }


def jax() -> Library:
    """Return how JAX takes a gradient, and the functions; it has no PReLU."""
    jax, jnp = import_module("jax"), import_module("jax.numpy")

    def gradient(function: Function, values: Sequence[float]) -> Any:
        return jax.grad(lambda x: function(x).sum())(jnp.array(values)).tolist()

    return gradient, {
        **{name: getattr(jax.nn, name) for name in ("relu", "leaky_relu", "elu", "celu", "selu")},
        "maximum": lambda x: jnp.maximum(x, 0),
        "clip": lambda x: jnp.clip(x, min=0),
        "abs": jnp.abs,
        "erf": jax.scipy.special.erf,
        "norm": jnp.linalg.norm,
        "prod": jnp.prod,
    }


def keras() -> Library:
    """Return how Keras takes a gradient with JAX below it, and the functions."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras = import_module("keras")
    quarter = keras.initializers.Constant(0.25)
    return jax()[0], {
        **{name: getattr(keras.activations, name) for name in ("relu", "elu", "celu", "selu")},
        "leaky_relu": lambda x: keras.activations.leaky_relu(x, 0.01),
        "prelu": lambda x: keras.layers.PReLU(alpha_initializer=quarter)(x[None]),
        "maximum": lambda x: keras.ops.maximum(x, 0),
        "clip": lambda x: keras.ops.clip(x, 0, 9),
        "abs": keras.ops.abs,
        "erf": keras.ops.erf,
        "norm": keras.ops.norm,
        "prod": keras.ops.prod,
    }


def mlx() -> Library:
    """Return how MLX takes a gradient, and the functions."""
    mx, nn = import_module("mlx.core"), import_module("mlx.nn")

    def gradient(function: Function, values: Sequence[float]) -> Any:
        return mx.grad(lambda x: function(x).sum())(mx.array(values)).tolist()

    return gradient, {
        **{name: getattr(nn, name) for name in ("relu", "leaky_relu", "elu", "celu", "selu")},
        "prelu": lambda x: nn.prelu(x, mx.array(0.25)),
        "maximum": lambda x: mx.maximum(x, 0),
        "clip": lambda x: mx.clip(x, 0, None),
        "abs": mx.abs,
        "erf": mx.erf,
        "norm": mx.linalg.norm,
        "prod": mx.prod,
    }


def paddle() -> Library:
    """Return how Paddle takes a gradient, and the functions."""
    paddle = import_module("paddle")
    F = paddle.nn.functional

    def gradient(function: Function, values: Sequence[float]) -> Any:
        x = paddle.to_tensor(values, stop_gradient=False)
        return paddle.grad(function(x).sum(), x)[0].tolist()

    return gradient, {
        **{name: getattr(F, name) for name in ("relu", "leaky_relu", "elu", "celu", "selu")},
        "prelu": lambda x: F.prelu(x, paddle.to_tensor([0.25])),
        "maximum": lambda x: paddle.maximum(x, paddle.zeros([1])),
        "clip": lambda x: paddle.clip(x, min=0),
        "abs": paddle.abs,
        "erf": paddle.erf,
        "norm": paddle.linalg.norm,
        "prod": paddle.prod,
    }


def tinygrad() -> Library:
    """Return how tinygrad takes a gradient, and the functions; it has no PReLU and no norm."""
    Tensor = import_module("tinygrad").Tensor

    def gradient(function: Function, values: Sequence[float]) -> Any:
        x = Tensor([*values]).contiguous()
        return function(x).sum().gradient(x)[0].tolist()

    named = ("relu", "leaky_relu", "elu", "celu", "selu", "abs", "erf", "prod")
    return gradient, {
        **{name: getattr(Tensor, name) for name in named},
        "maximum": lambda x: x.maximum(0),
        "clip": lambda x: x.clip(min_=0),
    }


#: The libraries by their names in the table, with their packages.
LIBRARIES = {
    "PyTorch": (torch, "torch"),
    "JAX": (jax, "jax"),
    "Keras on JAX": (keras, "keras"),
    "MLX": (mlx, "mlx"),
    "Paddle": (paddle, "paddlepaddle"),
    "tinygrad": (tinygrad, "tinygrad"),
}


def measure(name: str) -> dict[str, Any]:
    """Return the column of a library: its version, and slopes below zero, at zero, above it."""
    library, package = LIBRARIES[name]
    gradient, functions = library()
    slopes = {
        key: [gradient(function, (x, *FUNCTIONS[key][1][1:]))[0] for x in (-BESIDE, 0.0, BESIDE)]
        for key, function in functions.items()
    }
    return {"version": metadata.version(package), "slopes": slopes}


def table(columns: dict[str, Any]) -> str:
    """Return the table: a row for each function, and a column for each library."""
    heads = [f"{name} {column['version'].split('+')[0]}" for name, column in columns.items()]
    lines = []
    for key, (text, _) in FUNCTIONS.items():
        rows = [column["slopes"].get(key) for column in columns.values()]
        below, _, above = next(filter(None, rows))
        sides = " and ".join(dict.fromkeys((word(below), word(above))))
        lines.append([text, sides, *(word(row[1]) if row else "–" for row in rows)])
    return markdown(["function", "beside zero", *heads], lines) + "\n"


def word(slope: float) -> str:
    """Return a slope as the table has it, to two digits after the point."""
    text = f"{slope:.2f}".removesuffix("0").removesuffix(".0")
    return "NaN" if slope != slope else text.replace("-", "−")


def main() -> None:
    """Measure each library that is installed, and write the columns and the table."""
    columns = json.loads(COLUMNS.read_text("utf-8")) if COLUMNS.exists() else {}
    for name in LIBRARIES:
        try:
            columns[name] = measure(name)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    columns = {name: columns[name] for name in LIBRARIES if name in columns}
    COLUMNS.write_text(json.dumps(columns, indent=1) + "\n", "utf-8")
    COLUMNS.with_suffix(".md").write_text(table(columns), "utf-8")


if __name__ == "__main__":
    main()
