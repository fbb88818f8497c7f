"""The store on a PostgreSQL server: one writing session, readers that see one moment, no commit in doubt.

Promise: as of ``records.durable``. When ``submit(job).result()`` returns, the server has the work on its disk
(synchronous_commit, fsync and full_page_writes are on, or opening is refused), and no work is done twice:

- jobs that wait together are committed together, each inside its own savepoint;
- every writing transaction holds ``WRITE_LOCK``, one lock for the whole database, from its first statement until
  its work is visible. So a job may read and then write as if it were alone, as in SQLite, and row numbers are
  given in the order of commits: who has read through number n never finds a smaller one later;
- every group writes a mark of its own in its transaction. A connection lost before COMMIT was sent leaves nothing:
  the group is done again on a new one. Lost after: the new connection waits for the lock, so that the old
  transaction has ended, and reads the mark: there, it is committed; not there, it is done again;
- so a job keeps nothing but what it returns: it may run again when its first run was not committed;
- a server that stays away for ``PATIENCE_S``, another server or a promoted stand-by in its place, a full or
  failing disk: the writer stops, all jobs that wait and all later ones raise StorageFailed, a restart begins with
  the checks of a start.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from central.store.database import Server
from central.store.session import Identity, begin_writing, connect, identity_of, refuse_unsafe
from records.clock import MICROSECONDS, SystemClock, iso_z, new_id
from records.errors import Busy, LotkeeperError, Refused, StorageFailed, Unreachable
from records.jobs import Promised

T = TypeVar("T")
_log = structlog.get_logger()

GROUP_LIMIT = 256
"""Most jobs that one commit takes along."""
WAITING_LIMIT = 10_000
"""Most jobs that may wait; beyond it ``submit`` raises."""
READERS = 8
"""Most connections that read at the same time; a further reader waits."""
PATIENCE_S = 60.0
"""How long the server may be away before the process stops."""
TAKING_OVER_S = 10.0
"""How long a start waits for another central's session to end: a server notices late that one was killed."""
ATTEMPTS = 5
"""How often a group may be broken off by the server (deadlock, cancelled) before the process stops."""

INSTANCE_LOCK = 0x4C6F746B_6F6E6C79
"""Held by the session of a central that has the database for itself."""

_MARK: LiteralString = (
    "INSERT INTO meta (name, value) VALUES (%s, %s || ' ' || extract(epoch FROM clock_timestamp())::bigint) "
    "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"
)
_OLD_MARKS: LiteralString = (
    r"DELETE FROM meta WHERE name LIKE 'commit-mark/%' AND value ~ ' \d+$' "
    "AND split_part(value, ' ', 2)::bigint < extract(epoch FROM clock_timestamp()) - 86400"
)
"""Of processes that were killed: nobody looks for a commit of yesterday."""
_JOBS_OWN_FAULT = frozenset(("0A", "21", "22", "23", "25", "42", "44", "54", "P0"))
"""Classes of SQLSTATE that a wrong statement or value gives; all others are the server's trouble."""
_AGAIN = frozenset(("40", "55"))
"""The server broke the transaction off: a deadlock, a lock that was waited for too long."""


class _Lost(Exception):
    """The connection is gone. ``mark``: what the transaction wrote, when COMMIT had been sent."""

    def __init__(self, cause: BaseException, mark: str | None = None) -> None:
        super().__init__(str(cause))
        self.mark = mark


class _Broken(Exception):
    """The server rolled the transaction back and is well: it may be done again."""


class _Pending(Promised[T]):
    def __init__(self, job: Callable[[Connection], T]) -> None:
        super().__init__()
        self.job = job


