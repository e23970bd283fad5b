"""The lab stands on its page of the site, with what it loads; without npm a sentence does."""

import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
CONF = f"""\
version = copyright = "1"
extensions = ["myst_parser", "bookbuild.lab.directive"]
exclude_patterns = ["doctrees", "html", "epub"]
html_static_path = [{str(ROOT / "book/_static")!r}]
"""
PAGES = {
    "conf.py": CONF,
    "index.md": "# Index\n\n```{toctree}\nlab\n```\n",
    "lab.md": "# Page\n\n```{lab}\n```\n",
}


def build(folder: Path, builder: str = "html") -> str:
    for name, text in PAGES.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, "utf-8")
    out = folder / builder
    subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "-b",
            builder,
            "-d",
            folder / "doctrees",
            ".",
            out,
        ],
        cwd=folder,
        check=True,
    )
    return next(file.read_text("utf-8") for file in out.rglob("lab.*html"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a folder as ``bookbuild.lab.build`` leaves it."""
    folder = tmp_path / "_build/lab"
    (folder / "graphs").mkdir(parents=True)
    for name in ("lab.json", "graphs/1.onnx", "made-from"):
        (folder / name).write_text(name, "utf-8")
    return folder


def test_the_lab_is_on_its_page_with_what_it_loads(tmp_path: Path, made: Path) -> None:
    page = BeautifulSoup(build(tmp_path), "html.parser")
    assert len(page.select(".lab[hidden]")) == 1
    assert [script.has_attr("defer") for script in page.select('script[src*="lab.js"]')] == [True]
    index = (tmp_path / "html/index.html").read_text("utf-8")
    assert "lab.js" not in index
    loaded = tmp_path / "html/_static/lab"
    assert (loaded / "graphs/1.onnx").read_text("utf-8") == "graphs/1.onnx"
    assert (loaded / "machine.js").exists()
    assert not (loaded / "made-from").exists()


def test_without_its_files_a_sentence_says_so_until_they_are_there(
    tmp_path: Path, made: Path
) -> None:
    away = made.rename(made.with_name("away"))
    page = BeautifulSoup(build(tmp_path), "html.parser")
    assert not page.select('.lab, script[src*="lab.js"]')
    assert "without the lab" in page.get_text()
    doctree = tmp_path / "doctrees/lab.doctree"
    read = doctree.stat().st_mtime_ns
    build(tmp_path)
    assert doctree.stat().st_mtime_ns == read
    away.rename(made)
    page = BeautifulSoup(build(tmp_path), "html.parser")
    assert page.select(".lab")
    assert "without the lab" not in page.get_text()


def test_an_epub_has_no_lab(tmp_path: Path, made: Path) -> None:
    page = build(tmp_path, "epub")
    assert "<form" not in page
    assert 'class="lab"' not in page
