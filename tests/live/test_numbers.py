"""The numbers that live figures take from the package are those that the package has.

After a change that is meant, ``.venv/bin/python tests/live/test_numbers.py`` writes them again.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from zeroinit import Data, half_plane, xor
from zeroinit.escape import hessian_eigenvalues, twins_at_rest

FILE = Path(__file__).parents[2] / "src/bookbuild/live/static/live/numbers.js"
HEAD = """\
// Numbers of the package: tests/live/test_numbers.py compares them, and writes them again.

live.numbers = """


def points(data: Data) -> dict[str, Any]:
    """Return points with the digits that single precision needs."""
    return {"x": [[float(str(v)) for v in point] for point in data.x.numpy()], "y": data.y.tolist()}


def numbers() -> dict[str, dict[str, Any]]:
    """Return the points of the package, and the rest of the page ``how-long-it-takes``."""
    data = xor(64, dtype=torch.float64)
    saddle = twins_at_rest(data, 4, lr=1.5, steps=2000, weight_decay=1e-2)
    rest = parameters_to_vector(saddle.parameters()).detach()
    draw = torch.Generator().manual_seed(0)
    direction = torch.randn(len(rest), generator=draw, dtype=rest.dtype)
    direction /= direction.norm()
    lowest = hessian_eigenvalues(saddle, data, weight_decay=1e-2)[0].item()
    return {
        "xor": points(xor(64)),
        "halfPlane": points(half_plane()),
        "escape": {"rest": rest.tolist(), "direction": direction.tolist(), "lowest": lowest},
    }


def test_the_numbers_are_those_of_the_package() -> None:
    kept = json.loads(FILE.read_text("utf-8").removeprefix(HEAD).removesuffix(";\n"))
    due = numbers()
    assert kept.keys() == due.keys()
    assert kept["xor"] == due["xor"]
    assert kept["halfPlane"] == due["halfPlane"]
    for name, value in due["escape"].items():
        assert kept["escape"][name] == pytest.approx(value, rel=1e-9)


if __name__ == "__main__":
    parts = [
        f'  "{name}": {json.dumps(part, separators=(",", ":"))}' for name, part in numbers().items()
    ]
    FILE.write_text(HEAD + "{\n" + ",\n".join(parts) + "\n};\n", "utf-8")
