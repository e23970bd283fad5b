"""Load a script on the pages whose HTML holds a text, and on no other."""

from collections.abc import Callable

from sphinx.application import Sphinx


def where(held: str, script: str) -> Callable[..., None]:
    """Return a step for pages that adds a deferred script where the HTML holds a text."""

    def load(app: Sphinx, page: str, template: str, context: dict[str, object], *_: object) -> None:
        if held in str(context.get("body")):
            app.add_js_file(script, loading_method="defer")

    return load
