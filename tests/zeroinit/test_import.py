"""What an import does not do, and what every public name says of itself."""

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import zeroinit

ROOMS = [
    import_module(f"zeroinit.{found.name}")
    for found in pkgutil.iter_modules(zeroinit.__path__)
    if found.name != "plots"
]
PUBLIC = {
    f"{room.__name__}.{name}": found
    for room in ROOMS
    for name, found in vars(room).items()
    if getattr(found, "__module__", None) == room.__name__
    and (inspect.isclass(found) or inspect.isfunction(found))
    and not name.startswith("_")
    and not room.__name__.rpartition(".")[2].startswith("_")
}


def run(program: str) -> str:
    """Return what a new Python, which takes every warning for an error, prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_prints_nothing_and_brings_nothing_that_torch_does_not() -> None:
    """So it takes little more time than torch alone, and matplotlib waits for the plots."""
    brought = run(
        "import sys, torch\n"
        "before = set(sys.modules)\n"
        "import zeroinit\n"
        "print(*sorted(set(sys.modules) - before))\n"
    ).split()
    assert "zeroinit.training" in brought
    assert not [name for name in brought if name.split(".")[0] != "zeroinit"]


def test_neither_the_import_nor_a_network_nor_data_draw_from_the_global_state() -> None:
    assert (
        run(
            "import random, numpy, torch\n"
            "def state(): return (random.getstate(), str(numpy.random.get_state()),\n"
            "                     torch.get_rng_state().tolist(), torch.get_default_dtype())\n"
            "before = state()\n"
            "import zeroinit\n"
            "model, data = zeroinit.MLP([2, 16, 2], seed=3), zeroinit.half_plane(seed=4)\n"
            "zeroinit.xor(seed=5)\n"
            "zeroinit.train(model, data, lr=0.1, steps=3)\n"
            "zeroinit.train_many(model, data, start='default', seeds=range(3), lr=0.1, steps=3)\n"
            "print(state() == before)\n"
        )
        == "True\n"
    )


def test_all_that_is_exported_is_there_and_public() -> None:
    assert {id(getattr(zeroinit, name)) for name in zeroinit.__all__} <= {*map(id, PUBLIC.values())}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is_and_shows_an_example(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    summary, *_ = text.splitlines()
    assert summary.endswith((".", ":"))
    assert "Examples\n--------\n" in text
    assert ">>> " in text
