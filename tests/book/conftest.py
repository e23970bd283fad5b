"""What tests of the book share: its lessons, and pytest's own answer to what it would run."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = (ROOT / "book/index.md").read_text("utf-8")
LESSONS = " ".join(re.findall(r":numbered:\n(?::.*\n)*([^`]+)", INDEX)).split()


class Collector:
    """A pytest plugin that keeps the tests that were found."""

    items: list[pytest.Item]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


@pytest.fixture
def collect(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[pytest.Item]]:
    """Return a function that gives the tests that ``pytest`` on some paths would run."""

    def collect(*paths: str) -> list[pytest.Item]:
        collector = Collector()
        arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        status = pytest.main(arguments + [str(ROOT / path) for path in paths], plugins=[collector])
        assert status == 0, capsys.readouterr().out
        return collector.items

    return collect
