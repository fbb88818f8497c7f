"""A session of PostgreSQL's as central needs it: how it is opened, what its server must promise, and how it gets
the lock under which alone anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from central.store.database import WRITE_LOCK, Server
from records.errors import StorageFailed, Unfit, Unreachable

_log = structlog.get_logger()

OLDEST = 130_000
"""PostgreSQL 13: the oldest that the tests' statements are known to work with."""

STILL_S = 10
"""Who has the write lock and does nothing for so long holds up all others: its session is ended."""
READERS = 8
"""Most connections that read at the same time; a further reader waits."""
LOOKS = 6
"""So many times ``STILL_S`` is waited for the write lock."""

_NEEDED = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_apply")}
"""Without these "committed" is not "on disk"."""

_SESSION = {
    # nobody waits for ever, and a session whose client has died lets go of its locks
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_min_messages": "warning",
    # what is read is what was written, whatever server, database or role have for others
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "DateStyle": "ISO",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
}
"""Of older servers those that they know."""
_WRITER = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # not enough alone: the server stops this clock at a message that needs no answer, and has none in a COPY
    "idle_in_transaction_session_timeout": f"{STILL_S}s",
}
_READER = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    "lock_timeout": "10s",  # people wait for it
}

KEEPS: LiteralString = (
    "pg_backend_pid(), current_setting('fsync'), current_setting('full_page_writes'), "
    "current_setting('synchronous_commit')"
)
"""What a transaction asks before its COMMIT: an administrator may change the settings of a server that runs."""

_SETTINGS: LiteralString = (
    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS t(name, value) "
    "WHERE current_setting(name, true) IS NOT NULL"
)
_PLACES: LiteralString = (
    "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname IN ('envelope', 'watermark', 'meta') AND c.relkind = 'r' "
    "AND has_schema_privilege(n.oid, 'USAGE') GROUP BY n.nspname HAVING count(*) = 3 ORDER BY n.nspname"
)
"""The schemas in which a central has its tables."""

_STANDING: LiteralString = (
    "SELECT a.pid, a.backend_start, a.xact_start, a.state_change, {copied} "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
    "AND l.objsubid = 1 AND l.classid::bigint = %s AND l.objid::bigint = %s AND l.database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database()) AND a.wait_event = 'ClientRead' "
    "AND a.usename = session_user AND a.xact_start IS NOT NULL AND a.state_change IS NOT NULL"
)
"""Nothing of another role's session, which ours may not end, nor where ``track_activities`` is off: what cannot be
seen to stand still is waited for."""
_COPIED: LiteralString = "(SELECT p.bytes_processed FROM pg_stat_progress_copy p WHERE p.pid = a.pid)"
_END: LiteralString = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = %s AND backend_start = %s AND xact_start = %s AND state_change = %s"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which server this is, on which branch of its history, and which session there."""

    system: int
    timeline: str
    database: int
    pid: int
    began: object


def connect(server: Server, purpose: str, *, read_only: bool = False) -> psycopg.Connection[Any]:
    """A session; a writer's in autocommit mode with explicit BEGIN.

    Raises:
        Unreachable: no server, or it does not let us in. ConfigurationError: the password's reference is empty.
    """
    settings = _SESSION | (_READER if read_only else _WRITER)
    try:
        told = make_conninfo("", **server.parameters(), application_name=purpose, client_encoding="UTF8")
        raw: psycopg.Connection[Any] = psycopg.connect(told, autocommit=True)
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"{server} does not let central in: {' '.join(str(error).split())}",
            hint="is it running, is a connection free (max_connections), do user, password, pg_hba.conf agree? "
            "A server whose disk is full may not start: see its log",
        ) from error
    try:
        raw.execute(_SETTINGS, (list(settings), list(settings.values())))
        waits = _setting(raw, "synchronous_commit")
        if waits not in _NEEDED["synchronous_commit"]:
            waits = "on"
        # said in any case: what the session says itself no reload of the server's file changes
        raw.execute("SELECT set_config('synchronous_commit', %s, false)", (waits,))
        _stay_in_one_schema(raw, str(server))
        raw.autocommit = not read_only
    except psycopg.Error as error:
        raw.close()
        raise Unreachable(f"{server} does not answer: {error}") from error
    except StorageFailed:
        raw.close()
        raise
    return raw


def _stay_in_one_schema(raw: psycopg.Connection[Any], label: str) -> None:
    """Work where central's tables are, or where the first ones will be made. A path of names that somebody
    changes, or a schema with the role's own name that somebody makes, would else show an empty database.

    Raises:
        StorageFailed: there are two of them.
    """
    found = [row[0] for row in raw.execute(_PLACES)]
    if len(found) > 1:
        raise StorageFailed(
            f"{label} has central's tables in several schemas: {', '.join(found)}",
            hint="rename or drop the one that is not central's: ALTER SCHEMA ... RENAME, or its tables",
        )
    row = raw.execute(
        "SELECT quote_ident(coalesce(%s, current_schema()))", (found[0] if found else None,)
    ).fetchone()
    if row is None or row[0] is None:
        raise StorageFailed(
            f"{label} has no schema for central's tables", hint="GRANT CREATE, USAGE ON SCHEMA public to its role"
        )
    raw.execute("SELECT set_config('search_path', %s, false)", (row[0],))


