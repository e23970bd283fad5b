"""Have all pages written again where a title, a number or a place has changed.

A page shows the titles and numbers of other pages in its references, its sidebar and its links to
the pages before and behind it. Sphinx writes again the pages whose own text or numbers changed.
"""

from hashlib import sha256
from typing import cast

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def find(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return all pages if what they may show of each other is not what it was."""
    objects = {name: sorted(map(str, one.get_objects())) for name, one in env.domains.items()}
    orders = sorted(env.toctree_includes.items())
    numbers = [sorted(kind.items()) for kind in (env.toc_secnumbers, env.toc_fignumbers)]
    shown = sha256(repr((objects, orders, numbers)).encode()).hexdigest()
    kept = cast(dict[str, str], vars(env))
    before, kept["shown"] = kept.get("shown"), shown
    return [] if before == shown else sorted(env.found_docs)
