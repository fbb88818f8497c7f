"""What the faults of a real machine need: root for volumes, strace for system calls that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest


class Volume(Protocol):
    """Mounts a small volume of its own: ``volume("8m")``, in another folder than the test's where one is named."""

    def __call__(self, size: str, within: Path | None = None) -> Path: ...


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux, to mount a volume")
    mounted: list[Path] = []

    def mount(size: str, within: Path | None = None) -> Path:
        folder = (within or tmp_path) / f"volume-{len(mounted)}"
        folder.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "lotkeeper-test", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            pytest.skip(f"needs root that may mount: {made.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def strace(tmp_path: Path) -> list[str]:
    """The words before a command whose system calls are to fail; the trace goes to ``strace.log``."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("needs strace")
    tried = subprocess.run([program, "-o", os.devnull, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("needs strace that may trace")
    return [program, "-f", "-qq", "-o", str(tmp_path / "strace.log")]


def fill(path: Path) -> None:
    """A neighbour's file takes all that is free on a volume."""
    block = bytes(64 * 1024)
    with path.open("ab", buffering=0) as file:
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
