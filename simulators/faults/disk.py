"""A small ext4 disk in a file, which can lose its power: what was not on disk then is gone.

``cut`` is the kernel's own shutdown call without flushing the log (what filesystem tests use for a power cut):
from then on nothing reaches the disk. After ``remount`` the journal is replayed, as after a real cut. Needs root.

A sync that is under way in that moment may be told as done though it is lost (Linux 6.18: with a bare program that
writes and syncs in 13 of 150 cuts). A real cut ends who would hear that, so here they are stopped first.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from records.errors import Unreachable

SHUTDOWN = 0x8004587D
WITHOUT_LOG_FLUSH = 2
PROGRAMS = ("mkfs.ext4", "mount", "umount")
BLOCK = "4096"
"""As on any volume of a plant; for one as small as ours mkfs would take less (see ``edge_agent.space``)."""


class LoopDisk:
    """``folder`` is where it is mounted; ``image`` is the file that holds it."""

    def __init__(self, image: Path, folder: Path, megabytes: int) -> None:
        self.folder, self._image = folder, image
        self._mounted = False
        folder.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", BLOCK, str(image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.folder))
        self._mounted = True

    def cut(self, *processes: int) -> None:
        """The power goes, and with it these processes: they are stopped for good, and are to be killed."""
        import fcntl  # POSIX alone has it, and only this needs it

        for each in processes:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(handle)

    def remount(self) -> None:
        """Power is back; nothing may have files open there."""
        self.unmount()
        self.mount()

    def unmount(self) -> None:
        if self._mounted:
            _run("umount", str(self.folder))
            self._mounted = False

    def fill(self) -> Path:
        """A neighbour takes all that is free, and once more what became free; gives its file."""
        file = self.folder / "neighbour"
        with file.open("ab", buffering=0) as neighbour:
            for size in (1 << 16, 1 << 12, 1 << 9):
                try:
                    while True:
                        neighbour.write(b"\xaa" * size)
                except OSError:
                    continue
        return file


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise Unreachable(f"{words[0]} {words[-1]}: {done.stderr.strip() or done.returncode}")
