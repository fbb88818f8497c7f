"""The floor: the same rows into the same tables, by the fastest door that each database has.

Tables, indexes, constraints and guards are those that central itself makes; a commit is on disk as central's is.
The values stand ready in memory; nothing is computed, looked up, changed or compared.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from benchmarks.rig.intake import Filled, Stopwatch, Took
from central.store.bulk import column_types
from central.store.database import Database, Server
from central.store.engine import Store
from central.store.session import connect
from records.durable import Writer
from tests.rigs.postgres import PostgresServer, why_not

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Backend:
    """A kind of database. ``place``: a new one, empty; ``session``: the server's process for a store's writer."""

    name: str
    place: Callable[[], AbstractContextManager[Database]]
    session: Callable[[Store], int | None]
    insert: Callable[[Any, list[Filled]], Took]


def _statement(table: Table, values: str) -> str:
    names = ", ".join(f'"{name}"' for name in table.columns.keys())  # noqa: SIM118  no dict
    return values.format(table=f'"{table.name}"', names=names, marks=", ".join("?" * len(table.columns)))


# -- SQLite ------------------------------------------------------------------------------------------------


@contextmanager
def _file() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="lotkeeper-bench-") as folder:
        yield Path(folder) / "central.db"


def _insert_lite(database: Path, tables: list[Filled]) -> Took:
    """executemany in the writer's thread that central uses too, so that the log is brought into the file alike."""
    Store(database).close()
    insert = "INSERT INTO {table} ({names}) VALUES ({marks})"
    with closing(Writer(database)) as writer:
        work = [(_statement(each.table, insert), each.parts) for each in tables]
        watch = Stopwatch(None)
        for part in range(len(tables[0].parts)):

            def job(connection: Any, part: int = part) -> None:
                for sql, parts in work:
                    connection.executemany(sql, parts[part])

            writer.submit(job).result()
        return watch.stop()


# -- PostgreSQL --------------------------------------------------------------------------------------------


def _server_place(server: PostgresServer) -> Callable[[], AbstractContextManager[Database]]:
    @contextmanager
    def place() -> Iterator[Database]:
        name = server.copy()
        try:
            yield server.place(name)
        finally:
            server.drop(name)

    return place


def _session(store: Store) -> int | None:
    with store.read() as connection:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'lotkeeper writer'"
            " AND datname = current_database()"
        )
        return int(connection.exec_driver_sql(query).scalar_one())


def _insert_server(database: Server, tables: list[Filled]) -> Took:
    """COPY in the binary format."""
    copy = "COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
    with closing(connect(database, "bench")) as raw:
        raw.execute("SELECT 1")
        work = [(_statement(each.table, copy), column_types(each.table), each.parts) for each in tables]
        watch = Stopwatch(raw.info.backend_pid)
        for part in range(len(tables[0].parts)):
            raw.execute("BEGIN")
            with raw.cursor() as cursor:
                for sql, types, parts in work:
                    if not parts[part]:
                        continue
                    with cursor.copy(sql.encode()) as sink:
                        sink.set_types(types)
                        for row in parts[part]:
                            sink.write_row(row)
            raw.execute("COMMIT")
        return watch.stop()


@contextmanager
def backends() -> Iterator[list[Backend]]:
    """Those that can be run here."""
    found = [Backend("sqlite", _file, lambda _: None, _insert_lite)]
    if why_not() is not None:
        print("PostgreSQL is left out:", why_not(), file=sys.stderr)
        yield found
        return
    server = PostgresServer(on_disk=True)
    try:
        yield [*found, Backend("postgresql", _server_place(server), _session, _insert_server)]
    finally:
        server.remove()
