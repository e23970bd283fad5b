"""The browser that prints the PDF and in which the tests read the book: Chromium.

``python -m bookbuild.tools.browser`` prints its path, and fails if there is none.
"""

import shutil
import sys

NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"


def find() -> str | None:
    """Return the path of the browser, or None if it is under none of its names."""
    return next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__":
    print(find() or sys.exit(f"There is no {', '.join(NAMES[:-1])} or {NAMES[-1]}."))
