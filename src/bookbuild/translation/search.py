"""A Sphinx extension: a search in Chinese, by pairs of neighbouring characters.

Chinese has no blanks between words, and Sphinx's own search for it does not load in the browser
(its issue 14229). Here each pair of neighbouring characters is a word of the index, and so is a
character that stands alone. A query is cut in the same way: a page is found if it holds all pairs.
"""

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.util.typing import ExtensionMetadata

HAN = re.compile(r"[\u3400-\u9fff]+")
SPLIT = r"""
var splitQuery = (query) =>
  query.split(/([\u3400-\u9fff]+)|[^\p{Letter}\p{Number}_]+/gu).filter(Boolean).flatMap((word) =>
    /[\u3400-\u9fff]/.test(word) && word.length > 1
      ? Array.from({ length: word.length - 1 }, (_, k) => word.slice(k, k + 2))
      : [word]);
"""


class SearchPairs(SearchEnglish):
    """Pairs of Chinese characters; Latin words as in English."""

    lang = "zh"
    language_name = "English"  # that of the stemmer
    js_splitter_code = SPLIT

    def split(self, text: str) -> list[str]:
        """Return the words of a text."""
        words = super().split(HAN.sub(" ", text))
        for run in HAN.findall(text):
            words += [run[k : k + 2] for k in range(len(run) - 1)] or [run]
        return words

    def stem(self, word: str) -> str:
        """Return a Chinese word as it is, and the stem of another."""
        return word if HAN.match(word) else super().stem(word)

    def word_filter(self, word: str) -> bool:
        """Tell whether a word belongs into the index."""
        return bool(HAN.match(word)) or super().word_filter(word)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_search_language(SearchPairs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
