"""Space is a budget: what the buffer's files may take together, and the ballast that is there for the worst hour.

A full disk cannot free itself: SQLite can neither delete nor bring its log into the file then. So a file of real
bytes, the ballast, lies beside the databases. When a commit finds the volume full the ballast goes, which is room
for what the line has under way and for saying so; when the volume has room again the ballast is made again.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.sizes import GIB, MIB, size
from records.durable import LOG_BYTES
from records.errors import ConfigurationError

STREAMS = ("records", "telemetry")
RESERVE = 8 * MIB
"""What a file may grow beyond its cap: the cap is looked at before a commit, not inside it."""
BALLAST = "ballast"
RECORDS_MOST, RECORDS_SHARE = 20 * GIB, 0.5
TELEMETRY_MOST, TELEMETRY_SHARE = 5 * GIB, 0.125
"""Where the line file names no cap: this, or this share of the room that there is, whichever is less."""
LEAST = 8 * MIB
"""A smaller cap is of no use to anybody."""
LOW_ROOM = 4 * MIB
"""With less room than this on the volume nothing new is begun."""
PAGE = 4096
"""Bytes that SQLite claims of a file at once."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes: the caps of both files, and the ballast."""

    records: int
    telemetry: int
    ballast: int

    @property
    def total(self) -> int:
        """All that may be taken at the worst, with logs and reserves."""
        return self.records + self.telemetry + self.ballast + len(STREAMS) * (LOG_BYTES + RESERVE)


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of one volume: all of it, what is free, and what the buffer's own files take of the rest."""

    total: int
    free: int
    held: int

    @property
    def available(self) -> int:
        """What the buffer can have."""
        return self.free + self.held


def room(folder: Path) -> Room:
    """The volume that holds a folder, or will hold it.

    Raises:
        OSError: it cannot be asked.
    """
    there = _existing(folder)
    usage = shutil.disk_usage(there)
    held = 0
    if there == folder.absolute():
        for path in folder.iterdir():  # what was set aside, too: it was the buffer's once
            if path.name.partition(".")[0] in STREAMS or path.name == BALLAST:
                with suppress(OSError):
                    held += path.stat().st_size
    return Room(usage.total, usage.free, held)


def _existing(folder: Path) -> Path:
    return next(f for f in (folder.absolute(), *folder.absolute().parents) if f.exists())


def budget(there: Room, records: int | None, telemetry: int | None, ballast: int) -> Budget:
    """The caps as the line file names them, else as the volume allows."""
    open_to = max(there.available - ballast - len(STREAMS) * (LOG_BYTES + RESERVE), 0)
    if telemetry is None:
        telemetry = min(TELEMETRY_MOST, max(int(open_to * TELEMETRY_SHARE), LEAST))
    if records is None:
        left = max(open_to - telemetry, 0)
        records = min(RECORDS_MOST, max(int(left * RECORDS_SHARE), LEAST))
    return Budget(records, telemetry, ballast)


def misfit(there: Room, wanted: Budget, *, begun: bool) -> str | None:
    """Why the caps do not fit the volume, with the numbers; None when they do.

    A buffer that has ``begun`` is measured against the whole volume: what others have filled meanwhile may go
    again, and the line must not stand still for the fear of it.
    """
    room_ = there.total if begun else there.available
    if wanted.total <= room_:
        return None
    return f"{needs(wanted)}; {has(there)}"


def tight(there: Room, wanted: Budget) -> str | None:
    """As ``misfit``, for what is there right now."""
    return None if wanted.total <= there.available else f"{needs(wanted)}; {has(there)}"


def small_blocks(folder: Path) -> str | None:
    """What is to be known of a volume whose blocks are smaller than SQLite's pages; None of any other.

    SQLite claims what it shares between processes page by page, by a byte in each. With smaller blocks the rest of
    such a page has no room yet, and where a full disk gives none, the system ends the process (SIGBUS).
    """
    blocks = os.statvfs(_existing(folder)).f_frsize if hasattr(os, "statvfs") else PAGE
    if blocks >= PAGE:
        return None
    return (
        f"the volume of {folder} has blocks of {blocks} bytes: full, it may end the agent by signal 7, which "
        f"loses nothing but gives no reason; make its file system with blocks of {PAGE} (mkfs.ext4 -b {PAGE})"
    )


def needs(wanted: Budget) -> str:
    """What the caps come to."""
    logs = len(STREAMS) * (LOG_BYTES + RESERVE)
    return (
        f"it may take {size(wanted.total)} (records {size(wanted.records)}, telemetry "
        f"{size(wanted.telemetry)}, logs and reserve {size(logs)}, ballast {size(wanted.ballast)})"
    )


def has(there: Room) -> str:
    """What the volume has."""
    return (
        f"its volume has {size(there.total)}, of which {size(there.free)} are free and {size(there.held)} are the "
        "buffer's already"
    )


def plan(folder: Path, records: int | None, telemetry: int | None, ballast: int) -> Budget:
    """The budget of a buffer that is about to be opened.

    Raises:
        ConfigurationError: it does not fit the volume; names the numbers.
    """
    there = room(folder)
    wanted = budget(there, records, telemetry, ballast)
    problem = misfit(there, wanted, begun=(folder / "records.db").exists())
    if problem is not None:
        raise ConfigurationError(
            f"the buffer {folder} does not fit its volume: {problem}",
            hint="lower buffer.records_max or buffer.telemetry_max, free space, or name a larger disk",
        )
    return wanted


class Space:
    """The volume of one buffer folder while an agent works on it, with its ballast. From any thread."""

    def __init__(self, folder: Path, ballast: int) -> None:
        self.folder, self._size = folder, ballast
        self._path = folder / BALLAST
        self._guard = threading.Lock()
        self.released = False
        """Whether it was given up and not made again."""

    @property
    def whole(self) -> bool:
        """Whether the ballast is there."""
        if self._size == 0:
            return True
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def free(self) -> int:
        """Bytes that are free on the volume."""
        return shutil.disk_usage(_existing(self.folder)).free

    def release(self) -> bool:
        """Give the ballast up; whether there was any."""
        with self._guard:
            try:
                had = self._path.stat().st_size > 0
                self._path.unlink()
            except OSError:
                return False
            self.released = True
            return had

    def restore(self) -> bool:
        """Make the ballast where it is missing and the volume has twice its room; whether it stands."""
        with self._guard:
            if self.whole:
                self.released = False
                return True
            try:
                if self.free() < 2 * self._size + LOW_ROOM:
                    return False
                with self._path.open("wb") as file:
                    _allocate(file.fileno(), self._size)
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    self._path.unlink()
                return False
            self.released = False
            return True


def _allocate(handle: int, count: int) -> None:
    """Real bytes, never a hole that takes no space."""
    if sys.platform != "win32" and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, count)
        return
    block = b"\xa5" * MIB
    while count > 0:
        count -= os.write(handle, block[: min(count, MIB)])
