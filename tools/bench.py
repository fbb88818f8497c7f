"""Run every benchmark there is: each module of ``benchmarks/`` is a program that prints its own ratios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit code 1 when a benchmark failed to run; figures are printed, never judged here."""
    programs = sorted((ROOT / "benchmarks").glob("*.py"))
    failed = 0
    for program in programs:
        print(f"== {program.stem}", flush=True)
        words = [sys.executable, "-m", f"benchmarks.{program.stem}"]
        failed += subprocess.run(words, cwd=ROOT, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
