"""A Sphinx extension: MyST-NB runs a page again when what its cells run on has changed.

MyST-NB keeps a page's outputs under a key made of its cells alone. Here the cache's folder is named
by a digest of the files in ``freshness_files`` (globs, relative to conf.py), so that outputs made
with other files are never found, and going back to old files finds the old outputs. An edit of the
extensions themselves runs no cell, but has Sphinx read every page again.
"""

import hashlib
import sys
from pathlib import Path

from jupyter_cache import get_cache
from myst_nb.core.config import NbParserConfig
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata


def digest(root: Path, patterns: list[str]) -> str:
    """Return a name for the contents of the files below ``root`` that match the patterns.

    Raises
    ------
    ValueError
        If a pattern matches no file, since a misspelt one would let pages grow stale in silence.
    """
    total = hashlib.sha256(sys.version.encode())
    for pattern in patterns:
        files = [p for p in sorted(root.glob(pattern)) if p.is_file() and p.suffix != ".pyc"]
        if not files:
            raise ValueError(f"freshness_files: {pattern!r} matches no file below {root}")
        for file in files:
            total.update(repr((file.relative_to(root).as_posix(), file.read_bytes())).encode())
    return total.hexdigest()[:16]


def name_cache(app: Sphinx, config: Config) -> None:
    """Name the cache's folder; a changed name also makes Sphinx read every page again."""
    config.freshness_extensions = digest(Path(__file__).parent, ["*.py"])
    name = digest(Path(app.confdir), config.freshness_files)
    config.nb_execution_cache_path = str(Path(app.outdir).parent / "cells" / name)


def create_cache(app: Sphinx) -> None:
    """Create the cache's data base before parallel readers race to do so."""
    settings: NbParserConfig = app.env.mystnb_config  # type: ignore[attr-defined]
    get_cache(settings.execution_cache_path).db  # noqa: B018 - the property creates it


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the extension to Sphinx."""
    app.add_config_value("freshness_files", [], "env", types=frozenset({list}))
    app.add_config_value("freshness_extensions", "", "env", types=frozenset({str}))
    app.connect("config-inited", name_cache)
    app.connect("builder-inited", create_cache, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
