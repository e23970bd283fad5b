"""Compare replays of a training step with computing it anew, by the number of seeds.

``python -m benchmarks.replays 64`` trains a network with a LayerNorm from that many seeds, in turns
with and without replays. It prints the ratio of their CPU seconds on one thread.
"""

import json
import sys
import time
from statistics import median

import torch
from torch import Generator, nn

from zeroinit import train_many, training, xor

ROUNDS = 3
STEPS = 100


def normal(model: nn.Module, generator: Generator) -> None:
    """Draw all parameters."""
    for p in model.parameters():
        nn.init.normal_(p, generator=generator)


def seconds(seeds: int, replayed: int) -> float:
    """Return the CPU seconds of a training; up to ``replayed`` seeds its steps are replayed."""
    training._REPLAYED = replayed
    model = nn.Sequential(nn.Linear(2, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 2))
    begin = time.process_time()
    train_many(model, xor(64), start=normal, seeds=range(seeds), lr=0.1, steps=STEPS)
    return time.process_time() - begin


if __name__ == "__main__":
    torch.set_num_threads(1)
    seconds(1, replayed=1)  # the imports are not measured
    seeds = int(sys.argv[1])
    ratios = [seconds(seeds, replayed=seeds) / seconds(seeds, replayed=0) for _ in range(ROUNDS)]
    print(json.dumps({"ratio": median(ratios)}))
