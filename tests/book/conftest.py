"""What tests of the book share: its lessons, and pytest's own answer to what it would run."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = (ROOT / "book/index.md").read_text("utf-8")
SITE = ROOT / "_build/html"
EDITIONS = {"": "en", "zh": "zh-CN"}  # the folders of the site's editions, and their languages
LESSONS = " ".join(re.findall(r":numbered:\n(?::.*\n)*([^`]+)", INDEX)).split()


@pytest.fixture(scope="module", params=[*EDITIONS], ids=[*EDITIONS.values()])
def site(request: pytest.FixtureRequest) -> Path:
    """The folder of each edition of the site in turn."""
    folder: str = request.param
    return SITE / folder


def language(site: Path) -> str:
    """Return the language of an edition."""
    return EDITIONS[site.relative_to(SITE).as_posix().removeprefix(".")]


def names(site: Path) -> list[str]:
    """Return the pages of an edition by their paths, as ``symmetry.html``."""
    others = [site / folder for folder in EDITIONS if folder]
    files = [file for file in site.rglob("*.html") if not set(others) & set(file.parents)]
    found = sorted(file.relative_to(site).as_posix() for file in files)
    return [name for name in found if not name.startswith("_static/")]


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
