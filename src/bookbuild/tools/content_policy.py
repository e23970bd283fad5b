"""A page's content security policy: it runs and loads files of the site alone.

The policy stands in the page, so it holds on any server and for a page that is opened as a file.
An inline script or style sheet is allowed by its hash. A ``style`` attribute cannot be, so each
becomes a class, and the page gets a sheet of its own. Pages that run the lab may compile
WebAssembly. A page whose formulas MathJax draws has no policy, as MathJax writes styles while the
page is read.
"""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape

from bs4 import BeautifulSoup

TAG = re.compile(r'<[a-z](?:[^>"]|"[^"]*")*>')
STYLE = re.compile(r'\sstyle="([^"]*)"')
CLASS = re.compile(r'\sclass="([^"]*)"')
INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
CHARSET = '<meta charset="utf-8" />'
POLICY = '<meta http-equiv="Content-Security-Policy" content="'
RULE = re.compile(r"\.(i\d+)\{(.*?)\}")
LAB, MATHJAX = "_static/lab.js", "_static/mathjax/"


def secured(html: str) -> str:
    """Return a page with its policy, and with classes where it has ``style`` attributes."""
    if POLICY in html or MATHJAX in html or CHARSET not in html:
        return html
    names: dict[str, str] = {}

    def styled(tag: re.Match[str]) -> str:
        style = STYLE.search(tag[0])
        if style is None:
            return tag[0]
        name = names.setdefault(unescape(style[1]).strip(" ;"), f"i{len(names)}")
        rest = STYLE.sub("", tag[0], count=1)
        if CLASS.search(rest):
            return CLASS.sub(lambda classes: f' class="{classes[1]} {name}"', rest, count=1)
        return re.sub(r"^<[\w-]+", lambda start: f'{start[0]} class="{name}"', rest)

    html = TAG.sub(styled, html)
    if names:
        # A style attribute wins over every rule of a sheet, and so does what takes its place.
        rules = (
            f".{name}{{{style.replace(';', '!important;')}!important}}"
            for style, name in names.items()
        )
        html = html.replace("</head>", f"<style>{''.join(rules)}</style>\n  </head>", 1)
    return html.replace(CHARSET, f'{CHARSET}\n    {POLICY}{policy(html)}" />', 1)


def policy(html: str) -> str:
    """Return the policy of a page: what it may load, and the hashes of what stands in it."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(html):
        allowed[kind].append(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'")
    compiles = ["'wasm-unsafe-eval'"] if LAB in html else []
    rules = {
        "default-src": ["'self'"],  # Firefox fetches the next page before it is asked for
        "script-src": ["'self'", *compiles, *allowed["script"]],
        "style-src": ["'self'", *allowed["style"]],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'", "data:"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
    }
    return "; ".join(" ".join([name, *sources]) for name, sources in rules.items())


def restore_styles(page: BeautifulSoup) -> None:
    """Give elements their ``style`` attributes again: what leaves the page leaves its sheet."""
    sheets = "".join(sheet.get_text() for sheet in page.select("head > style"))
    styles = {name: style.replace("!important", "") for name, style in RULE.findall(sheets)}
    for tag in page.find_all(class_=[*styles]):
        (tag["style"],) = (styles[name] for name in tag["class"] if name in styles)
