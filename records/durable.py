"""SQLite where "committed" means "on disk".

Promise: when ``Writer.submit(job).result()`` returns, what the job wrote survives a killed process and a power
cut (WAL, synchronous=FULL, fsync honoured by the disk). Rules that make it true:

- one writing connection per file, used by one thread only, which alone checkpoints (SQLite before 3.51.3 can
  drop pages when two connections checkpoint and write at once);
- every other connection is ``query_only`` and never checkpoints;
- jobs that wait together are committed together, each inside its own savepoint: a job that raises takes only
  itself back. Jobs of one kind are first tried as one, and each by itself only when that raised;
- the pragmas are read back after they are set, a disk that refuses is found at open;
- a job whose SQL is wrong or breaks a constraint is the job's own fault and takes only itself back; any other
  SQLite error (I/O, full, damaged, read-only, locked by a stranger) is the disk's;
- a full disk is the one failure that is survived: the commit is taken back whole, ``on_full`` may free space for a
  second try, and then its jobs raise NoRoom. Nothing was promised, and the next commit may succeed;
- the log is brought into the file by a checkpoint of our own when it has grown, not by SQLite's automatic one,
  which keeps to itself that a write or fsync failed; one that readers never leave is begun anew with force;
- any other failure of the disk stops the writer: the failed commit is never tried again on the same handle (the
  kernel may have thrown the pages away) and the handle is not closed either, since closing would checkpoint; all
  jobs that wait and all later ones raise StorageFailed, a restart recovers;
- a queue that is too long is no failing disk: what comes then raises Busy, and the writer goes on;
- a future can't be cancelled: what was submitted is committed or fails.

Is not: a pool, an ORM, or a promise about disks that lie about fsync.
"""

from __future__ import annotations

import queue
import shutil
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from records.errors import Busy, Damaged, LotkeeperError, NoRoom, StorageFailed
from records.files import make_folder, sync_folder
from records.jobs import A, Alike, Job, Kind, Pending, Refusing, Single, Step, Steps, primary_code, run_all

T = TypeVar("T")

GROUP_LIMIT = 256
"""Most jobs that one commit takes along."""

GROUP_BYTES = 4 * 1024 * 1024
"""A commit takes no further job along once its jobs weigh this much."""

PAGE_BYTES = 4096
"""Of a new file, where nothing else is asked for: right for tables of short rows."""

CHECKPOINT_BYTES = 1024 * 1024
"""About so much is in the log when it is brought into the file."""

RESTART_BYTES = 4 * CHECKPOINT_BYTES
"""A log of this size is begun anew with force, for which readers must have left it.

Where always one reader or another is in the log, SQLite by itself never begins it anew, and it grows without end
(sqlite.org/wal.html, "checkpoint starvation"; 20 agents that drained made 0.9 GB within a minute at central).
"""

BYTES_PER_MS = 1024 * 1024
"""It is waited for readers the longer the larger the log is: a millisecond for so much. Where one stays (a backup,
an export), it is tried again when the log has grown by a quarter."""

LOG_BYTES = 16 * 1024 * 1024
"""What the log may take beside the file at the worst: a group, its largest job, and readers that hold it."""

_MOST_PAGES = 4_294_967_294
"""No cap: SQLite's own limit."""
_GROUP_PAGES = 8
"""Pages that any commit writes."""

WAITING_LIMIT = 10_000
"""Most jobs that may wait; beyond it a job is refused instead of growing without bound."""

_PRAGMAS = {
    "busy_timeout": 5000,  # first: the next ones may have to wait for a reader
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "recursive_triggers": 1,  # else REPLACE deletes rows past the triggers that forbid it
    "cell_size_check": 1,
    "wal_autocheckpoint": CHECKPOINT_BYTES // PAGE_BYTES,
    "journal_size_limit": 4 * 1024 * 1024,
}

_NO_DATABASE = frozenset((sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT))


def is_damage(error: BaseException) -> bool:
    """Whether an error that SQLite raised says that the file's content is damaged, not that the disk refuses.

    Text that is no UTF-8 comes as a UnicodeDecodeError, or as an error of Python's own without a result code:
    such text was never written.
    """
    if isinstance(error, UnicodeDecodeError):
        return True
    return isinstance(error, sqlite3.DatabaseError) and primary_code(error) in (*_NO_DATABASE, None)


def open_writer(path: Path, page_bytes: int = PAGE_BYTES) -> sqlite3.Connection:
    """The one writing connection of a file (made when missing, with pages of ``page_bytes``), in autocommit mode
    with explicit BEGIN.

    Raises:
        Damaged: the file is no database. StorageFailed: it cannot be opened or its pragmas do not hold.
    """
    connection: sqlite3.Connection | None = None
    try:
        make_folder(path.parent)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA page_size={page_bytes}").fetchall()  # a file that is there keeps its own
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
        StorageFailed: the source cannot be read or the copy cannot be written. NoRoom: for the copy.
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
        kind = NoRoom if primary_code(error) == sqlite3.SQLITE_FULL else StorageFailed
        raise kind(f"cannot copy {source} to {target}: {error}", hint="check rights and space") from error


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


