"""Measure the compilation of the lab's training steps, and how fast a browser runs them.

``python -m benchmarks.lab`` compiles them anew, then trains two hidden layers of 16 units in
Chromium with each activation. It prints the CPU seconds of all processes that compile, and the
steps in a second of the slowest activation.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from benchmarks.builds import ROOT
from benchmarks.measure import run
from bookbuild.lab.build import ACTIVATIONS
from bookbuild.tools.browser import find

SITE = "https://lab.test"  # no host: the files come from a folder
STEPS = """async activation => {
  const { initialize, Trainer } = await import("/engine.js");
  const offered = await (await fetch("/lab.json")).json();
  const setting = {
    activation, start: "kaiming", depth: 2, width: 16, optimizer: "adam", lr: 0.01, seed: 0,
  };
  const start = await initialize(setting, offered);
  const trainer = await Trainer.at(setting, start, offered.data.moons, offered);
  await trainer.evaluate();
  for (let k = 0; k < 200; k++) await trainer.step();
  const from = performance.now();
  for (let k = 0; k < 2000; k++) await trainer.step();
  return 2e6 / (performance.now() - from);
}"""


def compiling(folder: Path) -> float:
    """Make the lab's files in a folder, and return the CPU seconds that it took."""
    archive = folder.with_suffix(".zip")
    command = [sys.executable, "-m", "bookbuild.lab.archive", str(archive), "node_modules", "2"]
    cost = run(command, ROOT, os.environ, folder.with_suffix(".log"))
    shutil.unpack_archive(archive, folder)
    return cost.cpu


def chromium() -> str:
    """Return the browser's path; exit with a sentence if it or npm's packages are missing."""
    found = find()
    if not found or not (ROOT / "node_modules/uplot").exists():
        sys.exit(
            "The lab is measured with Chromium and npm's packages: "
            "`apt-get install chromium` and `make html` bring them."
        )
    return found


def stepping(folder: Path) -> float:
    """Return the steps in a second, with the activation that takes longest."""
    with sync_playwright() as playwright:
        tab = playwright.chromium.launch(executable_path=chromium()).new_page()
        tab.route(
            "**", lambda route: route.fulfill(path=f"{folder}{urlsplit(route.request.url).path}")
        )
        tab.goto(f"{SITE}/empty.html")
        return min(float(tab.evaluate(STEPS, activation)) for activation in ACTIVATIONS)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "lab")
        cpu = compiling(folder)
        shutil.copy(ROOT / "src/bookbuild/lab/static/lab/engine.js", folder)
        (folder / "empty.html").touch()
        print(json.dumps({"cpu": cpu, "steps": stepping(folder)}))
