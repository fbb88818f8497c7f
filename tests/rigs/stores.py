"""Where a test's central keeps its database: in a file, or on the test process's PostgreSQL.

A test module marked ``both_stores`` runs over both; a rig asks ``place(folder)`` and knows nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from central.store.database import Database
from central.store.engine import Store
from tests.rigs import postgres

_databases: dict[Path, str] | None = None
_done: list[str] = []


def place(folder: Path) -> Database:
    """The same database for the same folder."""
    if _databases is None:
        return folder / "central.db"
    server = postgres.shared()
    if folder not in _databases:
        while _done:  # not at the end of their tests: their sessions take a moment to go
            server.drop(_done.pop())
        _databases[folder] = server.copy()
    return server.place(_databases[folder])


def opened(folder: Path) -> Store:
    """Central's store in this folder; a new file begins as a copy, which is opened in a fourth of the time."""
    database = place(folder)
    if isinstance(database, Path) and not database.exists():
        folder.mkdir(parents=True, exist_ok=True)
        database.write_bytes(_empty())
    return Store(database)


@cache
def _empty() -> bytes:
    """A file as central makes it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "central.db"
        Store(file).close()
        return file.read_bytes()


@contextmanager
def on_postgres() -> Iterator[None]:
    """Within it, databases are the server's."""
    global _databases
    _databases = {}
    try:
        yield
    finally:
        made, _databases = _databases, None
        _done.extend(made.values())


def is_server() -> bool:
    return _databases is not None


def by_hand(folder: Path, statement: str) -> list[Any]:
    """What somebody does who opens the database beside central, with all rights."""
    database = place(folder)
    if isinstance(database, Path):
        with closing(sqlite3.connect(database)) as connection, connection:
            return connection.execute(statement).fetchall()
    with postgres.shared().admin(database.name) as server:
        found = server.execute(statement.encode())
        return found.fetchall() if found.description else []


def snapshot(folder: Path) -> object:
    """The database as it is, to ``restore`` it later; nobody has it open."""
    database = place(folder)
    if isinstance(database, Path):
        return database.read_bytes()
    return postgres.shared().copy(database.name)


def restore(folder: Path, kept: object) -> None:
    """Put a snapshot back in the place of what came since; None: there is no database any more."""
    database = place(folder)
    if isinstance(database, Path):
        database.unlink() if kept is None else database.write_bytes(kept)  # type: ignore[arg-type]
    elif _databases is not None:
        _databases[folder] = postgres.shared().copy() if kept is None else str(kept)
