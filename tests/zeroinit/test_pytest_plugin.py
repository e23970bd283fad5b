"""The fixture for test suites: a failure shows the causes and the line of the test, no more."""

import os
import re
import subprocess
import sys
from pathlib import Path

SUITE = """
import sys

def test_torch_waits_for_the_fixture():
    assert "torch" not in sys.modules

def loss(model):
    import torch.nn.functional as F
    from zeroinit import half_plane
    data = half_plane()
    return F.cross_entropy(model(data.x), data.y)

def test_healthy(assert_trainable):
    from zeroinit import MLP
    assert_trainable(MLP([2, 4, 2]), loss, steps=1)

def test_all_zero(assert_trainable):
    from zeroinit import MLP, zeros_
    assert_trainable(zeros_(MLP([2, 4, 2])), loss)

def test_function():
    from zeroinit import MLP, assert_trainable, zeros_
    assert_trainable(zeros_(MLP([2, 4, 2])), loss)

def test_own_error(assert_trainable):
    from zeroinit import MLP
    assert_trainable(MLP([2, 4, 2]), lambda model: 1 / 0)
"""


def test_a_failure_shows_the_causes_and_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "zeroinit.pytest_plugin", "-rA", "test_suite.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    shown = done.stdout
    assert "3 failed, 2 passed" in shown, shown
    assert "PASSED test_suite.py::test_torch_waits_for_the_fixture" in shown
    assert "PASSED test_suite.py::test_healthy" in shown
    *faults, own = re.split("_ test_(?:all_zero|function|own_error) _", shown)[1:]
    for fault in faults:
        assert ">       assert_trainable(zeros_(MLP([2, 4, 2])), loss)\nE " in fault
        assert "3 of 4 parameters cannot train as they should:" in fault
        assert "dead: layers.0.weight, layers.0.bias, layers.1.weight" in fault
        assert "fine" not in fault
        assert "pytest_plugin.py" not in fault
        assert "auditing.py" not in fault
    assert "ZeroDivisionError" in own
