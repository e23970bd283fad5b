#!/bin/sh
# Make the environment $1 with the versions of constraints.txt, and say what is missing if that fails.
# The file $1/ready, which make adds at the end, tells a whole environment from a half-made one.
set -u
fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null ||
    fail "There is no ${PYTHON:-Python}: install Python 3.11 or newer, or name one with make PYTHON=/path/to/python."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" -V 2>&1), and Python 3.11 or newer is needed: name one with make PYTHON=/path/to/python."
if [ -e "$1/ready" ]; then
    clear=
    rm "$1/ready"
else
    clear=--clear
    "$PYTHON" -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 3 << 30)' ||
        fail "Less than 3 GB of disk space is free here, and the environment takes that much: make room, then try again."
fi
echo "Setting up $1 (once; PyTorch is large) ..."
"$PYTHON" -m venv $clear "$1" ||
    fail "$PYTHON cannot make an environment: on Debian and Ubuntu install the package python3-venv. If it says above" \
        "that no space is left, make room."
"$1/bin/python" -m pip install -qq --constraint constraints.txt --editable '.[book,test]' ||
    fail "The packages could not be installed. pip says why above: most often there is no network to the package index" \
        "(the first set-up needs one, later builds do not) or the disk is full. Then run the same command again."