def refuse_unsafe(raw: psycopg.Connection[Any], label: str) -> None:
    """Check what the server promises.

    Raises:
        StorageFailed: names every setting under which a commit could be lost, or why nothing can be written.
    """
    wrong = _unsafe({name: _setting(raw, name) for name in _NEEDED})
    if raw.info.server_version < OLDEST:
        wrong.append(
            f"it is PostgreSQL {raw.info.server_version // 10_000}, {OLDEST // 10_000} is the oldest known"
        )
    if _setting(raw, "server_encoding") != "UTF8":
        wrong.append(f"the database's encoding is {_setting(raw, 'server_encoding')}, UTF8 is needed")
    if _setting(raw, "transaction_read_only") != "off":
        wrong.append("it only lets read: a stand-by, or set so")
    if wrong:
        raise StorageFailed(f"{label}: {'; '.join(wrong)}", hint="mend postgresql.conf or the database")


def refuse_unkept(pid: int, found: tuple[Any, ...], label: str) -> None:
    """Check what a transaction has found out by ``KEEPS``, before its COMMIT.

    Raises:
        Unfit: its commit would not be on the disk, or it is not in the session ``pid``, which has the settings
            and locks that central needs.
    """
    if found[0] != pid:
        raise Unfit(
            f"{label}: nothing was stored: a connection pooler changes sessions between transactions",
            hint="let it keep a session for each connection (PgBouncer: pool_mode = session), or go past it",
        )
    wrong = _unsafe(dict(zip(("fsync", "full_page_writes", "synchronous_commit"), found[1:], strict=True)))
    if wrong:
        raise Unfit(f"{label}: nothing was stored: {'; '.join(wrong)}", hint="mend postgresql.conf and reload it")


def _unsafe(found: Mapping[str, str | None]) -> list[str]:
    return [
        f"{name} is {found[name]}, {wanted[0]} is needed"
        for name, wanted in _NEEDED.items()
        if found[name] not in wanted
    ]


@dataclass(frozen=True, slots=True)
class Standing:
    """A session that has the write lock and waits for its client. Seen twice the same, it did nothing meanwhile.

    ``copied``: bytes that its COPY has taken.
    """

    pid: int
    began: datetime
    transaction: datetime
    since: datetime
    copied: int | None


def begin_writing(raw: psycopg.Connection[Any]) -> None:
    """Begin a transaction that has the write lock.

    Its holder may be a process that was paused, or that a lost network cut off: who has done nothing between two
    looks is ended, so that one machine that stands still does not hold up all others. Nothing is lost: what was
    not committed is done again when that process goes on.

    Raises:
        psycopg.errors.LockNotAvailable: others had it for a minute.
    """
    before: Standing | None = None
    for left in reversed(range(LOOKS)):
        try:
            raw.execute(
                f"BEGIN; SET LOCAL lock_timeout = '{STILL_S}s'; SELECT pg_advisory_xact_lock({WRITE_LOCK}); "
                f"SET LOCAL lock_timeout = '{_SESSION['lock_timeout']}'".encode()
            )
        except psycopg.errors.LockNotAvailable:
            raw.execute("ROLLBACK")
            if not left:
                raise
            standing = _standing(raw)
            if standing is not None and standing == before:
                _end(raw, standing)
            before = standing
        else:
            return


def _standing(raw: psycopg.Connection[Any]) -> Standing | None:
    query = _STANDING.format(copied=_COPIED)
    if raw.info.server_version < 140_000:  # it does not tell how far a COPY is
        query = _STANDING.format(copied="NULL") + " AND a.state <> 'active'"
    row = raw.execute(query, (WRITE_LOCK >> 32, WRITE_LOCK & 0xFFFFFFFF)).fetchone()
    return None if row is None else Standing(*row)


def _end(raw: psycopg.Connection[Any], standing: Standing) -> None:
    at = (standing.pid, standing.began, standing.transaction, standing.since)
    if raw.execute(_END, at).fetchone() is None:
        return  # it has gone on in this moment
    _log.warning(
        "writer-ended",
        pid=standing.pid,
        since=standing.since.isoformat(timespec="seconds"),
        why="it held the write lock and did nothing; was its process paused, or its machine cut off?",
    )


def identity_of(raw: psycopg.Connection[Any]) -> Identity:
    row = raw.execute(
        "SELECT (SELECT system_identifier FROM pg_control_system()), "
        "left(pg_walfile_name(pg_current_wal_lsn()), 8), d.oid::bigint, pg_backend_pid(), a.backend_start "
        "FROM pg_stat_activity a, pg_database d WHERE a.pid = pg_backend_pid() AND d.datname = current_database()"
    ).fetchone()
    if row is None:
        raise StorageFailed("the server does not say which one it is")
    return Identity(*row)


def _setting(raw: psycopg.Connection[Any], name: str) -> str | None:
    row = raw.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return None if row is None else str(row[0])


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
            full = isinstance(error.orig, psycopg.errors.DiskFull)
            raise Unreachable(
                f"{label} does not answer: {error.orig}",
                hint="make room on the server's disk" if full else "is the server running?",
            ) from error
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