class Writer:
    """The thread that owns the writing connection of one file.

    ``prepare`` runs once in that thread before the first job (schema, triggers, recovery); what it raises is
    raised by the constructor. ``on_failure`` is called once, in that thread, when the disk failed.
    ``before_commit`` and ``after_commit`` are called in that thread around every COMMIT: before it nothing is
    promised and the connection holds what will be, after it everything is on disk and the futures are not yet
    done. ``max_bytes`` is SQLite's own cap of the file, which jobs of ``submit_steps`` may pass. ``page_bytes``:
    of the file's pages, if it is new. ``on_full`` is called in that thread when the volume is full, and tells
    whether it has freed something.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None] | None = None,
        on_failure: Callable[[StorageFailed], None] | None = None,
        *,
        before_commit: Callable[[sqlite3.Connection], None] | None = None,
        after_commit: Callable[[], None] | None = None,
        max_bytes: int | None = None,
        page_bytes: int = PAGE_BYTES,
        on_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._prepare = prepare
        self._on_failure = on_failure
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._max_bytes = max_bytes
        self._page_bytes = page_bytes
        self._on_full = on_full
        self._log_bytes = 0
        self._restart_from = RESTART_BYTES
        self._jobs: queue.SimpleQueue[Pending[object] | None] = queue.SimpleQueue()
        self._failed: StorageFailed | None = None
        self._refusing = Refusing()
        self._closed = False
        self._began_s: float | None = None
        self._gate = threading.Lock()  # nothing is queued behind the closing mark
        self._connection: sqlite3.Connection | None = None
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"writer {path.name}", daemon=True)
        self._thread.start()
        ready.result()

    def submit(self, job: Job[T], weight: int = 0) -> Future[T]:
        """Queue a job that writes about ``weight`` bytes; its future is done only after the commit of its work.

        Raises:
            StorageFailed: the disk failed earlier, or the writer is closed.
            The future raises NoRoom when the disk is full or the file at its cap, Busy when too many jobs wait:
            nothing was stored then.
        """
        return self._queue(Single(job, weight))

    def submit_alike(self, kind: Kind[A, T], given: A, weight: int = 0) -> Future[T]:
        """As ``submit``, for jobs of a kind that cost less together: ``kind`` is called with what all of them that
        wait one behind the other were given, and when that raises, with that of each by itself.
        """
        return self._queue(Alike(kind, given, weight))

    def submit_steps(self, step: Step[T]) -> Future[T]:
        """As ``submit``, for what is too long for one transaction: called until it returns something else than
        ``Again``, each time in a transaction of its own and with no other job between. A crash ends it between two
        steps, and so does a full disk, so what it does must be able to go on from there later.
        """
        return self._queue(Steps(step))

    def _queue(self, pending: Pending[T]) -> Future[T]:
        with self._gate:
            if self._failed is not None:
                raise self._failed
            if self._closed:
                raise StorageFailed(f"{self.path} is closed")
            busy = self._jobs.qsize() >= WAITING_LIMIT
            if not busy:
                self._jobs.put(pending)  # type: ignore[arg-type]
        if busy:  # outside the gate: whoever waits for it may come back here
            pending.settle(Busy(f"{self.path}: {WAITING_LIMIT} writes wait", hint="the disk is too slow"))
        return pending.future

    @property
    def under_way_s(self) -> float:
        """How long the writer has been at what it is doing; 0: it waits for work."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    @property
    def refusing(self) -> LotkeeperError | None:
        """Why jobs are refused of late; None: they are not."""
        return self._refusing.why

    def close(self) -> None:
        """Finish what waits, checkpoint, close. Safe to call twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    # -- in the writer's thread ------------------------------------------------------------------------------

    def _run(self, ready: Future[None]) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = open_writer(self.path, self._page_bytes)
            self._page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
            if self._prepare is not None:
                self._prepare(connection)
            connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
            self._cap(connection, self._max_bytes)
        except BaseException as error:
            if connection is not None:
                connection.close()
            ready.set_exception(error)
            return
        self._connection = connection  # held for the writer's life: after a failure it must not be closed
        self._log_bytes = _size_of_log(self.path)  # of who was killed before; else it grows with each kill
        ready.set_result(None)
        waiting: deque[Pending[object] | None] = deque()
        while True:
            waiting.append(self._jobs.get())
            while not self._jobs.empty():
                waiting.append(self._jobs.get())
            while waiting:
                if waiting[0] is None:
                    if self._failed is None:
                        connection.close()
                    return
                self._began_s = time.monotonic()
                self._work(connection, _group(waiting))  # what was written goes with its answers: no name for it
                if self._failed is None:
                    self._tidy(connection)
                self._began_s = None

    def _work(self, connection: sqlite3.Connection, group: list[Pending[object]]) -> None:
        refused: LotkeeperError | None = self._failed
        if refused is None and isinstance(group[0], Steps):
            refused = self._take_steps(connection, group[0])
        elif refused is None:
            refused = self._commit(connection, group)
        if refused is not None:
            self._refusing.met(refused, lasting=True)
        elif self._failed is None:
            self._refusing.committed()
        for pending in group:
            pending.settle(self._failed or refused)

    def _take_steps(self, connection: sqlite3.Connection, job: Steps[object]) -> LotkeeperError | None:
        self._cap(connection, None)
        refused = self._commit(connection, [job])
        while self._failed is None and refused is None and job.committed():
            self._log_bytes = CHECKPOINT_BYTES
            self._tidy(connection)
            refused = self._failed or self._commit(connection, [job])
        if self._failed is None:
            self._cap(connection, self._max_bytes)
        return refused

    def _cap(self, connection: sqlite3.Connection, most: int | None) -> None:
        pages = _MOST_PAGES if most is None else max(most // self._page_bytes, 1)
        connection.execute(f"PRAGMA max_page_count={pages}").fetchall()

    def _commit(self, connection: sqlite3.Connection, batch: list[Pending[object]]) -> LotkeeperError | None:
        """Why all of it was refused, None when it is on disk; a disk that failed is in ``_failed``."""
        for last in (False, True):
            try:
                with transaction(connection):
                    for kind, alike in groupby(batch, key=attrgetter("kind")):
                        run_all(connection, kind, list(alike))
                    if self._before_commit is not None:
                        self._before_commit(connection)
                self._log_bytes += _GROUP_PAGES * self._page_bytes + sum(pending.weight for pending in batch)
                if self._after_commit is not None:
                    self._after_commit()
                return None
            except (sqlite3.Error, OSError) as error:
                if primary_code(error) != sqlite3.SQLITE_FULL:
                    self._fail(self._not_kept(error))
                    return None
                if self._at_cap():
                    return NoRoom(f"{self.path} is at its cap: nothing was stored", hint="give it more space")
                if last or not self._on_full():
                    return NoRoom(
                        f"{self.path}: the disk is full: nothing was stored",
                        hint="free space on the volume",
                    )
            except BaseException as error:  # whatever it was, nobody may go on as if it were on disk
                self._fail(StorageFailed(f"{self.path}: the writer stopped: {error!r}", hint="start again"))
                return None
        return None

    def _at_cap(self) -> bool:
        """Whether SQLite's cap was meant and not the volume: then the volume has room."""
        return shutil.disk_usage(self.path.parent).free > LOG_BYTES

    def _tidy(self, connection: sqlite3.Connection) -> None:
        """Bring the log into the file when it has grown: what the disk says to that must be heard."""
        if self._log_bytes < CHECKPOINT_BYTES:
            return
        self._log_bytes = CHECKPOINT_BYTES // 2  # where it cannot be done now: after as much again
        try:
            _, pages, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if (size := pages * self._page_bytes) >= self._restart_from:
                busy, pages, done = self._restart_log(connection, size // BYTES_PER_MS)
                self._restart_from = RESTART_BYTES if not busy else size + size // 4  # a reader stays for long
            self._log_bytes = min(max(pages - done, 0) * self._page_bytes, CHECKPOINT_BYTES // 2)
        except (sqlite3.Error, OSError) as error:
            if primary_code(error) != sqlite3.SQLITE_FULL:
                self._fail(self._not_kept(error))
            else:
                self._on_full()

    @staticmethod
    def _restart_log(connection: sqlite3.Connection, wait_ms: int) -> tuple[int, int, int]:
        try:
            connection.execute(f"PRAGMA busy_timeout={wait_ms}").fetchall()
            found: tuple[int, int, int] = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:  # also on a full disk, which the writer survives: commits wait for strangers as before
            connection.execute(f"PRAGMA busy_timeout={_PRAGMAS['busy_timeout']}").fetchall()
        return found

    def _not_kept(self, error: Exception) -> StorageFailed:
        if is_damage(error):
            return StorageFailed(
                f"{self.path} is damaged, a commit was not kept: {error}",
                hint="look at the disk, then start again: the start sets the file aside and saves what is sound",
            )
        return StorageFailed(
            f"{self.path}: the disk did not keep a commit: {error}",
            hint="free space or replace the disk, then start again",
        )

    def _fail(self, failed: StorageFailed) -> None:
        self._failed = failed
        if self._on_failure is not None:
            with suppress(Exception):  # the futures must still learn of the failure
                self._on_failure(failed)


def _size_of_log(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def _group(waiting: deque[Pending[object] | None]) -> list[Pending[object]]:
    """The jobs that are committed together next: the first that waits, and others behind it."""
    group: list[Pending[object]] = []
    weight = 0
    while waiting and len(group) < GROUP_LIMIT and weight < GROUP_BYTES:
        following = waiting[0]
        if following is None or (group and isinstance(following, Steps)):
            break
        group.append(following)
        weight += following.weight
        waiting.popleft()
        if isinstance(following, Steps):
            break
    return group
