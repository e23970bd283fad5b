"""The links of the package's metadata: where the book is published is known to who publishes it."""

import os

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Links(MetadataHookInterface):
    """Gives the package the addresses that the book has, too: see the top of ``conf.py``."""

    def update(self, metadata: dict[str, object]) -> None:
        """Add the links that are known."""
        book, repository = (os.environ.get(f"BOOK_{name}", "") for name in ("URL", "REPOSITORY"))
        source = f"https://github.com/{repository}" if repository else ""
        links = {
            "Documentation": book,
            "Source": source,
            "Changelog": f"{source}/blob/main/CHANGELOG.md" if source else "",
        }
        metadata["urls"] = {name: link for name, link in links.items() if link}
