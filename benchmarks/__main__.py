"""Each round measures every variant once, so slow and fast phases of the machine hit all of them.

What takes minutes is measured in the first round only: other tools, edits that run many pages, a
build with two jobs, and the lab. An audit takes rounds of its own.

``python -m benchmarks 3`` prints the tables of three rounds and writes ``results.json``.
"""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import saves
from benchmarks.audits import LINES
from benchmarks.builds import EDITED, LONG, PEERS, ROOT, STEPS, VARIANTS, Copy, install, pinned
from benchmarks.imports import PACKAGE, module, users
from benchmarks.lab import chromium
from benchmarks.table import tables
from bookbuild.tools.store import draft

RESULTS = ROOT / "benchmarks/results.json"
SEEDS = (1, 4, 16, 64, 256, 1024, 4096)
BESIDE_JAX = (16, 256, 4096)
REPLAYED = (16, 128, 1024)
LOOP = 32  # a sample, because each seed of a loop costs the same


def main(rounds: int) -> None:
    """Measure and print; the results are written after every round."""
    install("jax")
    results: dict[str, Any] = {
        "users": {f"edit of {file}": len(users(module(PACKAGE / file))) for file in EDITED},
        "builds": {name: {} for name in VARIANTS},
        "saves": [],
        "ensemble": {"loop": [], "each": []} | {str(seeds): [] for seeds in SEEDS},
        "jax": {str(seeds): [] for seeds in BESIDE_JAX},
        "replays": {str(seeds): [] for seeds in REPLAYED},
        "audits": {name: [] for name in LINES},
        "imports": {"torch": [], "zeroinit": []},
        "lab": [],
        "failed": {},
    }
    for k in range(rounds):
        order = list(VARIANTS)
        for name in order if k % 2 == 0 else reversed(order):
            if name not in results["failed"] and (k == 0 or not VARIANTS[name].once):
                tell(f"round {k + 1} of {rounds}: {VARIANTS[name].title}")
                build(name, results, first=k == 0)
        tell(f"round {k + 1} of {rounds}: seeds")
        for what in ("loop", "each"):
            results["ensemble"][what].append(fresh("ensemble", what, str(LOOP)))
        for seeds in SEEDS:
            results["ensemble"][str(seeds)].append(fresh("ensemble", "many", str(seeds)))
            if seeds in BESIDE_JAX:
                jax = fresh("jax_ensemble", str(seeds), python=PEERS / "jax/bin/python")
                results["jax"][str(seeds)].append(jax)
        for replayed, taken in results["replays"].items():
            taken.append(fresh("replays", replayed))
        if k == 0:  # it takes rounds of its own
            tell(f"round {k + 1} of {rounds}: audits")
            for name, taken in results["audits"].items():
                taken.append(fresh("audits", name))
        for what, taken in results["imports"].items():
            taken.append(fresh("imports", what))
        if k == 0:
            tell(f"round {k + 1} of {rounds}: lab")
            results["lab"].append(fresh("lab"))
        results["machine"] = machine(k + 1)
        write(results)
    print("\n\n".join(results["tables"].values()))


def write(results: dict[str, Any]) -> None:
    """Write the results with their tables, whole or not at all."""
    results["tables"] = tables(results)
    with draft(RESULTS) as file:
        file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


def build(name: str, results: dict[str, Any], *, first: bool) -> None:
    """Run one round of a variant, or the first one; if a peer fails, keep the reason."""
    variant = VARIANTS[name]
    try:
        if variant.peer:
            install(variant.peer)
        with TemporaryDirectory(prefix="bench-") as folder:
            copy = Copy(Path(folder), variant)
            steps = [step for step in list(STEPS)[: variant.steps] if first or step not in LONG]
            for step in steps:
                results["builds"][name].setdefault(step, []).append(copy.take(step)._asdict())
            if name == "ours":
                results["saves"].append(saves.measure(copy)._asdict())
    except (RuntimeError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "output", None) or error).strip()
        tell(f"{variant.title} failed: {said}")
        if not variant.peer:
            raise
        said = said.splitlines()[-1]
        results["builds"][name] = {}
        results["failed"][name] = said.replace("|", " ")


def fresh(script: str, *arguments: str, python: Path = Path(sys.executable)) -> Any:
    """Run a script in a new process, and return its measurements."""
    done = subprocess.run(
        [python, "-m", f"benchmarks.{script}", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def machine(rounds: int) -> dict[str, str]:
    """Return the machine and the versions of this run."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text("utf-8") if cpuinfo.exists() else "").splitlines()
        if line.startswith("model name")
    ]
    peers = {}
    for name in ("jupyter-book", "nbsphinx"):
        pins = dict(line.split("==") for line in pinned(name).splitlines())
        peers[name] = f"{pins[name]} on Sphinx {pins['Sphinx']}"
    (peers["jax"],) = re.findall("^jax==(.*)$", pinned("jax"), re.M)
    return {
        "date": date.today().isoformat(),
        "rounds": str(rounds),
        "processor": (models or [platform.processor()])[0],
        "processors": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "sphinx", "myst-nb")},
        **peers,
    }


def tell(text: str) -> None:
    """Print the progress of the run."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    chromium()  # if it is missing, say so before the builds
    main(int(sys.argv[1]))
