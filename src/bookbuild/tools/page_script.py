"""A script is loaded on the pages that hold what it works on, and on no other."""

from sphinx.application import Sphinx


def load_where(app: Sphinx, held: str, script: str) -> None:
    """Have every page whose HTML holds a text load a script when it has been read."""

    def load(app: Sphinx, page: str, template: str, context: dict[str, object], *_: object) -> None:
        if held in str(context.get("body")):
            app.add_js_file(script, loading_method="defer")

    app.connect("html-page-context", load)
