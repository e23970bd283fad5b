"""A link to a state of the lab is checked, and leads where the edition has the lab."""

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.testing.util import SphinxTestApp

from bookbuild.editions.pdf import article
from bookbuild.lab.links import controls, wrong

CONF = 'extensions = ["myst_parser", "bookbuild.lab.links"]\nepub_show_urls = "no"\n'
# Node reads the same table for the lab's own reader: see tests/lab.
LINKS = json.loads((Path(__file__).parents[1] / "lab/links.json").read_text("utf-8"))
LAB = "# Lab\n\n{lab}`Here <start=kaiming&lr=0.1>`\n"


def build(folder: Path, builder: str, page: str, lab: str = LAB) -> tuple[str, str]:
    """Build a book of a page and the lab; return its warnings and the page."""
    index = f"# Index\n\n```{{toctree}}\ndeep/page\n{'lab' if lab else ''}\n```\n"
    files = {"conf.py": CONF, "index.md": index, "deep/page.md": page, "lab.md": lab}
    for name, text in files.items():
        if text:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, "utf-8")
    app = SphinxTestApp(builder, srcdir=folder, builddir=folder / "out")
    app.build()
    app.cleanup()
    (written,) = Path(app.outdir, "deep").glob("page.*html")
    return app.warning.getvalue(), written.read_text("utf-8")


def link(markup: str, text: str) -> str:
    """Return where the link with a text leads."""
    (found,) = (a for a in BeautifulSoup(markup, "html.parser")("a") if a.get_text() == text)
    return str(found["href"])


PAGE = "# Page\n\n{lab}`Train it <start=zeros&activation=relu>`\n"


def test_a_link_on_a_site_leads_to_the_state(tmp_path: Path) -> None:
    said, page = build(tmp_path, "html", PAGE)
    assert said == ""
    assert link(page, "Train it") == "../lab.html#start=zeros&activation=relu"
    lab = (tmp_path / "out/html/lab.html").read_text("utf-8")
    assert link(lab, "Here") == "#start=kaiming&lr=0.1"


def test_a_link_in_the_epub_leads_to_the_page(tmp_path: Path) -> None:
    said, page = build(tmp_path, "epub", PAGE)
    assert "state of the lab" not in said
    assert "not found" not in said
    assert link(page, "Train it") == "../lab.xhtml"
    assert link((tmp_path / "out/epub/lab.xhtml").read_text("utf-8"), "Here") in {"", "#"}


def test_a_link_in_the_pdf_leads_to_the_page(tmp_path: Path) -> None:
    _, page = build(tmp_path, "html", PAGE)
    body = BeautifulSoup(page, "html.parser").select_one("[role=main]")
    site = BeautifulSoup(f'<article class="bd-article">{body}</article>', "html.parser")
    told = article(tmp_path / "out/html", "deep/page.html", site, {"deep/page.html", "lab.html"})
    assert link(str(told), "Train it") == "#lab"


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ("begin=zeros", "there is no 'begin' here, but "),
        ("start=zeros&size=1", "there is no 'size' here, but "),
        ("start=tied&size=2", "size must be a number from 1e-07 to 1, got '2'"),
        ("start", "start must be one of zeros, "),
        ("start=zero", "start must be one of zeros, "),
        ("start=zeros&lr=much", "lr must be a number from "),
        ("lr=nan", "lr must be a number from "),
        ("lr=0.00001", "lr must be a number from 0.0001 to 1000, got '0.00001'"),
        ("lr=1001", "lr must be a number from 0.0001 to 1000, got '1001'"),
        ("lr=1&lr=0", "lr is there twice"),
        ("points=1:1", "points must be x:y:class"),
        ("points=1:1:2", "points must be x:y:class"),
        ("steps=1.5", "steps must be a whole number from 1 to 100000, got '1.5'"),
        (
            "data=own&points=9:9:1",
            "points must be x:y:class with commas between them, from -3 to 3 ",
        ),
        ("points=0:0:1", "points must come with data=own, got data=xor"),
        ("", "there is no '' here, but "),
    ],
)
def test_a_state_that_the_lab_does_not_offer_is_refused(state: str, complaint: str) -> None:
    (said,) = set(wrong(state))
    assert said.startswith(complaint)


@pytest.mark.parametrize(
    "state",
    [
        "activation=relu&start=tied&size=1e-3&depth=2&width=16&optimizer=adam&lr=0.05",
        "data=moons&seed=5&steps=100000",
        "data=own&points=-1:-1:0,-1:1.25:1",
    ],
)
def test_a_state_that_the_lab_offers_is_not(state: str) -> None:
    assert list(wrong(state)) == []


@pytest.mark.parametrize("state", LINKS["good"])
def test_a_link_that_the_lab_takes_in_full_is_good(state: str) -> None:
    assert list(wrong(state)) == []


@pytest.mark.parametrize("state", LINKS["bad"])
def test_a_link_of_which_the_lab_leaves_something_out_is_bad(state: str) -> None:
    assert list(wrong(state)) != []


def test_a_wrong_state_is_a_warning_with_page_and_line(tmp_path: Path) -> None:
    said, _ = build(tmp_path, "html", "# Page\n\nText.\n\n{lab}`Train it <start=zero>`\n")
    assert "page.md:5: WARNING: state of the lab: start must be one of zeros, " in said


def test_a_book_without_the_page_is_told(tmp_path: Path) -> None:
    said, _ = build(tmp_path, "html", PAGE, lab="")
    assert "WARNING: 'lab' reference target not found: start=zeros&activation=relu" in said


def test_the_controls_are_read_from_the_markup() -> None:
    markup = (
        '<select name="a"><option value="x" data-min="1" data-max="2" data-size="1.5">X</option>'
        "<option selected>y</option></select><select><option selected>z</option></select>"
        '<input type="number" name="b" min="1e-4" max="10" step="any" value="5">'
        '<input type="radio" name="c"><select name="d">'
        '<option value="own" data-reach="3" data-most="9" selected>O</option></select>'
    )
    assert controls(markup) == (
        {"a": ["x", "y"], "d": ["own"]},
        {"b": {"min": "1e-4", "max": "10", "step": "any"}},
        {"x": {"min": "1", "max": "2", "value": "1.5"}},
        {"a": "y", "b": "5", "d": "own"},
        {"data": "own", "reach": "3", "most": "9"},
    )
