"""The parts of PostgreSQL's tables of bodies: one a month by the time of receipt, made ahead, one for the rest.

A part of telemetry whose every record has a tombstone can be given up whole, which costs nothing. The table of
keys and hashes (``envelope``) is never in parts: what must be unique for ever, must be so over all of it.

To make or drop a part PostgreSQL needs the table for itself. Who reads one moment of everything (a backup, verify)
keeps it for long; so here it is waited for only for a moment, and who asked does it later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from central.store.guards import make_guards
from central.store.schema import metadata
from records.clock import MICROSECONDS, from_us
from records.errors import Refused

AHEAD = 3
"""Months beyond the present one for which parts are made."""
_NAME = "%Y_%m"
_PATIENCE = "500ms"
"""How long one lock is waited for: all that reads or writes meanwhile waits behind it."""
_IN_USE = ("55P03", "40P01")
"""SQLSTATE of a lock that was waited for too long, and of a deadlock."""


class InUse(Refused):
    """Bodies are being read, so that no part can be made or dropped now; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows from ``from_us`` to before ``to_us`` of a table."""

    table: str
    name: str
    from_us: int
    to_us: int


def make_ahead(connection: Connection, now_us: int | None = None) -> list[str]:
    """Make the parts that are missing from the month of ``now_us`` on (None: only the rest); their names.

    A month whose first rows came before its part was made stays with the rest. SQLite has no parts.

    Raises:
        InUse: within a job, which changed nothing.
    """
    if connection.dialect.name == "sqlite":
        return []
    there = _tables(connection)
    made: list[str] = []
    with _briefly(connection):
        for table in partitioned():
            rest = f"{table}_rest"
            if rest not in there:
                connection.exec_driver_sql(f"CREATE TABLE {rest} PARTITION OF {table} DEFAULT")
                made.append(rest)
            for part in [] if now_us is None else months(table, now_us):
                query = text(f"SELECT EXISTS (SELECT FROM {rest} WHERE received_us >= :a AND received_us < :b)")  # noqa: S608
                if part.name in there or connection.execute(query, {"a": part.from_us, "b": part.to_us}).scalar():
                    continue
                span = f"FROM ({part.from_us}) TO ({part.to_us})"
                connection.exec_driver_sql(f"CREATE TABLE {part.name} PARTITION OF {table} FOR VALUES {span}")
                made.append(part.name)
        if made:
            make_guards(connection)
    return made


def partitioned() -> list[str]:
    """The tables that are in parts on PostgreSQL."""
    return [name for name, table in metadata.tables.items() if table.info.get("partitioned")]


def keep(connection: Connection) -> None:
    """As the first statement of a moment that is read: no part goes until it ends.

    Rows are of the moment, but tables are not: of a part that was dropped since, neither body nor tombstone would
    be seen.
    """
    try:
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(partitioned())} IN ACCESS SHARE MODE")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != "42P01":
            raise
        connection.rollback()  # no tables, or those of an older central: there are no parts


def next_is_made(connection: Connection, now_us: int) -> bool:
    """Whether next month's parts are there."""
    there = _tables(connection)
    return all(months(table, now_us)[1].name in there for table in partitioned())


def months(table: str, now_us: int) -> list[Part]:
    """The parts for the month of ``now_us`` and those after it."""
    first = from_us(now_us).astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found: list[Part] = []
    for _ in range(AHEAD + 1):
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        found.append(Part(table, f"{table}_{first.strftime(_NAME)}", _us(first), _us(after)))
        first = after
    return found


def parts_before(connection: Connection, table: str, until_us: int) -> list[Part]:
    """The monthly parts of a table that end at or before ``until_us``, oldest first."""
    if connection.dialect.name == "sqlite":
        return []
    query = text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:name) ORDER BY c.relname"
    )
    found: list[Part] = []
    for name in connection.execute(query, {"name": table}).scalars():
        if name != f"{table}_rest":
            month = datetime.strptime(name.removeprefix(f"{table}_"), _NAME).replace(tzinfo=UTC)
            found += [part for part in months(table, _us(month))[:1] if part.to_us <= until_us]
    return found


def give_up(connection: Connection, part: Part) -> None:
    """Detach a part and drop it; the caller has seen that every record in it has a tombstone.

    Raises:
        InUse: within a job, which changed nothing.
    """
    with _briefly(connection):
        connection.exec_driver_sql(f"ALTER TABLE {part.table} DETACH PARTITION {part.name}")
        connection.exec_driver_sql(f"DROP TABLE {part.name}")


@contextmanager
def _briefly(connection: Connection) -> Iterator[None]:
    """Within it a lock is waited for only for a moment."""
    before = connection.execute(text("SHOW lock_timeout")).scalar_one()
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _IN_USE:
            raise
        raise InUse(
            "bodies are being read, so their parts by month wait: it is tried again",
            hint="if that goes on for weeks: which session of pg_stat_activity is it that reads?",
        ) from error
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{before}'")


def _tables(connection: Connection) -> set[str]:
    return set(connection.execute(text("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")).scalars())


def _us(moment: datetime) -> int:
    return round(moment.timestamp()) * MICROSECONDS
