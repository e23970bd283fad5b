"""Compare training many seeds at once with a loop: a module and an optimizer for each seed.

``python -m benchmarks.ensemble many 256`` trains the lesson's network from that many seeds by
``train_many``, ``python -m benchmarks.ensemble each 8`` one after the other by ``train``, and
``python -m benchmarks.ensemble loop 8`` in a loop written by hand. It prints the network-steps in
a CPU second of one thread (a loop takes as long for each seed), and by how many megabytes the peak
of memory rose.
"""

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

from zeroinit import MLP, half_plane, train, train_many

LAYERS = [2, 16, 2]
STEPS = 200
RATE = 0.1


def many(seeds: int, steps: int = STEPS) -> None:
    """Train all seeds at once."""
    train_many(MLP(LAYERS), half_plane(), start="default", seeds=range(seeds), lr=RATE, steps=steps)


def each(seeds: int, steps: int = STEPS) -> None:
    """Train one seed after the other, by ``train``."""
    data = half_plane()
    for seed in range(seeds):
        train(MLP(LAYERS, seed=seed), data, lr=RATE, steps=steps)


def loop(seeds: int, steps: int = STEPS) -> None:
    """Train one seed after the other, in a plain loop."""
    data = half_plane()
    for seed in range(seeds):
        model = MLP(LAYERS, seed=seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data.x), data.y)
            loss.backward()
            losses.append(loss.detach())
            optimizer.step()


def peak() -> float:
    """Return the most megabytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    run, seeds = {"many": many, "each": each, "loop": loop}[sys.argv[1]], int(sys.argv[2])
    torch.set_num_threads(1)
    run(1, steps=1)  # the imports are not measured
    held, begin = peak(), time.process_time()
    run(seeds)
    speed = seeds * STEPS / (time.process_time() - begin)
    print(json.dumps({"speed": speed, "megabytes": peak() - held}))
