"""A session of PostgreSQL's as central needs it: how it is opened, what its server must promise, and how it gets
the lock under which alone anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from central.store.database import WRITE_LOCK, Server
from records.errors import StorageFailed, Unreachable

_log = structlog.get_logger()

OLDEST = 130_000
"""PostgreSQL 13: the oldest that the tests' statements are known to work with."""

STILL_S = 10
"""Who has the write lock and does nothing for so long holds up all others: its session is ended."""
LOOKS = 6
"""So many times ``STILL_S`` is waited for the write lock."""

_NEEDED = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_apply")}
"""Without these "committed" is not "on disk"."""

_SESSION = {
    # nobody waits for ever, and a session whose client has died lets go of its locks
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
    "statement_timeout": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_min_messages": "warning",
}
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
        told = make_conninfo("", **server.parameters(), application_name=purpose)
        raw: psycopg.Connection[Any] = psycopg.connect(told, autocommit=True)
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"{server} does not let central in: {' '.join(str(error).split())}",
            hint="is it running, is a connection free (max_connections), do user, password, pg_hba.conf agree?",
        ) from error
    try:
        query = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS t(name, value)"
        raw.execute(query, (list(settings), list(settings.values())))
        if _setting(raw, "synchronous_commit") not in _NEEDED["synchronous_commit"]:
            raw.execute("SET synchronous_commit = on")
        raw.autocommit = not read_only
    except psycopg.Error as error:
        raw.close()
        raise Unreachable(f"{server} does not answer: {error}") from error
    return raw


def refuse_unsafe(raw: psycopg.Connection[Any], label: str) -> None:
    """Check what the server promises.

    Raises:
        StorageFailed: names every setting under which a commit could be lost, or why nothing can be written.
    """
    wrong = [
        f"{name} is {found}, {wanted[0]} is needed"
        for name, wanted in _NEEDED.items()
        if (found := _setting(raw, name)) not in wanted
    ]
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
