"""What one connection is given to do by many threads, and how the jobs that wait together are done.

Each job is held in a savepoint: what it raises takes only itself back, unless it is the disk's. Jobs of one kind
cost less together: they are tried as one, and each by itself when that raised.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from records.errors import LotkeeperError

T = TypeVar("T")

A = TypeVar("A")

Job = Callable[[sqlite3.Connection], T]
Kind = Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]]
"""What many jobs do at once: from what each was given, in order, what each gives."""

_JOBS_OWN_FAULT = frozenset(
    (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    )
)


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None when the error was raised by Python's own checks."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@dataclass(frozen=True, slots=True)
class Again(Generic[T]):
    """What a step returns to be called once more, in a transaction of its own; it is given ``so_far`` then."""

    so_far: T


Step = Callable[[sqlite3.Connection, T | None], T | Again[T | None]]
"""One transaction of a job of several: from what the one before gave (None: it is the first)."""


class _Promise(Future[T]):
    """What was submitted is committed or fails."""

    def cancel(self) -> bool:
        return False


class Promised(Generic[T]):
    """A job whose future is settled once, after the commit that holds its work. It can't be cancelled."""

    def __init__(self) -> None:
        self.future: Future[T] = _Promise()
        self.value: T | Again[T | None] | None = None
        self.error: Exception | None = None

    def settle(self, failed: LotkeeperError | None) -> None:
        """With what the job gave or raised; ``failed`` comes first: then nothing was committed."""
        error = failed or self.error
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]


class Refusing:
    """Why jobs are refused, for who watches. A full disk takes small ones between the large ones that it refuses:
    so it is told of until ``LASTS_S`` have gone by without any; all else until something is committed.
    """

    LASTS_S = 65.0
    """An agent tries again after a minute at the latest."""

    def __init__(self) -> None:
        self._why: LotkeeperError | None = None
        self._until_s = 0.0
        self._committed = False

    def met(self, why: LotkeeperError, *, lasting: bool) -> None:
        self._why, self._committed = why, False
        self._until_s = time.monotonic() + (self.LASTS_S if lasting else 0.0)

    def committed(self) -> None:
        self._committed = True

    @property
    def why(self) -> LotkeeperError | None:
        return None if self._committed and time.monotonic() >= self._until_s else self._why


class Pending(Promised[T]):
    """A job that waits for its commit. It holds what it was given and never itself: that would keep all of it,
    megabytes of bodies, until the garbage collector comes by.
    """

    kind: Kind[Any, T] | None = None

    def __init__(self, weight: int) -> None:
        super().__init__()
        self.weight = weight

    def work(self, connection: sqlite3.Connection) -> T | Again[T | None]:
        raise NotImplementedError


class Single(Pending[T]):
    def __init__(self, job: Job[T], weight: int) -> None:
        super().__init__(weight)
        self._job = job

    def work(self, connection: sqlite3.Connection) -> T:
        return self._job(connection)


class Steps(Pending[T]):
    """A job of several transactions. What a step gave counts once it is on disk, not before: one that was taken
    back and is tried again is given what it was given the first time.
    """

    def __init__(self, step: Step[T]) -> None:
        super().__init__(0)
        self._step = step
        self._so_far: T | None = None

    def work(self, connection: sqlite3.Connection) -> T | Again[T | None]:
        return self._step(connection, self._so_far)

    def committed(self) -> bool:
        """A step is on disk: whether another one follows."""
        if self.error is not None or not isinstance(self.value, Again):
            return False
        self._so_far = self.value.so_far
        return True


class Alike(Pending[T]):
    """What a job of a kind was given."""

    def __init__(self, kind: Kind[A, T], given: A, weight: int) -> None:
        super().__init__(weight)
        self.kind, self.given = kind, given

    def work(self, connection: sqlite3.Connection) -> T:
        return self.kind(connection, (self.given,))[0]  # type: ignore[misc]


def _run(connection: sqlite3.Connection, pending: Pending[Any]) -> None:
    """Do one job; what it raises takes only itself back, unless it is the disk's."""
    try:
        pending.value, pending.error = _held(connection, pending.work), None
    except Exception as error:
        if _is_of_disk(error):
            raise
        pending.error = error


def _run_alike(connection: sqlite3.Connection, kind: Kind[Any, Any], alike: Sequence[Pending[Any]]) -> None:
    """Do jobs of one kind as one, or each by itself where that raises."""
    given = [pending.given for pending in alike if isinstance(pending, Alike)]
    try:
        values = _held(connection, lambda c: kind(c, given))
    except Exception as error:
        if _is_of_disk(error):
            raise
        for pending in alike:
            _run(connection, pending)
    else:
        for pending, value in zip(alike, values, strict=True):
            pending.value, pending.error = value, None


def run_all(connection: sqlite3.Connection, kind: Kind[Any, Any] | None, alike: Sequence[Pending[Any]]) -> None:
    if kind is not None and len(alike) > 1:
        _run_alike(connection, kind, alike)
        return
    for pending in alike:
        _run(connection, pending)


def _held(connection: sqlite3.Connection, job: Job[T]) -> T:
    """Do a job within a savepoint."""
    connection.execute("SAVEPOINT job")
    try:
        value = job(connection)
    except Exception as error:
        if not _is_of_disk(error):
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        raise
    connection.execute("RELEASE job")
    return value


def _is_of_disk(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and primary_code(error) not in (*_JOBS_OWN_FAULT, None)