class PostgresStore:
    """One database on a server, opened. ``prepare`` runs first, in one transaction.

    ``alone``: this process must be the only one that writes into the database; else it is one of several.
    """

    def __init__(
        self,
        server: Server,
        prepare: Callable[[Connection], None],
        on_failure: Callable[[StorageFailed], None] | None,
        alone: bool = True,
    ) -> None:
        """Connect, check the server, prepare.

        Raises:
            Unreachable: no connection. Refused: another central has the database. StorageFailed: the server does
            not keep what it commits, or is no PostgreSQL that central knows. Else what ``prepare`` raises.
        """
        self.label = str(server)
        self._server = server
        self._alone = alone
        self._mark_name = f"commit-mark/{new_id()}"
        self._prepare = prepare
        self._on_failure = on_failure
        self._jobs: queue.Queue[_Pending[Any] | None] = queue.Queue()
        self._failed: StorageFailed | None = None
        self._closed = False
        self._began_s: float | None = None
        self._gate = threading.Lock()  # nothing is queued behind the closing mark
        self._raw: psycopg.Connection[Any]
        self._session: Connection
        self._identity: Identity | None = None
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"writer {server.name}", daemon=True)
        self._thread.start()
        ready.result()
        self.thread = self._thread.ident
        self._readers = readers(server)

    def submit(self, job: Callable[[Connection], T], _weight: int) -> Future[T]:
        with self._gate:
            if self._failed is not None:
                raise self._failed
            if self._closed:
                raise StorageFailed(f"{self.label} is closed")
            pending = _Pending(job)
            busy = self._jobs.qsize() >= WAITING_LIMIT
            if not busy:
                self._jobs.put(pending)
        if busy:  # outside the gate: whoever waits for it may come back here
            pending.settle(Busy(f"{self.label}: {WAITING_LIMIT} writes wait", hint="the server is too slow"))
        return pending.future

    @property
    def under_way_s(self) -> float:
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with reader(self._readers, self.label) as connection:
            yield connection

    def close(self) -> None:
        self._readers.dispose()
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    # -- the writer's thread ---------------------------------------------------------------------------

    def _run(self, ready: Future[None]) -> None:
        try:
            self._open()
            with self._transaction():
                self._prepare(self._session)
                self._raw.execute(_OLD_MARKS)
        except BaseException as error:
            with suppress(AttributeError):
                self._raw.close()
            ready.set_exception(_told(error, self.label))
            return
        ready.set_result(None)
        self._serve()
        with suppress(psycopg.Error):
            self._raw.execute("DELETE FROM meta WHERE name = %s", (self._mark_name,))
        self._raw.close()

    def _serve(self) -> None:
        going_on = True
        while going_on:
            group = [self._jobs.get()]
            while len(group) < GROUP_LIMIT and not self._jobs.empty():
                group.append(self._jobs.get())
            going_on = None not in group
            batch = [pending for pending in group if pending is not None]
            self._began_s = time.monotonic()
            if batch and self._failed is None:
                self._commit(batch)
            self._began_s = None
            for pending in batch:
                pending.settle(self._failed)

    def _commit(self, batch: list[_Pending[Any]]) -> None:
        try:
            for _ in range(ATTEMPTS):
                try:
                    self._attempt(batch)
                    return
                except _Broken as broken:
                    last: Exception = broken
                    _log.warning(
                        "commit-once-more", error=str(broken), hint="lotkeeper-central doctor names who locks"
                    )
                except _Lost as lost:
                    last = lost
                    if self._resume(lost):
                        return
            raise last
        except StorageFailed as error:
            self._fail(error)
        except BaseException as error:  # whatever it was, nobody may go on as if it were on disk
            told = " ".join(str(error).split()) or repr(error)
            self._fail(
                StorageFailed(
                    f"{self.label}: the server did not keep a commit: {told}",
                    hint="look into the server's log, then start again",
                )
            )

    def _attempt(self, batch: list[_Pending[Any]]) -> None:
        """Do a group's work in one transaction."""
        mark: str | None = None
        try:
            begin_writing(self._raw)
            for pending in batch:
                self._run_job(pending)
            token = new_id()
            self._raw.execute(_MARK, (self._mark_name, token))
            mark = token  # from here on its outcome may be unknown
            done = self._raw.execute("COMMIT")
        except psycopg.Error as error:
            with suppress(psycopg.OperationalError):  # it may be gone by now
                self._raw.execute("ROLLBACK")
            if self._raw.closed:
                raise _Lost(error, mark) from error
            if (error.sqlstate or "")[:2] in _AGAIN or error.sqlstate == "57014":
                raise _Broken(str(error)) from error
            raise
        if done.statusmessage != "COMMIT":
            raise StorageFailed(f"{self.label}: COMMIT was answered by {done.statusmessage}")

    def _run_job(self, pending: _Pending[Any]) -> None:
        pending.value = pending.error = None
        self._raw.execute("SAVEPOINT job")
        try:
            pending.value = pending.job(self._session)
            self._raw.execute("RELEASE SAVEPOINT job")
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(cause, psycopg.Error) and (self._raw.closed or not _own_fault(cause)):
                raise cause from error
            self._raw.execute("ROLLBACK TO SAVEPOINT job; RELEASE SAVEPOINT job")
            pending.error = error

    def _resume(self, lost: _Lost) -> bool:
        """Connect again; whether the work that was under way is committed after all."""
        deadline_s = time.monotonic() + PATIENCE_S
        told = False
        while True:
            try:
                committed = self._reached(lost)
            except (psycopg.OperationalError, Unreachable, Refused) as error:
                if time.monotonic() > deadline_s:
                    raise StorageFailed(
                        f"{self.label} is gone since {PATIENCE_S:.0f} s: {error}",
                        hint="start the server, then start again",
                    ) from error
                if not told:
                    left_s = deadline_s - time.monotonic()
                    until = iso_z(SystemClock().now_us() + round(left_s * MICROSECONDS))
                    _log.warning("database-lost", error=str(error), tried_until=until)
                    told = True
                time.sleep(0.2)
            else:
                if told:
                    _log.info("database-back", database=self.label)
                return committed

    def _reached(self, lost: _Lost) -> bool:
        self._open()
        if lost.mark is None:
            return False
        with self._transaction():  # the lock is free only when the old transaction has ended
            query = "SELECT value FROM meta WHERE name = %s"
            found = self._raw.execute(query, (self._mark_name,)).fetchone()
        return found is not None and found[0].split(" ")[0] == lost.mark

    def _open(self) -> None:
        """A new writing session in place of the old one, which is ended on the server too."""
        raw = connect(self._server, "lotkeeper writer")
        try:
            refuse_unsafe(raw, self.label)
            identity = identity_of(raw)
            before = self._identity
            if before is not None:
                if (before.system, before.timeline, before.database) != (
                    identity.system,
                    identity.timeline,
                    identity.database,
                ):
                    raise StorageFailed(
                        f"{self.label} is not the server that it was, or was restored", hint="start again"
                    )
                raw.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s",
                    (before.pid, before.began),
                )
            if self._alone and not _locked(raw, TAKING_OVER_S):
                raise Refused(
                    f"another central has {self.label}", hint="stop it, or name another database in central.yaml"
                )
        except BaseException:
            raw.close()
            raise
        self._raw, self._identity = raw, identity
        self._session = carrier(raw).connect()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        begin_writing(self._raw)
        try:
            yield
        except BaseException:
            if not self._raw.closed:
                self._raw.execute("ROLLBACK")
            raise
        self._raw.execute("COMMIT")

    def _fail(self, failed: StorageFailed) -> None:
        self._failed = failed
        if self._on_failure is not None:
            with suppress(Exception):  # the futures must still learn of the failure
                self._on_failure(failed)


