"""What an import does not do, and what every public name says of itself."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import zeroinit

DRAWINGS = {f"zeroinit.figures.{name}" for name in ("curves", "dots", "planes", "tiles")}
MODULES = [
    import_module(found.name)
    for found in pkgutil.walk_packages(zeroinit.__path__, "zeroinit.")
    if found.name not in DRAWINGS  # whose examples are the pages
]
PUBLIC = {
    f"{module.__name__}.{name}": found
    for module in MODULES
    for name, found in vars(module).items()
    if getattr(found, "__module__", None) == module.__name__
    and (inspect.isclass(found) or inspect.isfunction(found))
    and not name.startswith("_")
    and not module.__name__.rpartition(".")[2].startswith("_")
}


EXPORTED: list[str] = vars(zeroinit)["__all__"]


def run(program: str) -> str:
    """Return what a new Python, which takes every warning for an error, prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def brought(program: str) -> list[str]:
    """Return the modules that a program imports after torch."""
    start = "import sys, torch\nbefore = set(sys.modules)\n"
    return run(f"{start}{program}\nprint(*sorted(set(sys.modules) - before))").split()


def test_the_import_prints_nothing_and_imports_no_other_module() -> None:
    """So it takes little more time than torch alone."""
    assert brought("import zeroinit") == ["zeroinit"]


def test_the_audit_imports_no_training_code_and_nothing_that_torch_does_not() -> None:
    unused = {"data", "escape", "figures", "functional", "initialization", "replay", "training"}
    modules = brought("from zeroinit import audit")
    assert "zeroinit.auditing" in modules
    assert not {f"zeroinit.{name}" for name in unused}.intersection(modules)
    assert not [name for name in modules if name.split(".")[0] != "zeroinit"]


def test_all_names_together_import_nothing_that_torch_does_not() -> None:
    """So matplotlib waits for the figures."""
    modules = brought("from zeroinit import *")
    assert "zeroinit.training" in modules
    assert not [name for name in modules if name.split(".")[0] != "zeroinit"]


def test_type_checkers_read_the_names_that_there_are() -> None:
    tree = ast.parse(inspect.getsource(zeroinit))
    imported = {
        alias.asname: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname
    }
    homes = {name: getattr(zeroinit, name).__module__ for name in EXPORTED}
    assert imported == {name: (module, name) for name, module in homes.items()}
    assert set(EXPORTED) <= set(dir(zeroinit))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("zeroinit.zeros", "AttributeError: module 'zeroinit' has no attribute 'zeros'. Did you"),
        ("from zeroinit import zeros", "ImportError: cannot import name 'zeros' from 'zeroinit'"),
        ("from zeroinit import *; zeros", "NameError: name 'zeros' is not defined. Did you mean"),
    ],
)
def test_a_wrong_name_is_refused_as_python_refuses_it(program: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import zeroinit\n{program}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(said)


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
    assert {id(getattr(zeroinit, name)) for name in EXPORTED} <= {*map(id, PUBLIC.values())}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is_and_shows_an_example(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    summary, *_ = text.splitlines()
    assert summary.endswith((".", ":"))
    assert "Examples\n--------\n" in text
    assert ">>> " in text
