"""The store in a file of SQLite's: ``records.durable`` carries the promise, SQLAlchemy only the statements."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool, StaticPool

from records import durable
from records.errors import Damaged, LotkeeperError, StorageFailed

T = TypeVar("T")

READERS = 8
"""Most connections that read at the same time; a further reader waits."""


class LiteStore:
    """One file, opened: its writer thread and its readers. ``prepare`` runs first, in one transaction."""

    def __init__(
        self,
        path: Path,
        prepare: Callable[[Connection], None],
        on_failure: Callable[[StorageFailed], None] | None,
    ) -> None:
        self.label = str(path)
        self._prepare_tables = prepare
        self._session: Connection | None = None
        self.thread: int | None = None
        self._writer = durable.Writer(path, self._prepare, on_failure)
        self._readers = create_engine(
            "sqlite://",
            creator=lambda: durable.open_reader(path),
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
        )

    def submit(self, job: Callable[[Connection], T], weight: int) -> Future[T]:
        def run(_raw: object) -> T:
            if self._session is None:
                raise StorageFailed(f"{self.label} is not open")
            try:
                return job(self._session)
            except IntegrityError:
                raise
            except DBAPIError as error:
                # unwrapped, so that the writer can tell a failed disk from a wrong statement
                raise error.orig or error from error

        return self._writer.submit(run, weight)

    @property
    def under_way_s(self) -> float:
        return self._writer.under_way_s

    @property
    def refusing(self) -> LotkeeperError | None:
        return self._writer.refusing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._readers.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        self._readers.dispose()  # first, so that the writer is the last and leaves no log behind
        self._writer.close()

    def _prepare(self, raw: Any) -> None:
        self.thread = threading.get_ident()
        # the writer thread owns BEGIN and COMMIT; SQLAlchemy's connection only carries statements
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
        self._session = engine.connect()
        with durable.transaction(raw):
            self._prepare_tables(self._session)


@contextmanager
def reading_file(path: Path) -> Iterator[Connection]:
    """One moment of a file.

    Raises:
        StorageFailed: no such file. Damaged: no database, or one that cannot be read through.
    """
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
