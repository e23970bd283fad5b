"""Each page's content security policy, and the classes that take the place of ``style`` attributes.

Whether browsers obey it, and pages work under it, is tested in ``tests/browser``.
"""

import re
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

from bookbuild.tools.content_policy import restore_styles, secured

if TYPE_CHECKING:
    from tests.bookbuild.conftest import Book

PAGE = """\
<html><head><meta charset="utf-8" />
<script>go("now");</script><script src="a.js"></script><style>p { color: red; }</style>
</head><body>{}</body></html>"""


def policy(html: str) -> dict[str, list[str]]:
    """Return the sources that a page's policy allows for each directive."""
    (meta,) = BeautifulSoup(html, "html.parser").select("meta[http-equiv]")
    rules = [rule.split() for rule in str(meta["content"]).split(";")]
    return {name: sources for name, *sources in rules}


def test_a_page_loads_its_own_files_and_runs_no_text() -> None:
    allowed = policy(secured(PAGE))
    assert allowed["default-src"] == ["'self'"]
    assert {"object-src", "connect-src"}.isdisjoint(allowed)  # as default-src
    for kind, texts in (("script", ['go("now");']), ("style", ["p { color: red; }"])):
        own, *hashes = allowed[f"{kind}-src"]
        assert own == "'self'"
        digests = [b64decode(h.strip("'").removeprefix("sha256-")) for h in hashes]
        assert digests == [sha256(text.encode()).digest() for text in texts]


def test_the_policy_comes_before_all_that_it_is_for() -> None:
    html = secured(PAGE)
    assert html.index("Content-Security-Policy") < html.index("<script")


def test_webassembly_is_compiled_where_the_lab_is() -> None:
    assert "'wasm-unsafe-eval'" not in policy(secured(PAGE))["script-src"]
    lab = PAGE.replace("a.js", "_static/lab.js")
    assert "'wasm-unsafe-eval'" in policy(secured(lab))["script-src"]


def test_a_page_with_mathjax_has_none() -> None:
    page = PAGE.replace("a.js", "_static/mathjax/tex.js")
    assert secured(page) == page


def test_equal_styles_become_one_class() -> None:
    body = '<b style="top:1em;">1</b><i class="a b" style="top:1em;">2</i><u style="left:0">3</u>'
    html = secured(PAGE.replace("{}", body))
    first, second, third = BeautifulSoup(html, "html.parser").select("body *")
    assert "style=" not in html
    assert first["class"] == second["class"][2:]
    assert second["class"][:2] == ["a", "b"]
    assert third["class"] != first["class"]
    assert f".{first['class'][0]}{{top:1em!important}}" in html


def test_text_that_looks_like_a_style_stays() -> None:
    body = '<p title="<b style=1>">&lt;b style="top:1em"&gt;</p>'
    assert secured(PAGE.replace("{}", body)).endswith(f"<body>{body}</body></html>")


def test_what_leaves_the_page_takes_its_styles_along() -> None:
    body = '<b class="a" style="top:1em;left:2px">1</b><i style="color: red;">2</i>'
    page = BeautifulSoup(secured(PAGE.replace("{}", body)), "html.parser")
    restore_styles(page)
    assert [tag["style"] for tag in page.select("body *")] == ["top:1em;left:2px", "color: red"]


def test_a_second_build_changes_nothing() -> None:
    html = secured(PAGE.replace("{}", '<b style="top:1em;">1</b>'))
    assert secured(html) == html


def test_a_site_has_it_but_while_it_is_served_to_its_author(book: "Book") -> None:
    book.write("book/page.md", "# A page\n\n| a |\n| --: |\n| 1 |\n")
    done = book.html()
    assert done.returncode == 0, done.stderr
    html = book.text("_build/html/page.html")
    assert "style=" not in re.sub(r"<(code|pre).*?</\1>", "", html)
    assert policy(html)["default-src"] == ["'self'"]
    book.write("conf.py", book.text("conf.py") + "content_policy = False\n")
    done = book.html()
    assert done.returncode == 0, done.stderr
    assert "Content-Security-Policy" not in book.text("_build/html/page.html")
