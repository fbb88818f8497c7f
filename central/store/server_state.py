"""What a PostgreSQL says of itself: its version, whether it keeps what it commits, and what our role may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from central.store.database import WRITE_LOCK

_ROLE = text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AS makes, "
    "has_function_privilege('pg_control_system()', 'EXECUTE') AS knows, "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS rules, current_user AS name"
)

_LOCKS = text(
    "SELECT l.pid, l.granted, a.application_name AS program, a.state, "
    "extract(epoch FROM clock_timestamp() - a.xact_start) AS old_s "
    "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint = :high AND l.objid::bigint = :low "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True, slots=True)
class ServerState:
    """``settings``: as the server has them for new sessions. ``may``: the role has all that central needs."""

    version: int
    settings: Mapping[str, str]
    role: str
    may: bool
    superuser: bool


def state_of(connection: Connection) -> ServerState | None:
    """None: the database is a file."""
    if connection.dialect.name == "sqlite":
        return None
    version = int(connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    rows = connection.execute(text("SELECT name, reset_val FROM pg_settings"))
    settings = {row.name: row.reset_val or "" for row in rows}
    role = connection.execute(_ROLE).one()
    return ServerState(version, settings, role.name, bool(role.makes and role.knows), bool(role.rules))


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
