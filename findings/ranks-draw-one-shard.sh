#!/usr/bin/env bash
# A model made on the meta device and started after it was sharded: every rank draws the same shard.
#
# Versions:  torch 2.13.0, gloo, two ranks, Linux x86-64, CPU.
# Expected:  to_empty and reset_parameters on DTensors draw what they draw on one device, as the
#            documentation of DTensor promises for its random operations; on a CPU mesh they might
#            lack support, and raise. If shards should be equal, they stay equal, under tensor
#            parallelism and fully_shard alike.
# Seen:      they warn that random operators "may not have complete support", and each rank draws the
#            same shard: 8 of 16 units are different. Under tensor parallelism (columns, then rows)
#            the halves are equal to the last bit after 50 steps of Adam. Under fully_shard, where
#            the next layer's columns are not cut, they part at the first step, so nothing but the
#            start itself shows it. Dropout on a sharded tensor draws the same mask on both ranks.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.13.0 numpy

cat > "$place/ranks.py" <<'PYTHON'
import multiprocessing
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import TCPStore
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
Y = torch.arange(64) % 4


def different(model):
    """Count the different units of the first layer."""
    return len(model[0].weight.full_tensor().detach().unique(dim=0))


def started(way, mesh):
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    if way == "tensor parallelism":
        parallelize_module(model, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    else:
        fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    model[0].reset_parameters()
    model[2].reset_parameters()
    return model


def run(rank, port):
    store = TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    seen = []
    for way in ("tensor parallelism", "fully_shard"):
        model = started(way, mesh)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        seen.append(different(model))
        for step in range(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            if step in (0, 49):
                seen.append(different(model))
        if rank == 0:
            print(f"{way}: {seen[-3]} of 16 units differ, {seen[-2]} after one step of Adam,",
                  f"{seen[-1]} after 50")
    ones = distribute_tensor(torch.ones(32), mesh, [Shard(0)])
    mask = nn.functional.dropout(ones, 0.5, True).full_tensor()
    if rank == 0:
        print("dropout keeps", *mask.nonzero().flatten().tolist(), "of 32")
    dist.destroy_process_group()
    sys.exit(seen != [8, 8, 8, 8, 16, 16] or not mask[:16].equal(mask[16:]))


store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
fork = multiprocessing.get_context("fork")
ranks = [fork.Process(target=run, args=(rank, store.port)) for rank in range(2)]
for process in ranks:
    process.start()
for process in ranks:
    process.join(120)
    process.kill()
sys.exit(any(process.exitcode for process in ranks))
PYTHON
OMP_NUM_THREADS=1 timeout 300 "$place/venv/bin/python" "$place/ranks.py"
