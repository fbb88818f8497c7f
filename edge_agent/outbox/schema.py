"""The tables of the outbox, and the triggers that make its records append-only.

``records`` holds one row per record. ``position`` is the row's place in the file, gapless over all epochs of it
(an epoch's row ``seq`` stands at ``first_position + seq - 1``), ``epochs`` each epoch's end and how far it was
pruned. A row may change in two ways only, each allowed by a row of ``permits`` that lives inside the same
transaction: its body gives way to a tombstone, or it is pruned.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database

from records.errors import Damaged

APPLICATION_ID = 0x4C4B4F42  # "LKOB"
FORMAT = 3
"""1 and 2 had the same tables and other guards of order: with 1 the end of the epoch had to be written after every
row; 2 refused with ABORT, for which SQLite kept a copy of the page that a row goes to, of every row.
"""
NO_GENERATION = -1
"""Central's generation before it was first heard."""

THINNED = "telemetry"
"""The stream whose oldest rows may give way before central has them."""

_TABLES: dict[str, dict[str, type]] = {
    "control": {"name": str, "value": str},
    "epochs": {
        "number": int,
        "epoch": str,
        "first_position": int,
        "last": int,
        "head": bytes,
        "settled": int,  # NULL for the current one; else its rows beyond were stored again under the next epoch
        "pruned": int,
        "pruned_hash": bytes,
    },
    "strangers": {"epoch": str, "last": int, "hash": str},  # epochs that are known by name only
    "records": {
        "position": int,
        "epoch": int,
        "seq": int,
        "schema": int,
        "kind": str,
        "digest": bytes,
        "hash": bytes,
        "body": bytes,
        "tombstone": str,
        "stored_us": int,
    },
    "permits": {"act": str, "position": int},
    "acks": {
        "until_s": float,
        "position": int,
    },  # through which position central had committed by that running time
    "state": {"key": str, "value": str, "digest": bytes},
    "runs": {"number": int, "order_reference": str, "station": str, "subject": str},
    "identities": {"product": str, "scheme": str, "id": str, "carrier": str},
    "documents": {"kind": str, "id": str, "version": int, "payload": bytes, "received_us": int},
}
_SQL_TYPES: dict[type, str] = {str: "TEXT", int: "INTEGER", bytes: "BLOB", float: "REAL"}
_KEYS: dict[str, str | tuple[str, ...]] = {
    "control": "name",
    "epochs": "number",
    "strangers": "epoch",
    "records": "position",
    "permits": "act",
    "acks": "until_s",
    "state": "key",
    "runs": "number",
    "identities": ("product", "scheme", "id"),
    "documents": ("kind", "id"),
}
_MAY_BE_NULL = {("epochs", "settled"), ("records", "body"), ("records", "tombstone")}

_FOLLOWS = """(
    SELECT number = NEW.epoch AND NEW.position = first_position + NEW.seq - 1 AND NEW.seq > last
    AND (NEW.seq = last + 1 OR EXISTS (SELECT 1 FROM records WHERE position = NEW.position - 1))
    FROM epochs ORDER BY number DESC LIMIT 1
) IS 1"""
"""A row is of the current epoch, behind the last that is noted there, and behind another row or that one. So all
rows of a commit go in first and the end of the epoch is noted once.
"""
_FOLLOWED = """EXISTS (
    SELECT 1 FROM epochs WHERE number = NEW.epoch AND number = (SELECT max(number) FROM epochs)
    AND NEW.seq = last + 1 AND NEW.position = first_position + last
)"""
"""The same in a file of format 1."""
_THINS = """(
    NEW.body IS NULL AND NEW.tombstone IS NOT NULL
    AND EXISTS (SELECT 1 FROM permits WHERE act = 'thin' AND position = NEW.position)
)"""
"""What is otherwise in a buffer of telemetry: a row that gives way is written anew. SQLite gives back the space of
a row that is deleted, never that of one which became shorter.
"""


