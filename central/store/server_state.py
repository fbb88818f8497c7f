"""What a PostgreSQL says of itself: its version, whether it keeps what it commits, and what our role may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

_ROLE = text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE') AS makes, "
    "has_function_privilege('pg_control_system()', 'EXECUTE') AS knows, "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS rules, current_user AS name"
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
