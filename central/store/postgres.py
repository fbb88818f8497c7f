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
- a server that is full, that is away for longer than ``PATIENCE_S`` or that stopped keeping its commits is waited
  for: nothing was stored, jobs are refused with what is wrong (``refusing``), and the first that finds it well
  again is committed. Where that is not known of a group, since its COMMIT was under way, it waits until it is;
- a server that was set back has other marks than the one that was written last. It, another server or a promoted
  stand-by in its place, a failing disk: the writer stops, all jobs that wait and all later ones raise
  StorageFailed, a restart begins with the checks of a start.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from central.recurring import Recurring
from central.store.database import Server
from central.store.session import (
    KEEPS,
    Identity,
    begin_writing,
    carrier,
    connect,
    identity_of,
    reader,
    readers,
    refuse_unkept,
    refuse_unsafe,
)
from records.clock import SystemClock, new_id
from records.errors import Busy, LotkeeperError, NoRoom, Refused, StorageFailed, Unfit, Unreachable
from records.jobs import Promised, Refusing

T = TypeVar("T")
_log = structlog.get_logger()

GROUP_LIMIT = 256
"""Most jobs that one commit takes along."""
WAITING_LIMIT = 10_000
"""Most jobs that may wait; beyond it ``submit`` raises."""
PATIENCE_S = 60.0
"""How long a group waits for a server that is away before it is refused."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""How long, after the server was lost over a group or stayed away, nothing is tried: one whose disk is full ends
itself over a commit, and the sessions of all who use it."""
TAKING_OVER_S = 10.0
"""How long a start waits for another central's session to end: a server notices late that one was killed."""
ATTEMPTS = 5
"""How often a group may be broken off by the server (deadlock, cancelled, lost) before it is refused."""

INSTANCE_LOCK = 0x4C6F746B_6F6E6C79
"""Held by the session of a central that has the database for itself."""

_MARK: LiteralString = (  # noqa: S608  our own words
    "INSERT INTO meta (name, value) VALUES (%s, %s || ' ' || extract(epoch FROM clock_timestamp())::bigint) "
    "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value RETURNING "
) + KEEPS
_OLD_MARKS: LiteralString = (
    r"DELETE FROM meta WHERE name LIKE 'commit-mark/%' AND value ~ ' \d+$' "
    "AND split_part(value, ' ', 2)::bigint < extract(epoch FROM clock_timestamp()) - 86400"
)
"""Of processes that were killed: nobody looks for a commit of yesterday."""
MARK_SURE_S = 43_200.0
"""For so long no other process takes the mark of one that lives for one of yesterday."""
_JOBS_OWN_FAULT = frozenset(("0A", "21", "22", "23", "25", "42", "44", "54", "P0"))
"""Classes of SQLSTATE that a wrong statement or value gives; all others are the server's trouble."""
_AGAIN = frozenset(("40", "55"))
"""The server broke the transaction off: a deadlock, a lock that was waited for too long."""
FULL, CANCELLED, READ_ONLY = "53100", "57014", "25006"


