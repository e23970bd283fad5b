#!/bin/sh
# Install requirements/$2.txt and this repository into the environment $1, and write the file $1/$3 when all is there. If that
# fails, say what is missing. What is installed stays, so the next run goes on from there. Each package must have a hash that
# is listed, but PyTorch, which has many builds: TORCH=cpu takes it from its own index of builds without CUDA.
set -u
fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}
again="Run the same command again: it goes on from what is installed."

command -v "$PYTHON" >/dev/null ||
    fail "There is no ${PYTHON:-Python}: install Python 3.11 or newer, or name one with make PYTHON=/path/to/python."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" -V 2>&1), and Python 3.11 or newer is needed: name one with make PYTHON=/path/to/python."
case ${TORCH:=} in
    '' | cpu) ;;
    *) fail "There is no TORCH=$TORCH: write TORCH=cpu for PyTorch without CUDA, or leave it out." ;;
esac
trap 'fail "The set-up was stopped. $again"' INT TERM

# A sound environment has a pip that runs, and the Python that is asked for if no set-up with another was ever whole.
python=$1/bin/python
if { [ -e "$1/ready" ] || [ "$("$python" -V 2>&1)" = "$("$PYTHON" -V 2>&1)" ]; } &&
    "$python" -m pip --version >/dev/null 2>&1; then
    rm -f "$1/$3"
else
    [ -L "$1" ] && { [ ! -d "$1" ] || [ "$(ls -A "$1/")" ]; } &&
        fail "$1 is a link, and what it leads to is no environment of $PYTHON. Nothing is removed behind a link:" \
            "remove it, or let it lead to an empty folder."
    "$PYTHON" -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 3 << 30)' ||
        fail "Less than 3 GB of disk space is free here, and the environment takes that much: make room, then try again."
    [ -L "$1" ] && clear= || clear=--clear
    "$PYTHON" -m venv $clear "$1" ||
        fail "$PYTHON cannot make an environment: on Debian and Ubuntu install the package python3-venv. If it says above" \
            "that no space is left, make room."
fi
# pip writes the file INSTALLER last. A package without it was cut short, and pip would take it for a whole one.
for info in "$1"/lib/python*/site-packages/*.dist-info; do
    [ ! -d "$info" ] || [ -e "$info/INSTALLER" ] || rm -r "$info"
done

# On a terminal pip shows each package and how much of it is here, in a log we count the packages.
install() {
    set -- "$python" -m pip install "$@"
    [ -t 1 ] || set -- "$PYTHON" src/bookbuild/tools/progress.py follow "Packages found" "$@"
    "$@" || fail "The packages could not be installed. pip says why above: most often there is no network to the package" \
        "index (a set-up needs one, later builds do not) or the disk is full. $again"
}
case $2 in
    book) echo "Setting up $1 for the book (once; PyTorch is large) ..." ;;
    *) echo "Setting up $1 for the tests (once) ..." ;;
esac
install ${TORCH:+--no-deps --index-url https://download.pytorch.org/whl/cpu} -r requirements/torch.txt
install --no-deps --require-hashes -r "requirements/$2.txt"
install --no-deps --no-build-isolation --editable .
touch "$1/$3"
