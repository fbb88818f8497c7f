#!/bin/sh
# Prints a Python of 3.11 or later; $LOTKEEPER_PYTHON goes first.
set -u
for name in ${LOTKEEPER_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        "$name" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
echo "setup: Lotkeeper needs Python 3.11 or later, and none was found." >&2
echo "       Install one, or name it: LOTKEEPER_PYTHON=/path/to/python3.12 make setup" >&2
exit 2
