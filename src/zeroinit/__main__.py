"""``python -m zeroinit``: see :mod:`zeroinit.command`."""

import sys

from zeroinit.command import main

if __name__ == "__main__":
    sys.exit(main())
