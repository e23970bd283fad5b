"""What the package does on a GPU, against a core of the processor: ``python -m benchmarks.gpu``.

It writes ``_build/gpu.md``: which widths part twins, which kernels give another result when they
run again, how many seeds are trained in a second, what an audit of a sharded model finds, and
which tests of theorems do not pass. It takes minutes on one card; without one it says so.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from benchmarks.markdown import markdown
from zeroinit import MLP, Data, audit, half_plane, tied_, train, train_many, twins, zeros_
from zeroinit.networks import linear_layers

WIDTHS = (*range(2, 34), 48, 64, 96, 100, 128, 250, 256, 512)
REPEATS = 50


def data_on(device: str, dtype: torch.dtype = torch.float32) -> Data:
    """Return the lesson's points on a device."""
    data = half_plane(dtype=dtype)
    return Data(data.x.to(device), data.y.to(device))


def parted(device: str, dtype: torch.dtype, widths: tuple[int, ...] = WIDTHS) -> list[int]:
    """Return the widths at which tied units are no longer equal after 100 steps."""
    found = []
    for width in widths:
        generator = torch.Generator().manual_seed(0)
        model = tied_(MLP([2, width, 2], "tanh", dtype=dtype), generator=generator).to(device)
        train(model, data_on(device, dtype), lr=1.0, steps=100, every=100)
        if len(twins(model, layer=1)) != 1:
            found.append(width)
    return found


def kernels(device: str) -> dict[str, Callable[[], Tensor]]:
    """Return computations whose sums a GPU may take in any order, by name."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4096, 64, generator=generator).to(device)
    to = torch.randint(0, 16, (4096,), generator=generator).to(device)
    picture = torch.randn(8, 16, 32, 32, generator=generator).to(device)
    filters = torch.randn(16, 16, 3, 3, generator=generator).to(device)
    into = torch.zeros(16, 64, device=device)

    def gradient(function: Callable[[Tensor], Tensor], of: Tensor) -> Tensor:
        leaf = of.clone().requires_grad_()
        function(leaf).square().sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    return {
        "a product of matrices": lambda: rows.T @ rows,
        "a sum": lambda: rows.sum(0),
        "index_add_": lambda: into.clone().index_add_(0, to, rows),
        "scatter_add_": lambda: into.clone().scatter_add_(0, to[:, None].expand_as(rows), rows),
        "the gradient of an embedding": lambda: gradient(lambda w: F.embedding(to, w), into + 1),
        "the gradient of a convolution's filters": lambda: gradient(
            lambda w: F.conv2d(picture, w), filters
        ),
        "the gradient of bilinear interpolation": lambda: gradient(
            lambda p: F.interpolate(p, scale_factor=1.7, mode="bilinear"), picture
        ),
    }


def results(kernel: Callable[[], Tensor]) -> int:
    """Return how many different results a computation gives when it runs many times."""
    return len({kernel().cpu().numpy().tobytes() for _ in range(REPEATS)})


def seeds_a_second(device: str, seeds: int, steps: int = 200) -> float:
    """Return how many seeds of the lesson's network are trained in a second."""
    for _ in range(2):  # the first call compiles
        begun = perf_counter()
        train_many(
            MLP([2, 16, 2], "tanh").to(device),
            data_on(device),
            start="default",
            seeds=range(seeds),
            lr=0.1,
            steps=steps,
        )
        if device != "cpu":
            torch.cuda.synchronize()
    return seeds / (perf_counter() - begun)


def sharded_audit(device: str) -> bool:
    """Return whether an audit under FSDP2 finds on one rank what it finds in the whole model."""

    def network() -> nn.Module:
        model = MLP([2, 8, 8, 2], "tanh", seed=1)
        zeros_(linear_layers(model)[-1])
        return model.to(device)

    data = data_on(device)

    def loss(model: nn.Module) -> Tensor:
        return F.cross_entropy(model(data.x), data.y)

    whole = audit(network(), loss)
    with tempfile.TemporaryDirectory() as folder:
        backend = "gloo" if device == "cpu" else "nccl"
        dist.init_process_group(backend, init_method=f"file://{folder}/group", rank=0, world_size=1)
        try:
            model = network()
            fully_shard(model, mesh=init_device_mesh(device, (1,)))
            found = audit(model, loss)
        finally:
            dist.destroy_process_group()
    return str(found) == str(whole)


def report(device: str, widths: tuple[int, ...] = WIDTHS, seeds: int = 4096) -> str:
    """Measure on a device, and return the tables."""
    torch.set_num_threads(1)
    widths_of = [
        [str(dtype), ", ".join(map(str, parted(device, dtype, widths))) or "none"]
        for dtype in (torch.float32, torch.float64)
    ]
    repeated = [[name, str(results(kernel))] for name, kernel in kernels(device).items()]
    rates = [[where, str(round(seeds_a_second(where, seeds)))] for where in ("cpu", device)]
    same = "the same" if sharded_audit(device) else "something else"
    return "\n\n".join(
        (
            markdown(["numbers", "widths that part twins"], widths_of),
            markdown(["computation", f"different results in {REPEATS} runs"], repeated),
            markdown(["device", "seeds a second"], rates),
            f"Under FSDP2 an audit finds {same}.",
        )
    )


def theorems(device: str, tests: str = "tests/zeroinit") -> str:
    """Run the tests of theorems with tensors on a device; return how they ended, and which failed.

    Their tolerances are those of a processor, so a test that fails is a place to look.
    """
    options = ("-q", "-m", "theorem", "-n", "4", "-p", "no:cacheprovider", "-rf", "--tb=no")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tests],
        env=os.environ | {"TEST_DEVICE": device},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    failed = [f"- {line.removeprefix('FAILED ')}" for line in lines if line.startswith("FAILED")]
    return "\n".join([f"The tests of theorems on {device}: {lines[-1].strip('= ')}.", "", *failed])


def main() -> None:
    """Measure on the card, and write the tables and its name."""
    if not torch.cuda.is_available():
        sys.exit("There is no CUDA device here, or this PyTorch is without: nothing is measured.")
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    card = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    text = f"{card}, PyTorch {torch.__version__}\n\n{report('cuda')}\n\n{theorems('cuda')}\n"
    Path("_build").mkdir(exist_ok=True)
    Path("_build/gpu.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
