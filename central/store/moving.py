"""All of a database into another one, row by row: from a server into a file, and from a file into a server.

The file is a database of central's like any other: it can be verified, kept as a backup, and served. So a backup
does not depend on what made it, and a plant that outgrows the file goes over to a server by a restore.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from central.store import partitions
from central.store.bulk import Insert
from central.store.database import Server
from central.store.engine import Store, reading
from central.store.schema import metadata
from records import durable
from records.clock import MICROSECONDS, from_us
from records.errors import Refused
from records.progress import Tell, silent

ROWS = 2000
"""Most rows that are carried at once."""
ROWS_READ = 16
"""Rows with bodies that are read at once: one can have 8 MiB."""
BYTES = 16 * 1024 * 1024
"""So much of bodies is carried at once, and no more than what was read with it."""
_LARGE = {"body", "payload"}
DAY_US = 86_400 * MICROSECONDS


def into_file(server: Server, target: Path) -> None:
    """One moment of a server's database as a file, whole and on disk when this returns; others go on writing.

    Raises:
        Unreachable: the server. StorageFailed: the file cannot be written.
    """
    work = target.with_name(target.name + ".carried")
    _remove(work)
    store = Store(work)
    try:
        with reading(server) as source:
            for table in metadata.sorted_tables:
                insert = Insert(table, *table.c.keys())
                for rows in _portions(source, table):
                    store.write(lambda c, to=insert, what=rows: to(c, what))  # type: ignore[misc]
    finally:
        store.close()
    durable.snapshot(work, target)
    _remove(work)


def into_server(source: Path, server: Server, tell: Tell = silent) -> None:
    """A file's whole content into a server's empty database, in one transaction. ``tell`` hears of rows.

    Raises:
        Refused: the database has content already. Unreachable, StorageFailed: the server. Damaged: the file.
    """
    store = Store(server)
    try:
        with reading(source) as file:
            store.write(lambda connection: _fill(file, connection, str(server), tell))
    finally:
        store.close()


def _fill(source: Connection, target: Connection, label: str, tell: Tell) -> None:
    full = [
        t.name for t in metadata.sorted_tables if t.name != "meta" and target.execute(select(t).limit(1)).first()
    ]
    if full:
        raise Refused(f"{label} has content already ({full[0]})", hint="make an empty database and name that one")
    target.execute(metadata.tables["meta"].delete())
    _make_parts(source, target)
    brought = 0
    for table in metadata.sorted_tables:
        insert = Insert(table, *table.c.keys())
        for rows in _portions(source, table):
            insert(target, rows)
            brought += len(rows)
            tell(brought)
        column = table.autoincrement_column
        if column is not None:  # numbers given by hand do not move what gives the next ones
            highest = target.execute(select(func.max(column))).scalar()
            query = text("SELECT setval(pg_get_serial_sequence(:name, :column), :highest)")
            if highest is not None:
                target.execute(query, {"name": f'"{table.name}"', "column": column.name, "highest": highest})


def _make_parts(source: Connection, target: Connection) -> None:
    """The parts of the months that the rows need: what lies with the rest is never dropped as a whole."""
    if target.dialect.name == "sqlite":
        return
    days: set[int] = set()
    for table in metadata.tables.values():
        if table.info.get("partitioned"):
            days |= set(source.execute(select(table.c.received_us // DAY_US).distinct()).scalars())
    one_a_month = {f"{from_us(day * DAY_US):%Y-%m}": day for day in days}
    for day in sorted(one_a_month.values()):
        partitions.make_ahead(target, day * DAY_US)


def _portions(source: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """All rows by their keys, as plain values."""
    query = select(table).order_by(*table.primary_key.columns)
    large = [place for place, name in enumerate(table.c.keys()) if name in _LARGE]
    portion: list[tuple[Any, ...]] = []
    size = 0
    with source.execution_options(yield_per=ROWS_READ if large else ROWS).execute(query) as found:
        for rows in found.partitions():
            portion += [tuple(row) for row in rows]
            size += sum(len(row[place] or b"") for row in rows for place in large)
            if size >= BYTES or len(portion) >= ROWS:
                yield portion
                portion, size = [], 0
    if portion:
        yield portion


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
