"""Each figure keeps its place while it loads, and leads to itself, large.

An image is told its size, so nothing moves when it comes. All but a page's first are fetched when
they are about to be seen. And each is a link to its own file, which a script may show in a dialog.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.images import get_image_size

IMAGE = re.compile(r'<img (?P<rest>[^>]*?)src="(?P<src>[^"]*/(?P<name>[^"/]+))"(?P<more>[^>]*?)/?>')


def enlarge(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the images of a page's body their sizes and links."""
    files = {name: Path(app.srcdir, file) for file, name in app.builder.images.items()}

    def larger(image: re.Match[str]) -> str:
        size = get_image_size(files[image["name"]]) if image["name"] in files else None
        if not size:
            return image[0]
        told = f'width="{size[0]}" height="{size[1]}"'
        if image.start() != first:  # it may be in sight at once
            told += ' loading="lazy" decoding="async"'
        return (
            f'<a class="enlarge" href="{image["src"]}">'
            f'<img {image["rest"]}src="{image["src"]}"{image["more"]}{told} /></a>'
        )

    if found := IMAGE.search(context.get("body", "")):
        first = found.start()
        context["body"] = IMAGE.sub(larger, context["body"])
