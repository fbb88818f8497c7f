"""Central's database: one writer thread, any number of readers, evidence that cannot be changed by accident.

Promise: when ``Store.write(job)`` returns, what the job wrote is on disk, together or not at all
(``records.durable`` for a file of SQLite's, ``central.store.postgres`` for a server). Jobs run one after the
other, each alone in the database; a job that raises takes only itself back. Readers see one consistent moment and
can never write.

At every start, before anything else is written: the triggers that guard append-only tables are compared with
what they must be (a missing one means that somebody opened the database by hand, and central refuses to start),
migrations run in one transaction, the guards are compared again.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoReaderFree

import central.store
from central.store import partitions, search
from central.store.database import Database
from central.store.guards import assert_guards, make_guards
from central.store.lite import LiteStore, reading_file
from central.store.schema import metadata
from central.stored import StoredFact
from records.errors import LotkeeperError, NotStored, Refused, StorageFailed, Unreachable

__all__ = ["Connection", "Store", "assert_guards", "at_any_version", "is_away", "reading", "unless_away"]

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parent / "migrations"
_WITHOUT_TABLES = (
    "engine",
    "guards",
    "lite",
    "database",
    "postgres",
    "session",
    "types",
    "packed",
    "server_state",
)


class _Back(Protocol):
    """What carries a store. ``thread``: the one in which jobs run."""

    label: str
    thread: int | None

    @property
    def under_way_s(self) -> float: ...

    @property
    def refusing(self) -> LotkeeperError | None: ...

    def submit(self, job: Callable[[Connection], T], weight: int) -> Future[T]: ...

    def read(self) -> AbstractContextManager[Connection]: ...

    def close(self) -> None: ...


class Store:
    """Central's database, opened. See the module for its promise."""

    def __init__(
        self,
        database: Database,
        on_failure: Callable[[StorageFailed], None] | None = None,
        *,
        alone: bool = True,
    ) -> None:
        """Open or make the database, bring its tables up to date and check its guards.

        ``alone``: on a server this process must be the only one that writes; else it is one of several.

        Raises:
            Damaged: no database, or a guard is missing. StorageFailed: the disk refuses, or a server that does not
            keep its commits. Unreachable: no server. Refused: another central has the server's database.
        """
        _import_tables()
        self._back: _Back
        if isinstance(database, Path):
            self._back = LiteStore(database, _prepare, on_failure)
        else:
            from central.store.postgres import PostgresStore  # its library is loaded where there is a server

            self._back = PostgresStore(database, _prepare, on_failure, alone)
        self.database = database

    def submit(self, job: Callable[[Connection], T], weight: int = 0) -> Future[T]:
        """Queue a job for the writer thread that writes about ``weight`` bytes; its future is done after the
        commit that holds its work.

        A job keeps nothing but what it returns: on a server whose connection failed before the commit it runs
        again.
        """
        return self._back.submit(job, weight)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run a job in the writer thread and wait for its commit. Never call it from within a job.

        Raises:
            StorageFailed: the disk failed, now or earlier: the process must stop. Else what the job raised.
        """
        if threading.get_ident() == self._back.thread:
            raise RuntimeError("a write job may not wait for another one: use its connection")
        return self.submit(job).result()

    @property
    def under_way_s(self) -> float:
        """How long the writer has been at what it is doing, a lock or a disk that it waits for included; 0: at
        nothing.
        """
        return self._back.under_way_s

    @property
    def refusing(self) -> LotkeeperError | None:
        """Why what is to be stored is refused of late; None: it is not. It is tried on."""
        return self._back.refusing

    def read(self) -> AbstractContextManager[Connection]:
        """A connection that can only read, and sees one moment of the database until the block ends.

        Raises:
            Unreachable: the server is away.
        """
        return self._back.read()

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

    def facts_by_hash(self, hashes: Iterable[str]) -> dict[str, StoredFact]:
        """The readable records of these chain hashes (hexadecimal), by hash."""
        with self.read() as connection:
            return search.by_hashes(connection, hashes)

    def close(self) -> None:
        """Finish what waits and close. Safe to call twice."""
        self._back.close()


def is_away(error: Exception) -> bool:
    """Whether an error says that the database cannot be used now: away, slow, unfit, its disk full or failed."""
    return isinstance(error, NotStored | StorageFailed | Unreachable | OperationalError | NoReaderFree)


@contextmanager
def unless_away() -> Iterator[None]:
    """Around what is done besides, and left out while the database cannot be used.

    Raises:
        StorageFailed: it failed for good, and the process must stop.
    """
    try:
        yield
    except StorageFailed:
        raise
    except Exception as error:
        if not is_away(error):
            raise


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """One moment of a database, whether or not a server has it open; nothing is written.

    Raises:
        StorageFailed: no such file. Damaged: no database, or one that cannot be read through. Unreachable: no
        server. Refused: central was never started on it, or only an older version.
    """
    with at_any_version(database) as connection:
        _refuse_older(connection, database)
        yield connection


@contextmanager
def at_any_version(database: Database, *, whole: bool = True) -> Iterator[Connection]:
    """The same for who asks what is there at all: there may be no tables, or those of an older central.

    ``whole``: no part of it is dropped meanwhile. Who reads no record needs that not, and waits for no lock.

    Raises:
        StorageFailed, Damaged, Unreachable: as ``reading``.
    """
    _import_tables()
    if isinstance(database, Path):
        with reading_file(database) as connection:
            yield connection
        return
    from central.store.session import reader, readers

    engine = readers(database)
    try:
        with reader(engine, str(database)) as connection:
            if whole:
                partitions.keep(connection)
            yield connection
    finally:
        engine.dispose()


def _refuse_older(connection: Connection, database: Database) -> None:
    there = set(inspect(connection).get_table_names())
    if not {"body", "telemetry_body", "tombstone"} <= there:
        raise Refused(
            f"{database} has no tables of this version of central",
            hint="start central once: it brings a database of an older version up to date",
        )


def _prepare(connection: Connection) -> None:
    """In the store's first transaction."""
    known = set(inspect(connection).get_table_names())
    assert_guards(connection, known)
    _migrate(connection)
    make_guards(connection)
    assert_guards(connection)


def _import_tables() -> None:
    """Every module of this package may define tables; they must be known before the schema is made."""
    for module in pkgutil.iter_modules(central.store.__path__):
        if not module.ispkg and module.name not in _WITHOUT_TABLES:
            importlib.import_module(f"central.store.{module.name}")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    there = set(inspect(connection).get_table_names())  # asked at once: create_all would ask for each of them
    later = [table for table in metadata.sorted_tables if table.name not in there]
    metadata.create_all(connection, tables=later, checkfirst=False)  # tables that came after the first migration
    partitions.make_ahead(connection)
