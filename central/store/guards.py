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
UNTIL = "lotkeeper_until_tombstone"
_UNTIL_SOURCE = (
    "BEGIN IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM tombstone t WHERE t.envelope_id = OLD.envelope_id) "
    f"THEN RETURN OLD; END IF; {_SOURCE.removeprefix('BEGIN ')}"
)
_FUNCTIONS = {FUNCTION: _SOURCE, UNTIL: _UNTIL_SOURCE}
_ROW, _STATEMENT = 27, 34
"""pg_trigger.tgtype: before update or delete, for each row; before truncate, for each statement."""

Guards = dict[tuple[str, str], object]
"""(table, trigger) -> what it must be."""

_TRIGGERS = text(
    "SELECT c.relname, t.tgname, t.tgtype, t.tgenabled, t.tgqual IS NULL AND t.tgnargs = 0 "
    "AND cardinality(t.tgattr::int2[]) = 0 AS plain, p.proname, p.prosrc "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "WHERE (NOT t.tgisinternal OR t.tgparentid <> 0) AND c.relnamespace = current_schema()::regnamespace"
)
_PARTS = text(
    "SELECT p.relname AS whole, c.relname AS part FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent "
    "JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE p.relnamespace = current_schema()::regnamespace AND p.relkind = 'p'"
)


def make_guards(connection: Connection) -> None:
    """Make the guards that are missing."""
    if connection.dialect.name == "sqlite":
        found = _found(connection)
        for table in append_only():
            for name, sql in _sqlite_guards(table).items():
                if (table, name) not in found:
                    connection.exec_driver_sql(sql)
        return
    for function, source in _FUNCTIONS.items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $${source}$$"
        )
    found, parts = _found(connection), _whole_of(connection)
    for table, name in _server_guards(connection):
        truncate = name.endswith("_truncate")
        if (table, name) not in found and (truncate or table not in parts):  # a part has the row triggers already
            function = UNTIL if not truncate and _until(table) else FUNCTION
            what, each = ("TRUNCATE", "STATEMENT") if truncate else ("UPDATE OR DELETE", "ROW")
            connection.exec_driver_sql(
                f'CREATE TRIGGER {name} BEFORE {what} ON "{table}" FOR EACH {each} EXECUTE FUNCTION {function}()'
            )
            # also in sessions that call themselves replicas
            connection.exec_driver_sql(f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER {name}')


def assert_guards(connection: Connection, tables: Collection[str] | None = None) -> None:
    """Check that the append-only tables are guarded exactly as they must be: those among ``tables``, else all that
    this database must have.

    Raises:
        Damaged: names the first trigger that is missing or different.
    """
    found, parts = _found(connection), _whole_of(connection)
    if tables is None:
        there = inspect(connection).get_table_names()
        tables = [
            name for name in append_only() if name in there or not metadata.tables[name].info.get("added_later")
        ]
    for (table, name), wanted in _wanted(connection).items():
        if parts.get(table, table) in tables and found.get((table, name)) != wanted:
            raise Damaged(
                f"the trigger {name} that protects the table {table} is missing or changed",
                hint="somebody changed the database by hand: run lotkeeper-central verify, restore a backup",
            )


def append_only() -> list[str]:
    """The tables whose rows are never changed or removed."""
    return [name for name, table in metadata.tables.items() if table.info.get("append_only")]


def _until(table: str) -> bool:
    return bool(metadata.tables[table].info.get("until_tombstone"))


def _found(connection: Connection) -> Guards:
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'"))
        return {(row.tbl_name, row.name): row.sql for row in rows}
    return {(row[0], row[1]): tuple(row)[2:] for row in connection.execute(_TRIGGERS)}


def _wanted(connection: Connection) -> Guards:
    if connection.dialect.name == "sqlite":
        return {(table, name): sql for table in append_only() for name, sql in _sqlite_guards(table).items()}
    return _server_guards(connection)


def _whole_of(connection: Connection) -> dict[str, str]:
    """Part -> the table that it is a part of."""
    if connection.dialect.name == "sqlite":
        return {}
    return {row.part: row.whole for row in connection.execute(_PARTS)}


def _server_guards(connection: Connection) -> Guards:
    """A part has its table's row triggers by itself, but no others."""
    guards: Guards = {}
    parts = _whole_of(connection)
    for table in append_only():
        function = UNTIL if _until(table) else FUNCTION
        for each in [table, *(part for part, whole in parts.items() if whole == table)]:
            guards[each, f"guard_{table}_change"] = (_ROW, "A", True, function, _FUNCTIONS[function])
            guards[each, f"guard_{table}_truncate"] = (_STATEMENT, "A", True, FUNCTION, _SOURCE)
    return guards


def _sqlite_guards(table_name: str) -> dict[str, str]:
    """Trigger name -> SQL. REPLACE deletes rows without firing delete triggers: so inserts are guarded too."""
    table = metadata.tables[table_name]
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table_name} is append-only'); END"
    told = "WHEN NOT EXISTS (SELECT 1 FROM tombstone WHERE envelope_id = OLD.envelope_id) "
    guards = {
        f"guard_{table_name}_{verb.lower()}": f"CREATE TRIGGER guard_{table_name}_{verb.lower()} "
        f'BEFORE {verb} ON "{table_name}" {told if verb == "DELETE" and _until(table_name) else ""}{refuse}'
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
