"""SQLite where "committed" means "on disk".

Promise: when ``Writer.submit(job).result()`` returns, what the job wrote survives a killed process and a power
cut (WAL, synchronous=FULL, fsync honoured by the disk). Rules that make it true:

- one writing connection per file, used by one thread only, which alone checkpoints (SQLite before 3.51.3 can
  drop pages when two connections checkpoint and write at once);
- every other connection is ``query_only`` and never checkpoints;
- jobs that wait together are committed together, each inside its own savepoint: a job that raises takes only
  itself back;
- the pragmas are read back after they are set, a disk that refuses is found at open;
- an I/O error, a full or damaged file stops the writer: the failed commit is never tried again on the same
  handle (the kernel may have thrown the pages away), later jobs raise StorageFailed, a restart recovers.

Is not: a pool, an ORM, or a promise about disks that lie about fsync.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from records.errors import Damaged, StorageFailed

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]

GROUP_LIMIT = 256
"""Most jobs that one commit takes along."""

WAITING_LIMIT = 10_000
"""Most jobs that may wait; beyond it ``submit`` raises instead of growing without bound."""

_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "wal_autocheckpoint": 256,
    "journal_size_limit": 4 * 1024 * 1024,
    "busy_timeout": 5000,
}


def open_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection of a file (made when missing), in autocommit mode with explicit BEGIN.

    Raises:
        Damaged: the file is no database. StorageFailed: it cannot be opened or its pragmas do not hold.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}").fetchall()
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != value:
                raise StorageFailed(f"{path}: PRAGMA {name} is {found!r}, {value!r} is needed")
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error) or "malformed" in str(error):
            raise Damaged(f"{path} is no SQLite database or is damaged: {error}") from error
        raise StorageFailed(f"cannot open {path}: {error}", hint="check path, rights and free space") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read and never checkpoints.

    Raises:
        StorageFailed: no such file, or it cannot be opened.
    """
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        connection.execute("PRAGMA query_only=1")
        connection.execute("PRAGMA wal_autocheckpoint=0")
    except sqlite3.Error as error:
        raise StorageFailed(f"cannot read {path}: {error}", hint="check the path") from error
    return connection


def snapshot(source: Path, target: Path) -> None:
    """A consistent copy by SQLite's backup API (a plain file copy loses what is only in the WAL)."""
    reader, copy = open_reader(source), sqlite3.connect(target)
    with copy:
        reader.backup(copy)
    reader.close()
    copy.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK when the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class _Pending(Generic[T]):
    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.future: Future[T] = Future()
        self.value: T | None = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT job")
        try:
            self.value = self.job(connection)
        except sqlite3.IntegrityError as error:
            self._take_back(connection, error)
        except sqlite3.Error:
            raise
        except Exception as error:
            self._take_back(connection, error)
        else:
            connection.execute("RELEASE job")

    def _take_back(self, connection: sqlite3.Connection, error: Exception) -> None:
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        self.error = error

    def settle(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]


class Writer:
    """The thread that owns the writing connection of one file.

    ``prepare`` runs once in that thread before the first job (schema, triggers, recovery); what it raises is
    raised by the constructor. ``on_failure`` is called once, in that thread, when the disk failed.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None] | None = None,
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        self.path = path
        self._prepare = prepare
        self._on_failure = on_failure
        self._jobs: queue.Queue[_Pending[object] | None] = queue.Queue()
        self._failed: StorageFailed | None = None
        self._closed = False
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"writer {path.name}", daemon=True)
        self._thread.start()
        ready.result()

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job; its future is done only after the commit that holds its work.

        Raises:
            StorageFailed: the disk failed earlier, the writer is closed, or too many jobs wait.
        """
        if self._failed is not None:
            raise self._failed
        if self._closed:
            raise StorageFailed(f"{self.path} is closed")
        if self._jobs.qsize() >= WAITING_LIMIT:
            raise StorageFailed(f"{self.path}: {WAITING_LIMIT} writes wait", hint="the disk is too slow")
        pending = _Pending(job)
        self._jobs.put(pending)  # type: ignore[arg-type]
        return pending.future

    def close(self) -> None:
        """Finish what waits, checkpoint, close. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self, ready: Future[None]) -> None:
        try:
            connection = open_writer(self.path)
            if self._prepare is not None:
                self._prepare(connection)
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        open_ = True
        while open_:
            group = [self._jobs.get()]
            while len(group) < GROUP_LIMIT and not self._jobs.empty():
                group.append(self._jobs.get())
            open_ = None not in group
            batch = [pending for pending in group if pending is not None]
            if self._failed is None:
                self._commit(connection, batch)
            for pending in batch:
                if self._failed is not None:
                    pending.future.set_exception(self._failed)
                else:
                    pending.settle()
        if self._failed is None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[_Pending[object]]) -> None:
        if not batch:
            return
        try:
            with transaction(connection):
                for pending in batch:
                    pending.run(connection)
        except sqlite3.Error as error:
            self._failed = StorageFailed(
                f"{self.path}: the disk did not keep a commit: {error}",
                hint="free space or replace the disk, then start again",
            )
            if self._on_failure is not None:
                self._on_failure(self._failed)
