"""Give each figure its size in the HTML, load it lazily, and link it to its own file.

With its size in the HTML, the page does not move when an image arrives. All images of a page but
the first load when they are about to be visible. A script shows the linked file in a dialog.
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
        if image.start() != first:  # the first image may be visible at once
            told += ' loading="lazy" decoding="async"'
        return (
            f'<a class="enlarge" href="{image["src"]}">'
            f'<img {image["rest"]}src="{image["src"]}"{image["more"]}{told} /></a>'
        )

    if found := IMAGE.search(context.get("body", "")):
        first = found.start()
        context["body"] = IMAGE.sub(larger, context["body"])
