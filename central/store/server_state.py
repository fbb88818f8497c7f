"""What a PostgreSQL says of itself: its version, whether it keeps what it commits, and what our role may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from central.store.database import WRITE_LOCK

_ROLE = text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AS makes, "
    "has_function_privilege('pg_control_system()', 'EXECUTE') AS knows, "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS rules, current_user AS name, "
    "pg_is_in_recovery() AS follows"
)

_LOCKS = text(
    "SELECT l.pid, l.granted, a.application_name AS program, a.state, "
    "extract(epoch FROM clock_timestamp() - a.xact_start) AS old_s "
    "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint = :high AND l.objid::bigint = :low "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


_HOLDING_UP = text(
    "WITH waiting AS (SELECT pid, query_start FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND usename = current_user AND datname = current_database()) "
    "SELECT b.pid, a.usename AS owner, a.usename = current_user AS ours, a.application_name AS program, a.state, "
    "max(extract(epoch FROM clock_timestamp() - w.query_start)) AS for_s, "
    "(SELECT count(*) FROM waiting) AS waiting "
    "FROM waiting w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid) "
    "LEFT JOIN pg_stat_activity a ON a.pid = b.pid WHERE cardinality(pg_blocking_pids(b.pid)) = 0 "
    "GROUP BY b.pid, a.usename, a.application_name, a.state ORDER BY b.pid"
)


@dataclass(frozen=True, slots=True)
class ServerState:
    """``settings``: as the server has them for new sessions. ``may``: the role has all that central needs.
    ``follows``: it is a stand-by.
    """

    version: int
    settings: Mapping[str, str]
    role: str
    may: bool
    superuser: bool
    follows: bool


def state_of(connection: Connection) -> ServerState | None:
    """None: the database is a file."""
    if connection.dialect.name == "sqlite":
        return None
    version = int(connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    rows = connection.execute(text("SELECT name, reset_val FROM pg_settings"))
    settings = {row.name: row.reset_val or "" for row in rows}
    role = connection.execute(_ROLE).one()
    may = bool(role.makes and role.knows)
    return ServerState(version, settings, role.name, may, bool(role.rules), bool(role.follows))


@dataclass(frozen=True, slots=True)
class WriteLock:
    """Who has the one write lock now. ``old_s``: since its transaction began, which may have waited for the lock
    itself; None: our role may not see that.

    ``waiting``: sessions that wait for it.
    """

    pid: int
    program: str
    state: str
    old_s: float | None
    waiting: int


def write_lock(connection: Connection) -> WriteLock | None:
    """None: nobody has it, or the database is a file."""
    if connection.dialect.name == "sqlite":
        return None
    rows = connection.execute(_LOCKS, {"high": WRITE_LOCK >> 32, "low": WRITE_LOCK & 0xFFFFFFFF}).all()
    held = next((row for row in rows if row.granted), None)
    if held is None:
        return None
    old_s = None if held.old_s is None else float(held.old_s)
    return WriteLock(held.pid, held.program or "?", held.state or "?", old_s, len(rows) - 1)


@dataclass(frozen=True, slots=True)
class Holding:
    """A session that holds up others and waits for none itself. ``ours``: it is our role's; of a stranger's,
    ``program`` and ``state`` may not be seen. ``for_s``: how long the first waits for it; ``waiting``: how many of
    our role's sessions wait for any lock.
    """

    pid: int
    owner: str
    ours: bool
    program: str
    state: str
    for_s: float
    waiting: int


def holding_up(connection: Connection) -> list[Holding]:
    """Who keeps our role's sessions waiting now; nobody where the database is a file."""
    if connection.dialect.name == "sqlite":
        return []
    return [
        Holding(
            row.pid,
            row.owner or "?",
            bool(row.ours),
            row.program or "?",
            row.state or "?",
            float(row.for_s),
            row.waiting,
        )
        for row in connection.execute(_HOLDING_UP)
    ]
