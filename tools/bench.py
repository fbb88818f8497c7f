"""Run every benchmark there is: each file of ``benchmarks/`` is a program that prints its own ratios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit code 1 when a benchmark failed to run; figures are printed, never judged here."""
    programs = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    if not programs:
        print("benchmarks/ holds no bench_*.py: nothing was measured")
    failed = 0
    for program in programs:
        print(f"== {program.stem.removeprefix('bench_')}", flush=True)
        failed += subprocess.run([sys.executable, str(program)], cwd=ROOT, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
