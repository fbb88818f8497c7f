"""Run the tests of one marker; say so in plain words when there are none yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTHING_COLLECTED = 5


def main() -> int:
    """Exit codes are pytest's, except that no test at all is fine and said."""
    if len(sys.argv) < 2:
        print("usage: python -m tools.selected MARKER [PYTEST WORDS]", file=sys.stderr)
        return 2
    marker, *words = sys.argv[1:]
    command = [sys.executable, "-m", "pytest", "-m", marker, "--timeout=1800", *words]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == NOTHING_COLLECTED:
        print(f"no test is marked {marker!r}: nothing was run")
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