class _Lost(Exception):
    """The connection is gone. ``mark``: what the transaction wrote, when COMMIT had been sent. ``full``: the
    server has ended itself since its log found no room.
    """

    def __init__(self, cause: psycopg.Error, mark: str | None = None) -> None:
        super().__init__(_in_a_line(cause))
        self.mark = mark
        self.full = cause.sqlstate == FULL


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
        self._refusing = Refusing()
        self._paused: tuple[LotkeeperError, float] | None = None
        self._pause_s = 0.0
        self._kept: tuple[str, float] | None = None
        self._away = Recurring("database", _log, SystemClock(), met="lost", over="back", warn=True)
        self._refusals = Recurring("writes", _log, SystemClock(), met="refused", over="taken-again")
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

    @property
    def refusing(self) -> LotkeeperError | None:
        return self._refusing.why

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
            refused = self._commit(batch) if batch and self._failed is None else None
            self._began_s = None
            for pending in batch:
                pending.settle(self._failed or refused)

    def _commit(self, batch: list[_Pending[Any]]) -> LotkeeperError | None:
        """Why all of it was refused and nothing stored, None when it is on disk; a server that failed is in
        ``_failed``.
        """
        if self._paused is not None and time.monotonic() < self._paused[1]:
            return self._paused[0]
        refused: LotkeeperError | None = None
        try:
            self._keep(batch)
        except StorageFailed as error:
            self._fail(error)
        except (Refused, Unreachable) as error:
            refused = error
            self._refusing.met(error, lasting=isinstance(error, NoRoom) and not self._pause_s)
            self._refusals.met(str(error))
        except BaseException as error:  # whatever it was, nobody may go on as if it were on disk
            told = _in_a_line(error) or repr(error)
            self._fail(
                StorageFailed(
                    f"{self.label}: the server did not keep a commit: {told}",
                    hint="look into the server's log, then start again",
                )
            )
        else:
            self._paused, self._pause_s = None, 0.0
            self._refusing.committed()
            if self._refusing.why is None:
                self._refusals.over()
        return refused

    def _keep(self, batch: list[_Pending[Any]]) -> None:
        """Bring a group to the server's disk, however often the server breaks it off.

        Raises:
            NoRoom, Busy, Unfit, Unreachable: nothing of it is stored, and a later one may be. Else: the server
            is not to be written on with.
        """
        last: Exception = RuntimeError("not tried")
        for _ in range(ATTEMPTS):
            try:
                self._attempt(batch)
                return
            except _Broken as broken:
                last = broken
                hint = "lotkeeper-central doctor names who locks"
                _log.warning("commit-once-more", error=str(broken), hint=hint)
            except _Lost as lost:
                last = lost
                if self._resume(lost):
                    return
                if lost.full:
                    break
        if isinstance(last, _Broken):
            raise Busy(
                f"{self.label}: nothing was stored: {last}", hint="lotkeeper-central doctor names who locks"
            )
        if isinstance(last, _Lost) and last.full:
            raise self._left_alone(self._no_room(str(last)))
        raise self._left_alone(
            Unreachable(
                f"{self.label}: nothing was stored: the server ended {ATTEMPTS} times over it: {last}",
                hint="see its log: is one of its disks full? Central goes on by itself",
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
            self._refuse_unkept(self._raw.execute(_MARK, (self._mark_name, token)).fetchone())
            mark = token  # from here on its outcome may be unknown
            done = self._raw.execute("COMMIT")
        except Unfit:
            with suppress(psycopg.Error):
                self._raw.execute("ROLLBACK")
            raise
        except psycopg.Error as error:
            with suppress(psycopg.OperationalError):  # it may be gone by now
                self._raw.execute("ROLLBACK")
            if self._raw.closed:
                raise _Lost(error, mark) from error
            if (error.sqlstate or "")[:2] in _AGAIN or error.sqlstate == CANCELLED:
                raise _Broken(_in_a_line(error)) from error
            if error.sqlstate == FULL:
                raise self._no_room(_in_a_line(error)) from error
            if error.sqlstate == READ_ONLY:
                raise Unfit(
                    f"{self.label}: nothing was stored: it only lets read", hint="is it a stand-by, or set so?"
                ) from error
            raise
        if done.statusmessage != "COMMIT":
            raise StorageFailed(f"{self.label}: COMMIT was answered by {done.statusmessage}")
        self._kept = token, time.monotonic()

    def _refuse_unkept(self, found: tuple[Any, ...] | None) -> None:
        if self._identity is not None and found is not None:
            refuse_unkept(self._identity.pid, found, self.label)

    def _no_room(self, told: str) -> NoRoom:
        return NoRoom(
            f"{self.label}: the server's disk is full: nothing was stored: {told}",
            hint="make room where it has its tables and its log (pg_wal); central goes on by itself",
        )

    def _left_alone(self, error: LotkeeperError) -> LotkeeperError:
        """The same, after which nothing is tried for a while: longer each time until something is committed."""
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._paused = error, time.monotonic() + self._pause_s
        return error

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
        """Connect again; whether the work that was under way is committed after all.

        Raises:
            Unreachable: the server stays away, and the work was not. StorageFailed: it is another server, or was
            set back, or central ends before the outcome is known.
        """
        deadline_s = time.monotonic() + (PATIENCE_S if self._paused is None else 0.0)
        why = "start the server: is one of its disks full? Central goes on by itself"
        while True:
            try:
                committed = self._reached(lost)
            except (psycopg.OperationalError, Unreachable, Refused) as error:
                told = f"{lost}; now {_in_a_line(error)}"
                self._away.met(told)
                if lost.mark is not None and self._closed:
                    raise StorageFailed(
                        f"{self.label} is away, and whether it has the last commit is not known: {error}",
                        hint="start the server, then start again",
                    ) from error
                if lost.mark is None and time.monotonic() > deadline_s:
                    away = Unreachable(f"{self.label} is away, nothing was stored: {told}", hint=why)
                    raise self._left_alone(away) from error
                waits = Unreachable(f"{self.label} is away: {told}", hint=why)
                self._refusing.met(waits, lasting=False)
                time.sleep(0.2)
            else:
                self._away.over()
                return committed

    def _reached(self, lost: _Lost) -> bool:
        self._open()
        # the lock is free only when the old transaction has ended
        with nullcontext() if lost.mark is None else self._transaction():
            query = "SELECT split_part(value, ' ', 1) FROM meta WHERE name = %s"
            row = self._raw.execute(query, (self._mark_name,)).fetchone()
        found = None if row is None else row[0]
        if lost.mark is not None and found == lost.mark:
            self._kept = found, time.monotonic()
            return True
        if self._kept is None or found == self._kept[0]:
            return False
        if found is None and time.monotonic() - self._kept[1] > MARK_SURE_S:
            return False
        raise StorageFailed(
            f"{self.label} lacks what it had confirmed: an older copy was put back, or it lost its last commits",
            hint="look at the server's log and disk; where they are lost for good: lotkeeper-central restore "
            "--as-is --reason WHY, and the lines send them again",
        )

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
            self._refuse_unkept(self._raw.execute(f"SELECT {KEEPS}").fetchone())
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


# -- within ------------------------------------------------------------------------------------------------


def _locked(raw: psycopg.Connection[Any], patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while True:
        row = raw.execute("SELECT pg_try_advisory_lock(%s)", (INSTANCE_LOCK,)).fetchone()
        if (row is not None and row[0]) or time.monotonic() > deadline_s:
            return row is not None and bool(row[0])
        time.sleep(0.1)


def _own_fault(error: psycopg.Error) -> bool:
    code = error.sqlstate
    return code is None or (code[:2] in _JOBS_OWN_FAULT and code != READ_ONLY)


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _told(error: BaseException, label: str) -> BaseException:
    """What opening raised, in our words."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, LotkeeperError) or not isinstance(cause, psycopg.Error):
        return error
    full = cause.sqlstate == FULL
    hint = "make room on the server's disk" if full else "look into the server's log"
    told = (NoRoom if full else StorageFailed)(f"{label} cannot be opened: {_in_a_line(cause)}", hint=hint)
    told.__cause__ = error
    return told