# -- readers -----------------------------------------------------------------------------------------------


def readers(server: Server) -> Engine:
    """Connections that can only read; one that has died is noticed and replaced."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(server, "lotkeeper reader", read_only=True),
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=0,
        pool_pre_ping=True,
        use_native_hstore=False,
    )


@contextmanager
def reader(engine: Engine, label: str) -> Iterator[Connection]:
    """One moment of the database (REPEATABLE READ).

    Raises:
        Unreachable: the server is away, or was lost meanwhile, or another session locks what is read.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise Unreachable(
                f"{label} does not let central read: another session has locked what is asked for",
                hint="lotkeeper-central doctor names that session",
            ) from error
        if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
            raise Unreachable(f"{label} does not answer: {error.orig}", hint="is the server running?") from error
        raise


def carrier(raw: psycopg.Connection[Any]) -> Engine:
    """SQLAlchemy over a session whose transactions are begun and ended by us."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: raw,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        use_native_hstore=False,
    )


# -- within ------------------------------------------------------------------------------------------------


def _locked(raw: psycopg.Connection[Any], patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while True:
        row = raw.execute("SELECT pg_try_advisory_lock(%s)", (INSTANCE_LOCK,)).fetchone()
        if (row is not None and row[0]) or time.monotonic() > deadline_s:
            return row is not None and bool(row[0])
        time.sleep(0.1)


def _own_fault(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate[:2] in _JOBS_OWN_FAULT


def _told(error: BaseException, label: str) -> BaseException:
    """What opening raised, in our words."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, LotkeeperError) or not isinstance(cause, psycopg.Error):
        return error
    told = StorageFailed(f"{label} cannot be opened: {cause}", hint="look into the server's log")
    told.__cause__ = error
    return told
