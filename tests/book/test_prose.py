"""No number in a sentence is typed by hand, words are plain, and notebooks have no outputs.

A measured number comes from ``{glue:text}``, a small count is a word. So what the book's own parser
calls text may hold single digits only, and sections of the original lesson, as §3.1. In math,
integers belong to the formula, decimals do not.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("book/*.md"))

PARSER = create_md_parser(
    MdParserConfig(
        enable_extensions={"amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"}
    ),
    RendererHTML,
)
NUMBER = re.compile(r"(?<![\w.§])(?:\d[\d,]*)?\.?\d+(?:e[-+−]?\d+)?(?:\s?%|\sper ?cent)?", re.I)
DECIMAL = re.compile(r"\d+\.\d+|\d+\s*\\?%")
CODE = {"bibliography", "code", "code-block", "code-cell", "doctest", "eval-rst", "toctree"}
OPTIONS = re.compile(r"---\n(?:.*\n)*?---\n|(?::.*\n)*")
SHOWN = {"alt", "caption", "code_prompt_hide", "code_prompt_show", "description"}

#: What stops a reader whose first language is not English, and what to write in its place.
PLAIN = {
    r"part(?:ed|ing)": "came apart, separated",
    r"parts (?:classes|equal|it|the|them|twins|units)": "separates",
    r"part (?:classes|equal|\w+teen|the (?:classes|twins|units)|them|twins|units|ways)": "separate",
    r"(?:can|could|ever|may|might|must|never|not|should|then|they|to|twins|units|will|would) part"
    r"(?! [(\d])": "come apart, separate",
    r"for ever": "forever, at every later step",
    r"He's": "of He (Kaiming) initialization",
    r"tanh for ReLU|the identity for tanh": "tanh instead of ReLU",
    r"all the same": "still",
    r"lets? \w*\s?expect": "suggests",
    r"(?:adapter|block|branch|expert|head|layer|mixture|network|unit)s?(?: only)? says?": "outputs",
    r"put to the": "tested against the, tested",
    r"dear(?:er|est)?": "expensive",
    r"but for": "except for",
    r"in earnest": "real",
    r"fortieth": "the digits, in backticks or glued",
    r"nor (?:are|can|did|do|does|has|have|is|need|was|will)|and nor": "not ... either",
    r"(?:experts|factors) at least": "at least one, at least two",
    r"guilty|innocent|suspects?": "what separates the twins, what does not, candidate",
    r"meddl\w+": "change",
    r"coast\w*": "moved by momentum alone",
    r"hears?|speaks?": "receives, outputs, is about",
    r"with no thought": "without a rule",
    r"the trust that": "the confidence that",
    r"stands already": "is already",
    r"whatever you like": "any values",
    r"as long again": "1.5 times, glued",
    r"(?:\w+ )?in ten": "the middle eight of ten",
}


def sentences(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Yield line and text of what a reader of Markdown reads; of math, its decimals."""
    for token in PARSER.parse(text):
        line = first + (token.map or [0])[0]
        if token.type == "inline":
            for child in token.children or []:
                if child.type in {"text", "image"}:
                    yield line, re.sub(r"https?://\S+", "", child.content)
                elif child.type.startswith("math") or child.meta.get("name") == "math":
                    yield line, " ".join(DECIMAL.findall(child.content))
                elif child.type == "myst_role":  # of {ref}`title <label>`, the title
                    yield line, "".join(re.findall(r"(.+) <", child.content))
                line += child.type in {"softbreak", "hardbreak"}
        elif token.type == "front_matter":
            for shown in captions(yaml.safe_load(token.content)):
                yield line, shown
        elif token.type.startswith("math") or token.type == "amsmath":
            yield line, " ".join(DECIMAL.findall(token.content))
        elif token.type in {"fence", "colon_fence"}:
            yield from fenced(token.info, token.content, line)


def fenced(info: str, content: str, line: int) -> Iterator[tuple[int, str]]:
    """Yield what a reader reads of a fenced block: of code its caption only."""
    directive = re.match(r"\{([\w:-]+)\} *(.*)", info)
    if not directive:
        return
    name, title = directive.groups()
    options = OPTIONS.match(content)
    assert options
    for shown in captions(yaml.safe_load(re.sub("^(:|---$)", "", options[0], flags=re.M))):
        yield from sentences(shown, line)
    body = content[options.end() :]
    if name == "math":
        yield line, " ".join(DECIMAL.findall(body))
    elif name not in CODE:
        yield line, title
        yield from sentences(body, line + 1 + options[0].count("\n"))


def captions(options: object) -> Iterator[str]:
    """Yield the texts among nested options that a reader sees."""
    if isinstance(options, dict):
        for key, value in options.items():
            if key in SHOWN:
                yield str(value)
            else:
                yield from captions(value)


