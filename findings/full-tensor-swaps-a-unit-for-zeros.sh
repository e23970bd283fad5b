#!/usr/bin/env bash
# A layer of ten units, sharded by tensor parallelism and then by FSDP2: full_tensor() lost a unit.
#
# Versions:  torch 2.9.0, Linux x86-64, four CPU ranks with gloo. (In 2.10.0 and 2.13.0 all is right.)
# Expected:  full_tensor() gives the weights that were there before: the network computes with them.
# Seen:      with 8 or 12 units it does. With 10 or 6, on a mesh of two by two, it gives a layer with a
#            row of zeros in place of a unit, and the units behind it in another order. There is no
#            error, and the sharded network itself computes and trains right: only what is gathered,
#            as for a checkpoint or for a look at the units, is wrong, and so are gathered gradients.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q torch==2.9.0 numpy==2.3.5

cat > "$place/gather.py" <<'PYTHON'
import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


def look(rank, store, units, queue):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=4)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, units), nn.Tanh(), nn.Linear(units, 2)), torch.randn(5, 3)
    weight, said = model[0].weight.detach().clone(), model(x).detach()
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    parallelize_module(model, mesh["tensor"], plan)
    fully_shard(model, mesh=mesh["data"])
    gathered = model[0].weight.full_tensor().detach()
    same = torch.allclose(model(x), said, atol=1e-6)
    if rank == 0:
        lost = [k for k, row in enumerate(weight) if not (gathered == row).all(1).any()]
        queue.put((torch.equal(gathered, weight), len(lost), (gathered == 0).all(1).sum().item(), same))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    kept = True
    for units in (6, 8, 10, 12):
        queue = mp.get_context("spawn").SimpleQueue()
        mp.spawn(look, (f"{sys.argv[1]}-{units}", units, queue), nprocs=4)
        right, lost, zeros, same = queue.get()
        print(f"{units:2} units: gathered right {right}, units lost {lost}, rows of zeros {zeros}, "
              f"the network computes as before {same}")
        kept &= same and right == (units % 4 == 0) and lost == zeros == (units % 4 != 0)
    sys.exit(not kept)
PYTHON
"$place/venv/bin/python" "$place/gather.py" "$place/store" 2>&1 | grep -v "connected peer ranks"
exit "${PIPESTATUS[0]}"
