"""A script is loaded on the pages that hold what it works on, and on no other."""

from collections.abc import Callable

from sphinx.application import Sphinx


def where(held: str, script: str) -> Callable[..., None]:
    """Return a step for pages: one whose HTML holds a text loads a script when it has been read."""

    def load(app: Sphinx, page: str, template: str, context: dict[str, object], *_: object) -> None:
        if held in str(context.get("body")):
            app.add_js_file(script, loading_method="defer")

    return load