def typed_numbers(page: str) -> list[tuple[int, str]]:
    """Return line and digits of every number in the prose of a page but single digits."""
    return [
        (line, number)
        for line, sentence in sentences(page)
        for number in NUMBER.findall(sentence)
        if not re.fullmatch(r"\d", number)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_number_is_typed(page: Path) -> None:
    found = [
        f"{page.relative_to(ROOT)}:{line}: {number!r}"
        for line, number in typed_numbers(page.read_text("utf-8"))
    ]
    assert not found, (
        "glue these numbers, settings too, or write a small count as a word:\n" + "\n".join(found)
    )


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("The loss ends at 0.69 nats.", "0.69"),
        ("The loss ends at .69 nats.", ".69"),
        ("It falls by 5% at once.", "5%"),
        ("It falls by 5 percent at once.", "5 percent"),
        ("There are 16 units.", "16"),
        ("It takes 3,000 steps.", "3,000"),
        ("The difference is 3e-16.", "3e-16"),
        ("It ends at $0.69$.", "0.69"),
        ("$$\n\\ln 2 = 0.69\n$$", "0.69"),
        ("```{math}\n\\ln 2 = 0.69\n```", "0.69"),
        ("## After 100 steps", "100"),
        ("- a list of 100 items", "100"),
        ("| loss | 0.69 |\n|---|---|\n| a | b |", "0.69"),
        ("| a | b |\n|---|---|\n| loss | 0.69 |", "0.69"),
        ("It ends at {math}`0.69`.", "0.69"),
        ("{ref}`after 100 steps <label>`", "100"),
        ("[after 100 steps](https://example.org)", "100"),
        ("![after 100 steps](figure.png)", "100"),
        (":::{theorem} After 100 steps\n:name: a\n:::", "100"),
        (":::{exercise} Predict\n:name: a\n\nStart at 0.1.\n:::", "0.1"),
        ("::::{note}\n:::{dropdown} Proof\nStart at 0.1.\n:::\n::::", "0.1"),
        ("```{figure} a.png\n:alt: after 100 steps\n```", "100"),
        ("```{code-cell}\n:mystnb:\n:  figure:\n:    caption: |\n:      Of 100 seeds.\n```", "100"),
        ("```{code-cell}\n---\nmystnb:\n  image:\n    alt: Of 100 seeds.\n---\n```", "100"),
    ],
)
def test_a_typed_number_is_seen(page: str, number: str) -> None:
    (line, found), *more = typed_numbers("\n\n" + page)
    assert (found, more) == (number, [])
    assert line > 2


@pytest.mark.parametrize(
    "page",
    [
        "It ends at {glue:text}`loss:.2f` after {glue:text}`steps10` steps.",
        "Sixteen units in 2 layers, as {cite:t}`glorot2010` say in {numref}`theorem-10`.",
        "1. one\n2. two\n10. ten",
        "In float64 and on x86 (§3.1), call `constant_(model, 0.25)`.",
        "Let $2^{16} = 65536$, see [the page](https://example.org/10.50) or <https://a.org/10>.",
        "---\nversion: 1.25\n---\n\n# Title\n\n(label-10)=\n% 100\n\n<!-- 100 -->",
        "```python\nlr = 0.25\n```",
        "```{code-cell} ipython3\n:tags: [hide-10]\nlr = 0.25\n```",
        ":::{dropdown} Proof\n:columns: 12\n\n```python\nlr = 0.25\n```\n:::",
    ],
)
def test_what_is_no_typed_number(page: str) -> None:
    assert typed_numbers(page) == []


def hard_words(page: str) -> list[tuple[int, str, str]]:
    """Return line, words and the plain words for them, of what stops a reader of a page."""
    return [
        (line, words[0], plain)
        for line, sentence in sentences(page)
        for hard, plain in PLAIN.items()
        for words in re.finditer(rf"\b(?:{hard})\b", sentence, re.I)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_words_are_plain(page: Path) -> None:
    found = [
        f"{page.relative_to(ROOT)}:{line}: {words!r}; plain: {plain}"
        for line, words, plain in hard_words(page.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "page",
    [
        "Twins never part.",
        "# What parts the twins",
        "---\nmyst:\n  html_meta:\n    description: Guilty.\n---",
        "```{code-cell}\n:mystnb:\n:  figure:\n:    caption: It stays so for ever.\n```",
        ":::{dropdown} Proof\nThe branch says zero.\n:::",
        "| a | b |\n|---|---|\n| cheap | dear |",
    ],
)
def test_a_hard_word_is_seen(page: str) -> None:
    assert len(hard_words(page)) == 1


@pytest.mark.parametrize(
    "page",
    [
        "Part of a network, its other parts, and part (b) of a theorem; two and part 3.",
        "Neither dead nor collapsed.",
        "```python\nparted = meddle\n```",
    ],
)
def test_what_is_plain(page: str) -> None:
    assert hard_words(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_with_cells_opens_as_a_notebook(page: Path) -> None:
    text = page.read_text("utf-8")
    if "{code-cell}" in text:
        front = re.match(r"---\n((?:.*\n)*?)---\n", text)
        assert front, "begin with the front matter of a notebook, as symmetry.md does"
        settings = yaml.safe_load(front[1])
        assert settings["file_format"] == "mystnb"
        assert settings["kernelspec"] == {"name": "python3", "display_name": "Python 3"}


def test_git_holds_no_outputs() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.ipynb", "_build", "book/_images"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert listed.stdout == ""
