"""Which examples run as tests: pytest itself finds those of docstrings, Sybil those of pages.

In both, ``torch`` and the public names of ``zeroinit`` are known; README imports what it uses, as
its reader must. ``make doctest`` runs the examples alone, ``make test`` with everything else.
"""

from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers import markdown, myst


def give_names(namespace: dict[str, Any]) -> None:
    """Put what every example may use into its namespace."""
    import torch  # here, because a run without examples need not wait for it

    exec("from zeroinit import *", namespace)
    namespace["torch"] = torch


@pytest.fixture(autouse=True, scope="session")
def _names(doctest_namespace: dict[str, Any]) -> None:
    give_names(doctest_namespace)


pages = Sybil(
    [myst.DocTestDirectiveParser(), myst.PythonCodeBlockParser()],
    pattern="book/*.md",
    setup=give_names,
)
readme = Sybil([markdown.PythonCodeBlockParser()], pattern="README.md")
pytest_collect_file = (pages + readme).pytest()
