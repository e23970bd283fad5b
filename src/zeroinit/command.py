"""``python -m zeroinit audit module:function`` audits the network of a function, as a check in CI.

Its exit status is 0 if there is no fault, 1 if there is one, and 2 if the input is bad.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from traceback import extract_tb
from typing import Any


class _BadInputError(Exception):
    """What the user must change, in one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``python -m zeroinit``; by default that of this process.

    Returns
    -------
    int
        The exit status: 0 without faults, 1 with faults, 2 after bad input.

    Examples
    --------
    >>> main(["audit", "json:loads"])  # it takes an argument, and says so on stderr
    2
    """
    parser = argparse.ArgumentParser(prog="python -m zeroinit", description="Audit a network.")
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "audit",
        help="say which parameters can never move, and which units are twins",
        description="Say which parameters can never move, and which units are twins. "
        "Exit status: 0 without faults, 1 with faults, 2 after bad input.",
    )
    command.add_argument(
        "target",
        metavar="module:function",
        help="a function without arguments that returns (model, loss) or "
        "(model, loss, optimizer), as audit takes them",
    )
    command.add_argument("--steps", type=int, default=3, help="steps to take at least (default: 3)")
    command.add_argument(
        "--strict",
        action="store_true",
        help="count parameters that no step trains as faults: not used, not held, not registered",
    )
    command.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="parameters whose verdict is no fault, such as 'head.*'; may be given several times",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args(arguments)
    try:
        options = {"steps": chosen.steps, "strict": chosen.strict, "ignore": chosen.ignore}
        found, shown = _audited(chosen.target, options)
    except _BadInputError as error:
        print(error, file=sys.stderr)
        return 2
    if shown:
        print(json.dumps(found.to_dict(), indent=2) if chosen.json else found)
    return 1 if found.faults else 0


def _audited(target: str, options: dict[str, Any]) -> tuple[Any, bool]:
    """Return the audit, and whether this rank is the one that prints it."""
    made = _called(target)
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise _BadInputError(
            f"{target} must return (model, loss) or (model, loss, optimizer), "
            f"got {_described(made)}: write `return model, loss`"
        )
    from zeroinit import audit  # here, as torch is slow to import
    from zeroinit._sharded import speaks

    model, loss, *optimizer = made
    try:
        found = audit(model, loss, optimizer=optimizer[0] if optimizer else None, **options)
        return found, speaks()
    except Exception as error:
        raise _BadInputError(f"the audit of {target} stopped: {_named(error)}") from error


def _called(target: str) -> object:
    """Return what the function gives that a target names."""
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise _BadInputError(f"the target must be module:function, got {target!r}")
    try:
        found: Any = import_module(module)
    except Exception as error:
        # It may be the module itself, or a package above it, and not one that it imports.
        missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(
            f"{error.name}."
        )
        raise _BadInputError(
            f"there is no module {module!r}: run the command where `import {module}` works"
            if missing
            else f"the import of {module!r} failed: {_named(error)}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise _BadInputError(f"{module!r} has no {name!r}: see `dir({module})`")
        found = getattr(found, part)
    if not callable(found):
        raise _BadInputError(f"{target} must be a function, got {_described(found)}")
    try:
        return found()
    except Exception as error:
        raise _BadInputError(f"{target} failed: {_named(error)}") from error


def _described(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, tuple) else ""
    return f"a value of type {type(value).__name__}{size}"


def _named(error: Exception) -> str:
    """Return an error as one line: its type, what it says, and where it was raised."""
    last = extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return f"{type(error).__name__}{': ' if said else ''}{said} ({place})"
