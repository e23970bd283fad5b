"""How Sphinx builds the book: pages are in book/, our own extensions in src/bookbuild/."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))

language = os.environ.get("BOOK_LANGUAGE", "en")
project = "Why not start at zero?"
author = "The Zero Init maintainers"
version = "1.0.0"
copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "bookbuild.progress",  # its line begins before others prepare
    "bookbuild.checks",
    "bookbuild.content",
    "bookbuild.editions",
    "bookbuild.execution.cache",
    "bookbuild.execution.warm",
    "bookbuild.formulas",
    "bookbuild.lab",
    "bookbuild.live",
    "bookbuild.site",
    "bookbuild.translation",
]
nitpicky = True
numfig = True
bibtex_bibfiles = ["book/references.bib"]
bibtex_default_style = "alpha-kept"

# the pages and their cells
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "_build/cells")
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
warm_modules = [  # [] for kernels that start cold
    "torch",
    "torch._dynamo",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_svg",
    "myst_nb.ext.glue",
]
results_tests = "tests/zeroinit"

# the notebooks that readers download
notebooks_package = "zeroinit"
# the repository on GitHub whose branch `notebooks` holds them, if there is one
notebooks_repository = os.environ.get("BOOK_REPOSITORY", "")
# of a module the extra that brings it
notebooks_extras = {"matplotlib": "plots", "peft": "lora", "transformers": "lora"}
# they read files of the repository
notebooks_exclude = [
    "colophon",
    "adapters-at-their-start",
    "atlas-of-architectures",
    "does-your-optimizer-let-the-zero-wake",
]

# the docstrings
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["lightning", "transformers"]  # slow, or not installed
napoleon_use_param = False
napoleon_use_rtype = False
nitpick_ignore_regex = [("py:.*", r"(torch|nn|collections)\..*")]  # no inventory is fetched

# the languages: English is written in book/, Chinese in locale/
languages = {"en": ("English", ""), "zh_CN": ("中文", "zh")}
locale_dirs = ["../locale"]  # seen from the pages
gettext_compact = False
translation_terms = "locale/zh_CN/terms.csv"
translation_patterns = ["adapters-at-their-start", "atlas-of-architectures"]
gettext_location = False  # the lines of a page move with every edit
# so that alternative texts are messages
nb_mime_priority_overrides = [("gettext", "image/svg+xml", 0)]

# the site
html_theme = "sphinx_book_theme"
html_title = project
html_baseurl = os.environ.get("BOOK_URL", "")  # where the site is published, if it is
if html_baseurl and languages[language][1]:
    html_baseurl += f"{languages[language][1]}/"
html_domain_indices = False  # the modules stand in order on the page of the API
html_additional_pages = {"404": "404.html"}
templates_path = ["book/_templates"]  # the theme adds to it, and would add to Sphinx's own list
html_static_path = ["book/_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js", "filter.js"]
copybutton_exclude = ".linenos, .gp, .go"  # prompts and what Python answers
html_search_scorer = "book/_static/search.js"
html_favicon = "book/_static/favicon.svg"
html_copy_source = False
html_context = {"default_mode": "auto", "html_baseurl": html_baseurl}
figure_styles = ("src/zeroinit/book.mplstyle", "src/zeroinit/book_dark.mplstyle")
html_theme_options = {
    "article_header_end": ["languages", "notebook", "article-header-buttons"],
    "back_to_top_button": False,
    "footer_content_items": ["version.html"],
    "navbar_persistent": [],
    "primary_sidebar_end": [],
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}

# the book to keep: what `make pdf`, `make epub` and `make slides` make is offered by the next build
epub_basename = "-".join(filter(None, ("why-not-start-at-zero", languages[language][1])))
editions = {
    f"_build/{epub_basename}.pdf": "The whole book as a PDF",
    f"_build/{epub_basename}.epub": "The whole book as an EPUB, for reading devices",
    f"_build/{epub_basename}-slides.html": "Slides of the lesson, for a class",
}
slides = ["index", "experiment", "definition", "symmetry", "gradients", "summary"]
epub_language = language.replace("_", "-")
epub_description = "When, why and how far an all-zero neural network fails: proved, tested, shown."
epub_contributor = author
epub_identifier = epub_uid = epub_basename  # the package and its table of contents name it alike
epub_css_files = ["epub-book.css"]
epub_use_index = False
epub_show_urls = "no"
epub_tocdepth = 2
epub_tocscope = "includehidden"
epub_exclude_files = ["404.xhtml", ".buildinfo.bak"]
