#!/bin/sh
# Prints a Python of 3.11 or later. $LOTKEEPER_PYTHON goes first, then the system's own: distributions build theirs
# with profile-guided optimization, a version manager by default does not, and runs our tests 18 % slower.
set -u

use() { # a name, and what it must be able to import
    "$1" -c "import sys, $2; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1 || return 0
    "$1" -c 'import sys; print(sys.executable)'
    exit 0
}

[ -z "${LOTKEEPER_PYTHON:-}" ] || use "$LOTKEEPER_PYTHON" sys
# Without uv on the PATH, one is put into an environment of its own: Debian makes none without python3-venv.
for needed in ensurepip sys; do
    for name in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 python; do
        use "$name" "$needed"
    done
done
echo "setup: Lotkeeper needs Python 3.11 or later, and none was found." >&2
echo "       Install one, or name it: LOTKEEPER_PYTHON=/path/to/python3.12 make setup" >&2
exit 2
