"""Files that survive: whole replacement, folders that are on disk, one process at a time.

POSIX and Windows differ only here.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import IO

from records.errors import Refused, StorageFailed


def sync_folder(folder: Path) -> None:
    """Make a new, renamed or removed name in ``folder`` survive a power cut (Windows does so by itself)."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, on disk when this returns."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file as a whole: after a crash it holds the old bytes or the new ones.

    Without ``sync`` that holds for a killed process only; after a power cut the file may also be empty.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if sync:
        sync_folder(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """``replace_file`` for a file that only its owner can read; so is every step on the way."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    replace_file(path, content)


class InstanceLock:
    """Held by the one process that may write in a folder; the system frees it when that process dies.

    Raises:
        Refused: another process holds it. PermissionError: it may not be made.
        StorageFailed: the disk takes no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            make_folder(path.parent)
            self._file: IO[bytes] | None = path.open("a+b")
        except PermissionError:
            raise
        except OSError as error:
            raise StorageFailed(
                f"cannot make {path}: {error.strerror}", hint="check the disk and its room"
            ) from error
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise Refused(
                f"{path.parent} is in use by another running process",
                hint="stop the other one, or give this one a folder of its own",
            ) from None

    def release(self) -> None:
        """Give it up. Safe to call twice."""
        if self._file is not None:
            self._file.close()  # closing frees the lock
            self._file = None


def is_held(path: Path) -> bool:
    """Whether a running process holds the lock of this file, which is left as it is.

    Where the file may only be read it is tried all the same: a write-protected copy is held by nobody.
    """
    try:
        file: IO[bytes] = path.open("r+b")
    except FileNotFoundError:
        return False
    except OSError:
        try:
            file = path.open("rb")
        except OSError:
            return False  # who cannot even read it can tell nothing of it
    with file:
        try:
            _lock(file)
        except OSError as error:
            return error.errno in _HELD
    return False


_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
"""What the systems say of a lock that another process has."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
