"""A cut of the power, as the fault loops make it: what a program was told is on the disk is there afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from records.errors import Unreachable
from simulators.faults.dice import Dice
from simulators.faults.disk import LoopDisk

pytestmark = pytest.mark.timeout(240)
CUTS = 40
PIECE = 12_288
"""More than one page: the file grows with each, so that the disk's own log has a part in each sync."""

WRITER = f"""
import os, sys
told, file = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for path in sys.argv[1:])
number = 0
while True:
    number += 1
    os.pwrite(file, number.to_bytes(8, 'big') * {PIECE // 8}, (number - 1) * {PIECE})
    os.fdatasync(file)
    os.pwrite(told, b'%d' % number, 0)
"""


@pytest.fixture
def disk(tmp_path: Path) -> LoopDisk:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux, to mount a volume")
    try:
        return LoopDisk(tmp_path / "disk.img", tmp_path / "disk", 64)
    except Unreachable as error:
        pytest.skip(f"needs root that may mount: {error}")


def test_no_sync_is_told_as_done_that_the_cut_took(tmp_path: Path, disk: LoopDisk) -> None:
    """Bug: a program that lived on for a moment heard so of the sync that was under way: central confirmed what it
    had lost, and the plant waited for it in vain.
    """
    dice, told, file = Dice("power-cut", 1), tmp_path / "told", disk.folder / "file"
    try:
        for _ in range(CUTS):
            with subprocess.Popen([sys.executable, "-c", WRITER, str(told), str(file)]) as writer:
                threading.Event().wait(dice.between(0.1, 0.3))  # the moment is the dice's choice
                disk.cut(writer.pid)
                writer.kill()
            disk.remount()
            last = int(told.read_bytes() or b"0")
            held = file.read_bytes() if file.exists() else b""
            for number in range(1, last + 1):
                assert held[(number - 1) * PIECE : number * PIECE] == number.to_bytes(8, "big") * (PIECE // 8), (
                    f"{number} of {last} were told as on the disk"
                )
    finally:
        disk.unmount()
