"""Train the lesson's network in JAX from many seeds at once: ``jit`` of ``vmap`` of ``scan``.

``python -m benchmarks.jax_ensemble 256`` needs JAX and nothing of this repository. It prints what
``benchmarks.ensemble`` prints. The time is that of a second call, without compiling, which the
first call does; the memory holds both.
"""

import json
import os
import resource
import sys
import time
from typing import Any

os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # one thread
)

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]

POINTS, STEPS, RATE = 128, 200, 0.1
X = jax.random.uniform(jax.random.key(0), (POINTS, 2), minval=-1, maxval=1)
Y = (X.sum(1) > 0).astype(int)


def start(seed: Any) -> Any:
    """Draw weights and biases as PyTorch does: uniform, up to 1/√fan_in."""
    keys = jax.random.split(jax.random.key(seed), 4)
    shapes = [(16, 2), (16,), (2, 16), (2,)]
    bounds = [2**-0.5, 2**-0.5, 0.25, 0.25]
    return [
        jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        for key, shape, bound in zip(keys, shapes, bounds, strict=True)
    ]


def loss(parameters: Any) -> Any:
    """Return the mean cross-entropy."""
    W1, b1, W2, b2 = parameters
    log_p = jax.nn.log_softmax(jax.nn.relu(X @ W1.T + b1) @ W2.T + b2)
    return -jnp.take_along_axis(log_p, Y[:, None], 1).mean()


def train(seed: Any) -> Any:
    """Return the parameters at the end, and the losses."""

    def step(parameters: Any, _: None) -> Any:
        value, gradients = jax.value_and_grad(loss)(parameters)
        moved = [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]
        return moved, value

    end, losses = jax.lax.scan(step, start(seed), None, length=STEPS)
    return end, losses, loss(end)


def peak() -> float:
    """Return the most megabytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    seeds = jnp.arange(int(sys.argv[1]))
    many = jax.jit(jax.vmap(train))
    jax.block_until_ready(many(seeds[:1]))  # imports, and what is loaded once, are not measured
    held = peak()
    jax.block_until_ready(many(seeds))
    begin = time.process_time()
    jax.block_until_ready(many(seeds))
    speed = len(seeds) * STEPS / (time.process_time() - begin)
    print(json.dumps({"speed": speed, "megabytes": peak() - held}))
