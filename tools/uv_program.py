"""Where uv is: on the PATH, or in the small environment of its own that ``make setup`` made.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN_UV = ROOT / ".cache" / "uv" / "bin" / "uv"


def find_uv() -> str | None:
    """A uv that answers, else None. (A name on the PATH may be a shim without a program behind it.)"""
    for program in (shutil.which("uv"), str(OWN_UV)):
        if program and Path(program).exists() and answers([program, "--version"]):
            return program
    return None


def answers(command: list[str]) -> bool:
    """True when the command could be started and ended with 0."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
