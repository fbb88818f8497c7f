"""Central's database: one writer thread, any number of readers, evidence that cannot be changed by accident.

Promise: when ``Store.write(job)`` returns, what the job wrote is on disk (``records.durable``), together or not
at all. Jobs run one after the other in one thread, inside BEGIN IMMEDIATE; a job that raises takes only itself
back. Readers see one consistent moment and can never write.

At every start, before anything else is written: the triggers that guard append-only tables are compared with
what they must be (a missing one means that somebody opened the database by hand, and central refuses to start),
migrations run in one transaction, the guards are compared again.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, UniqueConstraint, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool, StaticPool

import central.store
from central.store import search
from central.store.schema import metadata
from central.stored import StoredFact
from records import durable
from records.errors import Damaged, StorageFailed

__all__ = ["Connection", "Store", "assert_guards", "reading"]

T = TypeVar("T")

READERS = 8
"""Most connections that read at the same time; a further reader waits."""

_MIGRATIONS = Path(__file__).parent / "migrations"


class Store:
    """Central's database file, opened. See the module for its promise."""

    def __init__(self, path: Path, on_failure: Callable[[StorageFailed], None] | None = None) -> None:
        """Open or make the database, bring its tables up to date and check its guards.

        Raises:
            Damaged: no database, or a guard is missing. StorageFailed: the disk refuses.
        """
        self.path = path
        self._session: Connection | None = None
        self._thread: int | None = None
        _import_tables()
        self._writer = durable.Writer(path, self._prepare, on_failure)
        self._readers = create_engine(
            "sqlite://",
            creator=lambda: durable.open_reader(path),
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
        )

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queue a job for the writer thread; its future is done after the commit that holds its work."""

        def run(_raw: object) -> T:
            if self._session is None:
                raise StorageFailed(f"{self.path} is not open")
            try:
                return job(self._session)
            except IntegrityError:
                raise
            except DBAPIError as error:
                # unwrapped, so that the writer can tell a failed disk from a wrong statement
                raise error.orig or error from error

        return self._writer.submit(run)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the writer thread and wait for its commit. Never call it from within a job.

        Raises:
            StorageFailed: the disk failed, now or earlier: the process must stop. Else what the job raised.
        """
        if threading.get_ident() == self._thread:
            raise RuntimeError("a write job may not wait for another one: use its connection")
        return self.submit(job).result()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends."""
        with self._readers.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def facts(
        self,
        *,
        order: str | None = None,
        lot: str | None = None,
        product: str | None = None,
        kinds: Sequence[str] | None = None,
        codes: Sequence[str] | None = None,
        stations: Sequence[str] | None = None,
        subject: str | None = None,
        run_id: str | None = None,
        agent: str | None = None,
        stream: str = "records",
        after: int | None = None,
        limit: int | None = None,
    ) -> list[StoredFact]:
        """Readable records in the order of their commit; every filter that is given must hold.

        ``codes`` are event codes and acts of decisions, ``subject`` the id of any subject that the record names,
        ``after`` the ``cursor`` of the last one already read.
        """
        wanted = search.Wanted(
            order, lot, product, kinds, codes, stations, subject, run_id, agent, stream, after, limit
        )
        with self.read() as connection:
            return search.facts(connection, wanted)

    def fact(self, chain_hash: str) -> StoredFact | None:
        """The readable record with this chain hash (hexadecimal)."""
        with self.read() as connection:
            return search.by_hash(connection, chain_hash)

    def close(self) -> None:
        """Finish what waits and close. Safe to call twice."""
        self._readers.dispose()  # first, so that the writer is the last and leaves no log behind
        self._writer.close()

    def _prepare(self, raw: Any) -> None:
        self._thread = threading.get_ident()
        # the writer thread owns BEGIN and COMMIT; SQLAlchemy's connection only carries statements
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
        self._session = engine.connect()
        with durable.transaction(raw):
            known = set(inspect(self._session).get_table_names())
            assert_guards(self._session, known)
            _migrate(self._session)
            _make_guards(self._session)
            assert_guards(self._session)


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """One moment of a database, whether or not a server has it open; nothing is written.

    Raises:
        StorageFailed: no such file. Damaged: no database, or one that cannot be read through.
    """
    _import_tables()
    raw = durable.open_reader(path)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
    except DBAPIError as error:
        raise Damaged(f"{path} cannot be read: {error.orig}", hint="restore a backup") from error
    finally:
        raw.close()


def _import_tables() -> None:
    """Every module of this package may define tables; they must be known before the schema is made."""
    for module in pkgutil.iter_modules(central.store.__path__):
        if not module.ispkg and module.name != "engine":
            importlib.import_module(f"central.store.{module.name}")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    # tables of modules that came after the first migration, until something has been released
    metadata.create_all(connection)


def _guards(table_name: str) -> dict[str, str]:
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


def _append_only() -> list[str]:
    return [name for name, table in metadata.tables.items() if table.info.get("append_only")]


def _found_guards(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {row.name: row.sql for row in rows}


def _make_guards(connection: Connection) -> None:
    found = _found_guards(connection)
    for table in _append_only():
        for name, sql in _guards(table).items():
            if name not in found:
                connection.exec_driver_sql(sql)


def assert_guards(connection: Connection, tables: Collection[str] | None = None) -> None:
    """Check that the append-only tables are guarded exactly as they must be: those among ``tables``, else all that
    this database must have.

    Raises:
        Damaged: names the first trigger that is missing or different.
    """
    found = _found_guards(connection)
    if tables is None:
        there = inspect(connection).get_table_names()
        tables = [
            name for name in _append_only() if name in there or not metadata.tables[name].info.get("added_later")
        ]
    for table in _append_only():
        for name, sql in _guards(table).items() if table in tables else ():
            if found.get(name) != sql:
                raise Damaged(
                    f"the trigger {name} that protects the table {table} is missing or changed",
                    hint="somebody changed the database by hand: run lotkeeper-central verify, restore a backup",
                )
