"""Every static check in one go: lint, format, types, direction of imports. All are run, even after one failed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str]] = {
    "lint": ["ruff", "check", "--quiet", "."],
    "format": ["ruff", "format", "--quiet", "--check", "."],
    "types": ["mypy", "--no-error-summary", "--num-workers=2"],
    "types of tools": ["mypy", "--no-error-summary", "tools"],
    "imports": ["lint-imports", "--no-logo"],
}


def main() -> int:
    """Exit code 0 when all is well, 1 when a check found something."""
    failed: list[str] = []
    for name, (program, *arguments) in CHECKS.items():
        began = time.monotonic()
        done = subprocess.run(
            [str(BIN / program), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        well = done.returncode == 0
        print(f"{name:<16} {'ok' if well else 'FAILED':<8} {time.monotonic() - began:5.1f} s", flush=True)
        if not well:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    if failed:
        print(f"not fine: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
