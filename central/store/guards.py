"""Triggers that refuse to change or remove evidence, and the check that they are all there.

They stand against accidents and against tools that open the database beside central, not against its owner.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, UniqueConstraint, inspect, text

from central.store.schema import metadata
from records.errors import Damaged

FUNCTION = "lotkeeper_append_only"
_SOURCE = (
    "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'restrict_violation'; END"
)
_ROW, _STATEMENT = 27, 34
"""pg_trigger.tgtype: before update or delete, for each row; before truncate, for each statement."""

Guards = dict[str, object]
"""Trigger name -> what it must be."""


def make_guards(connection: Connection) -> None:
    """Make the guards that are missing."""
    found = _found(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $${_SOURCE}$$"
        )
    for table in append_only():
        for name in _wanted(connection, table):
            if name not in found:
                for sql in _statements(connection, table, name):
                    connection.exec_driver_sql(sql)


def assert_guards(connection: Connection, tables: Collection[str] | None = None) -> None:
    """Check that the append-only tables are guarded exactly as they must be: those among ``tables``, else all that
    this database must have.

    Raises:
        Damaged: names the first trigger that is missing or different.
    """
    found = _found(connection)
    if tables is None:
        there = inspect(connection).get_table_names()
        tables = [
            name for name in append_only() if name in there or not metadata.tables[name].info.get("added_later")
        ]
    for table in append_only():
        for name, wanted in _wanted(connection, table).items() if table in tables else ():
            if found.get(name) != wanted:
                raise Damaged(
                    f"the trigger {name} that protects the table {table} is missing or changed",
                    hint="somebody changed the database by hand: run lotkeeper-central verify, restore a backup",
                )


def append_only() -> list[str]:
    """The tables whose rows are never changed or removed."""
    return [name for name, table in metadata.tables.items() if table.info.get("append_only")]


def _found(connection: Connection) -> Guards:
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        return {row.name: row.sql for row in rows}
    rows = connection.execute(
        text(
            "SELECT t.tgname, c.relname, t.tgtype, t.tgenabled, t.tgqual IS NULL AND t.tgnargs = 0 "
            "AND cardinality(t.tgattr::int2[]) = 0 AS plain, p.proname, p.prosrc "
            "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
        )
    )
    return {row.tgname: tuple(row)[1:] for row in rows}


def _wanted(connection: Connection, table: str) -> Guards:
    if connection.dialect.name == "sqlite":
        return dict(_sqlite_guards(table))
    return {
        f"guard_{table}_change": (table, _ROW, "A", True, FUNCTION, _SOURCE),
        f"guard_{table}_truncate": (table, _STATEMENT, "A", True, FUNCTION, _SOURCE),
    }


def _statements(connection: Connection, table: str, name: str) -> list[str]:
    if connection.dialect.name == "sqlite":
        return [_sqlite_guards(table)[name]]
    what = "TRUNCATE" if name.endswith("_truncate") else "UPDATE OR DELETE"
    each = "STATEMENT" if name.endswith("_truncate") else "ROW"
    return [
        f'CREATE TRIGGER {name} BEFORE {what} ON "{table}" FOR EACH {each} EXECUTE FUNCTION {FUNCTION}()',
        # also in sessions that call themselves replicas
        f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER {name}',
    ]


def _sqlite_guards(table_name: str) -> dict[str, str]:
    """Trigger name -> SQL. REPLACE deletes rows without firing delete triggers: so inserts are guarded too."""
    table = metadata.tables[table_name]
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table_name} is append-only'); END"
    guards = {
        f"guard_{table_name}_{verb.lower()}": f"CREATE TRIGGER guard_{table_name}_{verb.lower()} "
        f'BEFORE {verb} ON "{table_name}" {refuse}'
        for verb in ("UPDATE", "DELETE")
    }
    keys = [list(table.primary_key.columns)]
    keys += [list(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint)]
    same = sorted(" AND ".join(f'"{column.name}" = NEW."{column.name}"' for column in key) for key in keys)
    held = f'SELECT 1 FROM "{table_name}" WHERE'  # noqa: S608  our own table names
    exists = " OR ".join(f"EXISTS ({held} {condition})" for condition in same)
    name = f"guard_{table_name}_insert"
    guards[name] = f'CREATE TRIGGER {name} BEFORE INSERT ON "{table_name}" WHEN {exists} {refuse}'
    return guards
