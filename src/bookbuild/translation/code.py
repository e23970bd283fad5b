"""A Sphinx extension: the words that code writes are said in the language of the edition.

A message stands in a call of ``phrase``, in Python, in scripts and in templates, or is the value of
a setting of ``conf.py``.
"""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.util.i18n import CatalogInfo
from sphinx.util.typing import ExtensionMetadata

from bookbuild.tools.words import DOMAIN, catalogue, phrase

PHRASE = Path(__file__).with_name("phrase.js")
WORDS = "words.js"
FOLDERS = "src/bookbuild", "book/_static", "book/_templates"
KEYWORDS = {"phrase": None}
OPTIONS = {"parse_template_string": True}  # in scripts a call may stand in a template
METHODS = {".py": "python", ".js": "javascript", ".html": "jinja2"}
SETTINGS = (
    "project",
    "author",
    "copyright",
    "html_title",
    "nb_code_prompt_show",
    "nb_code_prompt_hide",
    "epub_contributor",
    "epub_description",
)


def sources(root: Path) -> Iterator[Path]:
    """Yield the files that may hold messages."""
    for folder in FOLDERS:
        files = sorted(Path(root, folder).rglob("*"))
        yield from (f for f in files if f.suffix in METHODS and "translation" not in f.parts)


def said_in(file: Path) -> list[str]:
    """Return the messages of a file, once for each call."""
    with file.open("rb") as source:
        calls = extract(METHODS[file.suffix], source, KEYWORDS, options=OPTIONS)
        return [str(words) for _, words, _, _ in calls]


def messages(root: Path) -> Catalog:
    """Return the messages of the code of a repository, each with the files that it stands in."""
    found: Catalog = Catalog(fuzzy=False)
    settings = runpy.run_path(str(root / "conf.py"))
    for words in [*(settings[name] for name in SETTINGS), *settings["editions"].values()]:
        found.add(words, locations=[("conf.py", 0)])
    for file in sources(root):
        for words in said_in(file):
            found.add(words, locations=[(file.relative_to(root).as_posix(), 0)])
    return found


def translate_settings(app: Sphinx, config: Config) -> None:
    """Translate the words of settings."""
    for name in SETTINGS:
        config[name] = phrase(config[name])
    config.editions = {file: phrase(words) for file, words in config.editions.items()}


def prepare(app: Sphinx) -> None:
    """Give templates the function ``phrase``, and the site its script and the words of others."""
    templates = getattr(app.builder, "templates", None)
    if isinstance(templates, BuiltinTemplateLoader):
        templates.environment.globals["phrase"] = phrase
    app.config.html_static_path.append(str(PHRASE))
    if catalogue(app).exists():
        with catalogue(app).open("rb") as stream:
            said = {
                message.id: message.string
                for message in read_po(stream)
                if message.string and any(file.endswith(".js") for file, _ in message.locations)
            }
        words = Path(app.doctreedir, WORDS)
        words.write_text(f"phrase.words = {json.dumps(said, ensure_ascii=False)};\n", "utf-8")
        app.config.html_static_path.append(str(words))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    file = catalogue(app)
    app.add_js_file(PHRASE.name, loading_method="defer")
    if file.exists():
        app.add_js_file(WORDS, loading_method="defer")
        text = file.read_text("utf-8")  # where it changes, all pages are read again
        app.add_config_value("phrases", text, "env", types=frozenset({str}))
        compiled = CatalogInfo(file.parent, DOMAIN, "utf-8")
        if compiled.is_outdated():
            compiled.write_mo(app.config.language)
    app.add_message_catalog(DOMAIN, Path(app.confdir, "locale"))
    app.connect("config-inited", translate_settings)
    app.connect("builder-inited", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
