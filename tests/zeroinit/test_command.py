"""``python -m zeroinit audit``: what it prints, and its exit status."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zeroinit
from zeroinit import Audit, audit
from zeroinit.command import main

START = """
import torch.nn.functional as F
from zeroinit import MLP, half_plane, zeros_

data = half_plane()
healthy = MLP([2, 16, 2])
DATA = data

def loss(model):
    return F.cross_entropy(model(data.x), data.y)

def good():
    return healthy, loss

def bad():
    return zeros_(MLP([2, 16, 2])), loss

def three():
    return healthy, loss, "an optimizer"

def alone():
    return healthy

def four():
    return healthy, loss, 1, 2

def broken():
    raise OSError("no\\ndata")

def silent():
    raise OSError

class Nested:
    good = staticmethod(good)

def stopped():
    return loss, healthy
"""

HELP = """\
usage: python -m zeroinit [-h] {audit} ...

Audit a network.

positional arguments:
  {audit}
    audit     say which parameters can never move, and which units are twins

options:
  -h, --help  show this help message and exit
usage: python -m zeroinit audit [-h] [--steps STEPS] [--strict]
                                [--ignore PATTERN] [--json]
                                module:function

Say which parameters can never move, and which units are twins. Exit status: 0
without faults, 1 with faults, 2 after bad input.

positional arguments:
  module:function   a function without arguments that returns (model, loss) or
                    (model, loss, optimizer), as audit takes them

options:
  -h, --help        show this help message and exit
  --steps STEPS     steps to take at least (default: 3)
  --strict          count parameters that no step trains as faults: not used,
                    not held, not registered
  --ignore PATTERN  parameters whose verdict is no fault, such as 'head.*';
                    may be given several times
  --json            print JSON instead of a table
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the current directory, importable as with ``python -m``."""
    (tmp_path / "start_here.py").write_text(START)
    (tmp_path / "broken_here.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "start_here"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "zeroinit", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_module_of_the_current_directory_is_audited(start: str) -> None:
    done = command("audit", f"{start}:bad")
    assert done.returncode == 1
    assert done.stdout.startswith("3 of 4 parameters cannot train as they should:\n")
    assert done.stderr == ""


def test_without_faults_the_status_is_0(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", f"{start}:good"]) == 0
    assert capsys.readouterr().out.startswith("No faults in 4 parameters:\n")
    assert main(["audit", f"{start}:Nested.good"]) == 0


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_the_ranks_of_torchrun_the_first_alone_prints(
    rank: str, start: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    assert main(["audit", f"{start}:bad"]) == 1
    shown = capsys.readouterr()
    assert (shown.out != "", shown.err) == (rank == "0", "")


def test_json_is_what_the_audit_holds(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", f"{start}:bad", "--json", "--steps", "5"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith('{\n  "schema": 1,\n')
    found = Audit.from_dict(json.loads(shown))
    assert found.steps == 5
    assert len(found.faults) == 3


def test_the_optimizer_is_handed_on(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def record(model: Any, loss: Callable[..., Any], **more: Any) -> Audit:
        given.update(more)
        return audit(model, loss)

    monkeypatch.setattr(zeroinit, "audit", record)
    assert main(["audit", f"{start}:three"]) == 0
    assert given == {
        "steps": 3,
        "strict": False,
        "ignore": [],
        "optimizer": "an optimizer",
    }


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("start_here", "the target must be module:function, got 'start_here'"),
        (":good", "the target must be module:function, got ':good'"),
        ("start_here:", "the target must be module:function, got 'start_here:'"),
        (
            "nowhere:good",
            "there is no module 'nowhere': run the command where `import nowhere` works",
        ),
        (
            "no.where:good",
            "there is no module 'no.where': run the command where `import no.where` works",
        ),
        (
            "broken_here:good",
            "the import of 'broken_here' failed: ModuleNotFoundError: "
            "No module named 'nothing_of_this_name' (broken_here.py:1)",
        ),
        ("start_here:god", "'start_here' has no 'god': see `dir(start_here)`"),
        ("start_here:good:x", "'start_here' has no 'good:x': see `dir(start_here)`"),
        ("start_here:Nested.x", "'start_here' has no 'Nested.x': see `dir(start_here)`"),
        ("start_here:DATA", "start_here:DATA must be a function, got a value of type Data"),
        (
            "start_here:alone",
            "start_here:alone must return (model, loss) or (model, loss, optimizer), "
            "got a value of type MLP: write `return model, loss`",
        ),
        (
            "start_here:four",
            "start_here:four must return (model, loss) or (model, loss, optimizer), "
            "got a value of type tuple of 4: write `return model, loss`",
        ),
        ("start_here:broken", "start_here:broken failed: OSError: no data (start_here.py:28)"),
        ("start_here:silent", "start_here:silent failed: OSError (start_here.py:31)"),
        (
            "start_here:stopped",
            "the audit of start_here:stopped stopped: TypeError: the model comes first, "
            "then the loss: write audit(model, loss) (_arguments.py)",
        ),
    ],
)
@pytest.mark.usefixtures("start")
def test_bad_input_is_one_sentence_and_status_2(
    target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", target]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.sub(r"(_arguments.py):\d+", r"\1", shown.err) == f"{said}\n"


def test_help_waits_for_no_torch() -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails
        "import runpy\n"
        "sys.argv = ['zeroinit', '--help']\n"
        "runpy.run_module('zeroinit', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "audit" in done.stdout


def test_help_says_what_the_options_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ([], ["audit"]):
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, "--help"])
    assert capsys.readouterr().out == HELP


def test_without_a_command_the_usage_is_shown_and_the_status_is_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert capsys.readouterr().err == (
        "usage: python -m zeroinit [-h] {audit} ...\n"
        "python -m zeroinit: error: the following arguments are required: command\n"
    )
