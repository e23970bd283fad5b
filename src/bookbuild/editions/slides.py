"""Make slides of the built site: ``python -m bookbuild.editions.slides SITE FILE``.

Each page that ``slides`` names in ``conf.py`` gives two slides: its question, with the choices and
the right answer, and its first figure, with the sentence that closes the page. All words are those
of the page. The file needs nothing else: it holds the figures, and reveal.js, which shows them.
"""

import runpy
import sys
from base64 import b64encode
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from bookbuild.tools.content_policy import restore_styles, secured
from bookbuild.tools.words import phrase, speak

REVEAL = Path("node_modules/reveal.js/dist")
MISSING = "reveal.js shows the slides, and is not here: `npm ci` brings it."
START = "Reveal.initialize({width: 1280, height: 720, margin: 0.02, center: false, hash: true});"


def only(page: Tag, selector: str) -> Tag:
    """Return the first element of a kind."""
    found = page.select_one(selector)
    assert found, f"there is no {selector}"
    return found


def paragraph(article: Tag, words: str) -> str:
    """Return the paragraph that begins with words in bold; empty if there is none."""
    found = [tag for tag in article.select("p > strong:first-child") if tag.get_text() == words]
    return str(found[0].parent) if found else ""


def article(site: Path, name: str) -> Tag:
    """Return the article of a page without links, with formulas in MathML and figures inside."""
    page = BeautifulSoup((site / f"{name}.html").read_text("utf-8"), "html.parser")
    restore_styles(page)
    told = only(page, "article.bd-article")
    for tag in told.select(".headerlink"):
        tag.decompose()
    for link in told.select("a"):
        link.unwrap()
    for formula in told.select(".katex"):
        formula.replace_with(only(formula, "math"))
    image = only(told, "figure img")
    picture = b64encode((site / str(image["src"])).read_bytes()).decode()
    image.attrs = {"alt": image["alt"], "src": f"data:image/svg+xml;base64,{picture}"}
    return told


def slides(told: Tag) -> str:
    """Return the slides of a page."""
    title = only(told, "h1").decode_contents()
    asked = only(told, ".predict")
    choices, reasons = asked.select("ol")
    right = str(asked["data-answer"])
    figure = only(told, "figure")
    question, sentence = phrase("The question."), phrase("In one sentence.")
    return f"""
<section>
<h2>{title}</h2>
{paragraph(told, question)}
<p>{only(asked, "legend").decode_contents()}</p>
{choices}
<ol class="fragment answer" start="{right}">{only(reasons, f"li:nth-of-type({right})")}</ol>
</section>
<section>
<h3>{title}</h3>
{only(figure, "img")}
{only(figure, "figcaption p")}
{paragraph(told, sentence)}
</section>"""


def document(site: Path, pages: list[str], language: str) -> str:
    """Return the slides of all pages as one file, with the title of the first."""
    told = [article(site, page) for page in pages]
    styles = [REVEAL / "reveal.css", Path(__file__).with_suffix(".css")]
    style = "\n".join(file.read_text("utf-8") for file in styles)
    script = (REVEAL / "reveal.js").read_text("utf-8")
    return secured(f"""<!DOCTYPE html>
<html lang="{language}">
<head><meta charset="utf-8" /><title>{escape(only(told[0], "h1").get_text())}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><main class="reveal"><div class="slides">
{"".join(map(slides, told))}
</div></main>
<script>{script}</script>
<script>{START}</script></body></html>
""")


def main(site: Path, target: Path) -> None:
    """Write the slides."""
    if not REVEAL.exists():
        sys.exit(MISSING)
    language = speak(site)
    pages = runpy.run_path("conf.py")["slides"]
    target.write_text(document(site, pages, language), "utf-8")
    print(f"The slides are made: {target}")


if __name__ == "__main__":
    main(*(Path(name).resolve() for name in sys.argv[1:]))
