"""SQLite where "committed" means "on disk".

Promise: when ``Writer.submit(job).result()`` returns, what the job wrote survives a killed process and a power
cut (WAL, synchronous=FULL, fsync honoured by the disk). Rules that make it true:

- one writing connection per file, used by one thread only, which alone checkpoints (SQLite before 3.51.3 can
  drop pages when two connections checkpoint and write at once);
- every other connection is ``query_only`` and never checkpoints;
- jobs that wait together are committed together, each inside its own savepoint: a job that raises takes only
  itself back;
- the pragmas are read back after they are set, a disk that refuses is found at open;
- a job whose SQL is wrong or breaks a constraint is the job's own fault and takes only itself back; any other
  SQLite error (I/O, full, damaged, read-only, locked by a stranger) is the disk's;
- a failure of the disk stops the writer: the failed commit is never tried again on the same handle (the kernel
  may have thrown the pages away) and the handle is not closed either, since closing would checkpoint; all jobs
  that wait and all later ones raise StorageFailed, a restart recovers;
- a future can't be cancelled: what was submitted is committed or fails.

Is not: a pool, an ORM, or a promise about disks that lie about fsync.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from records.errors import Damaged, StorageFailed
from records.files import make_folder, sync_folder

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]

GROUP_LIMIT = 256
"""Most jobs that one commit takes along."""

WAITING_LIMIT = 10_000
"""Most jobs that may wait; beyond it ``submit`` raises instead of growing without bound."""

_PRAGMAS = {
    "busy_timeout": 5000,  # first: the next ones may have to wait for a reader
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "recursive_triggers": 1,  # else REPLACE deletes rows past the triggers that forbid it
    "cell_size_check": 1,
    "wal_autocheckpoint": 256,
    "journal_size_limit": 4 * 1024 * 1024,
}

_JOBS_OWN_FAULT = frozenset(
    (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    )
)
_NO_DATABASE = frozenset((sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT))


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None when the error was raised by Python's own checks."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_damage(error: BaseException) -> bool:
    """Whether an error that SQLite raised says that the file's content is damaged, not that the disk refuses.

    Text that is no UTF-8 comes as a UnicodeDecodeError, or as an error of Python's own without a result code:
    such text was never written.
    """
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.DatabaseError) and primary_code(error) in (*_NO_DATABASE, None)


def open_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection of a file (made when missing), in autocommit mode with explicit BEGIN.

    Raises:
        Damaged: the file is no database. StorageFailed: it cannot be opened or its pragmas do not hold.
    """
    connection: sqlite3.Connection | None = None
    try:
        make_folder(path.parent)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}").fetchall()
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != value:
                raise StorageFailed(f"{path}: PRAGMA {name} is {found!r}, {value!r} is needed")
    except (sqlite3.Error, OSError, StorageFailed, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        if is_damage(error):
            raise Damaged(f"{path} is no SQLite database or is damaged: {error}") from error
        if isinstance(error, StorageFailed):
            raise
        raise StorageFailed(f"cannot open {path}: {error}", hint="check path, rights and free space") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read and never checkpoints.

    On a disk that takes no write (a write-protected copy) it reads what is there, the log included; nobody else
    can be writing there.

    Raises:
        StorageFailed: no such file, or it cannot be opened.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = _reader(path, "mode=ro")
        if _cannot_open(connection):
            connection.close()
            connection = _reader_of_still(path)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise StorageFailed(f"cannot read {path}: {error}", hint="check the path and its rights") from error
    return connection


def _cannot_open(connection: sqlite3.Connection) -> bool:
    """Whether the first look fails for want of a file beside the database; all else the caller meets itself."""
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return primary_code(error) == sqlite3.SQLITE_CANTOPEN
    return False


def _reader(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _reader_of_still(path: Path) -> sqlite3.Connection:
    """SQLite wants to make its index of the log beside the file; here it keeps it in memory, without any lock."""
    if not path.with_name(path.name + "-wal").exists():
        return _reader(path, "mode=ro&immutable=1")
    connection = _reader(path, f"mode=ro&vfs={'win32' if sys.platform == 'win32' else 'unix'}-none")
    connection.execute("PRAGMA locking_mode=exclusive").fetchone()
    return connection


def snapshot(source: Path, target: Path) -> None:
    """A consistent copy by SQLite's backup API (a plain file copy loses what is only in the WAL).

    ``target`` appears whole or not at all, and is on disk when this returns.

    Raises:
        StorageFailed: the source cannot be read or the copy cannot be written.
    """
    fresh = target.with_name(target.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        with closing(open_reader(source)) as reader, closing(sqlite3.connect(fresh)) as copy:
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode=delete").fetchall()  # one file, nothing beside it
        fresh.replace(target)
        sync_folder(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(f"cannot copy {source} to {target}: {error}", hint="check rights and space") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK when the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class _Pending(Generic[T]):
    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # from here on cancel() is refused
        self.value: T | None = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT job")
        try:
            self.value = self.job(connection)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and primary_code(error) not in (*_JOBS_OWN_FAULT, None):
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            self.error = error
        else:
            connection.execute("RELEASE job")

    def settle(self, failed: StorageFailed | None) -> None:
        error = failed or self.error
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]


class Writer:
    """The thread that owns the writing connection of one file.

    ``prepare`` runs once in that thread before the first job (schema, triggers, recovery); what it raises is
    raised by the constructor. ``on_failure`` is called once, in that thread, when the disk failed.
    ``before_commit`` and ``after_commit`` are called in that thread around every COMMIT: before it nothing is
    promised, after it everything is on disk and the futures are not yet done.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None] | None = None,
        on_failure: Callable[[StorageFailed], None] | None = None,
        *,
        before_commit: Callable[[], None] | None = None,
        after_commit: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._prepare = prepare
        self._on_failure = on_failure
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._jobs: queue.Queue[_Pending[object] | None] = queue.Queue()
        self._failed: StorageFailed | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing is queued behind the closing mark
        self._connection: sqlite3.Connection | None = None
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"writer {path.name}", daemon=True)
        self._thread.start()
        ready.result()

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job; its future is done only after the commit that holds its work.

        Raises:
            StorageFailed: the disk failed earlier, the writer is closed, or too many jobs wait.
        """
        with self._gate:
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
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self, ready: Future[None]) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = open_writer(self.path)
            if self._prepare is not None:
                self._prepare(connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            ready.set_exception(error)
            return
        self._connection = connection  # held for the writer's life: after a failure it must not be closed
        ready.set_result(None)
        going_on = True
        while going_on:
            group = [self._jobs.get()]
            while len(group) < GROUP_LIMIT and not self._jobs.empty():
                group.append(self._jobs.get())
            going_on = None not in group
            batch = [pending for pending in group if pending is not None]
            if batch and self._failed is None:
                self._commit(connection, batch)
            for pending in batch:
                pending.settle(self._failed)
        if self._failed is None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[_Pending[object]]) -> None:
        try:
            with transaction(connection):
                for pending in batch:
                    pending.run(connection)
                if self._before_commit is not None:
                    self._before_commit()
            if self._after_commit is not None:
                self._after_commit()
        except (sqlite3.Error, OSError) as error:
            self._fail(
                StorageFailed(
                    f"{self.path}: the disk did not keep a commit: {error}",
                    hint="free space or replace the disk, then start again",
                )
            )
        except BaseException as error:  # whatever it was, nobody may go on as if it were on disk
            self._fail(StorageFailed(f"{self.path}: the writer stopped: {error!r}", hint="start again"))

    def _fail(self, failed: StorageFailed) -> None:
        self._failed = failed
        if self._on_failure is not None:
            with suppress(Exception):  # the futures must still learn of the failure
                self._on_failure(failed)
