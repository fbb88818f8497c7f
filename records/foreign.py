"""Errors of the system and of libraries as ours, whose kind decides exit codes and what programs are told."""

from __future__ import annotations

import errno

from records.errors import Lacking, LotkeeperError, NoRoom, Refused, StorageFailed, Unknown, Unreachable
from records.process import lacks

FULL, FAILING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), (errno.EIO,)
"""What a full or failing disk says, wherever it was met: not what is wrong with a path or its rights."""
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


def of_path(error: OSError, message: str, *, hint: str) -> LotkeeperError:
    """What the system said of a file or folder that somebody named, with our words."""
    kinds = {NoRoom: FULL, StorageFailed: FAILING, Unknown: NOT_THERE, Refused: NO_RIGHT}
    kind = next((kind for kind, codes in kinds.items() if error.errno in codes), Unreachable)
    return kind(message, hint=hint)


def ours(error: Exception) -> LotkeeperError:
    """An error of any kind as one of ours, with words for a person."""
    if isinstance(error, LotkeeperError):
        return error
    want = lacks(error)
    if want is not None:
        return Lacking(want)
    if isinstance(error, OSError):
        return of_path(error, str(error), hint="check the path, its rights and free space")
    return LotkeeperError(f"{type(error).__name__}: {error}", hint="a fault of Lotkeeper; --debug shows where")