def _in_order(refuse: str, *allowed: str) -> str:
    """A guard before the row, so that FAIL leaves as little of it as ABORT."""
    return f"""
CREATE TRIGGER records_in_order BEFORE INSERT ON records
WHEN {" AND ".join(f"NOT {condition}" for condition in allowed)}
BEGIN SELECT RAISE({refuse}, 'a record must follow the last one'); END""".strip()


TRIGGERS: dict[str, str] = {
    "records_in_order": _in_order("FAIL", _FOLLOWS),
    "records_unchanged": """
CREATE TRIGGER records_unchanged BEFORE UPDATE ON records
WHEN NOT (
    NEW.body IS NULL AND OLD.body IS NOT NULL AND NEW.tombstone IS NOT NULL AND OLD.tombstone IS NULL
    AND NEW.position = OLD.position AND NEW.epoch = OLD.epoch AND NEW.seq = OLD.seq
    AND NEW.schema = OLD.schema AND NEW.kind = OLD.kind AND NEW.digest = OLD.digest
    AND NEW.hash = OLD.hash AND NEW.stored_us = OLD.stored_us
    AND EXISTS (SELECT 1 FROM permits WHERE act = 'tombstone' AND position = OLD.position)
)
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""".strip(),
    "records_kept": """
CREATE TRIGGER records_kept BEFORE DELETE ON records
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE act = 'prune' AND position >= OLD.position)
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""".strip(),
}


def triggers(stream: str, version: int = FORMAT) -> dict[str, str]:
    """The guards of a buffer of this stream in a file of that format, by name."""
    allowed = [_FOLLOWED if version == 1 else _FOLLOWS, *((_THINS,) if stream == THINNED else ())]
    return TRIGGERS | {"records_in_order": _in_order("FAIL" if version == FORMAT else "ABORT", *allowed)}


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file of an older format, whose guards stand, to this one, inside the caller's transaction."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        return
    connection.execute("DROP TRIGGER records_in_order")
    connection.execute(triggers(control(connection, "stream"))["records_in_order"])
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def create(connection: sqlite3.Connection, agent: str, stream: str) -> None:
    """Make all tables and triggers in an empty file; the caller holds the transaction."""
    db = Database(connection, execute_plugins=False)
    for name, columns in _TABLES.items():
        needed = [column for column in columns if (name, column) not in _MAY_BE_NULL]
        db.table(name).create(columns, pk=_KEYS[name], not_null=needed, strict=True)
    db.table("runs").create_index(["order_reference", "station", "subject"], index_name="runs_by_subject")
    for statement in triggers(stream).values():
        db.execute(statement)
    rows = {
        "agent": agent,
        "stream": stream,
        "generation": str(NO_GENERATION),
        "acknowledged": "0",
        "running_s": "0",
    }
    db.table("control").insert_all({"name": name, "value": value} for name, value in rows.items())
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {FORMAT}")


def assert_whole(connection: sqlite3.Connection) -> None:
    """Every table has its columns, and the guards are there word for word.

    Raises:
        Damaged: names what is missing or altered.
    """
    for table, columns in _TABLES.items():
        found = {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")}
        if found != {name: _SQL_TYPES[kind] for name, kind in columns.items()}:
            raise Damaged(f"the table {table} of the outbox is missing or altered")
    guards: dict[str, str] = dict(
        connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for name, statement in triggers(control(connection, "stream"), version).items():
        if guards.get(name) != statement:
            raise Damaged(f"the guard {name} of the records is missing or altered")


def control(connection: sqlite3.Connection, name: str) -> str:
    """One value of the control table."""
    row = connection.execute("SELECT value FROM control WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Damaged(f"the outbox has no {name}")
    return str(row[0])


def set_control(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("UPDATE control SET value = ? WHERE name = ?", (value, name))


def noted_control(connection: sqlite3.Connection, name: str) -> str | None:
    """One value that is there only for a time."""
    row = connection.execute("SELECT value FROM control WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def note_control(connection: sqlite3.Connection, name: str, value: str | None) -> None:
    """Note such a value; None takes it away."""
    if value is None:
        connection.execute("DELETE FROM control WHERE name = ?", (name,))
    else:
        connection.execute(
            "INSERT INTO control (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
