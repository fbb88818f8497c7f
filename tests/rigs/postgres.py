"""A real PostgreSQL for tests: databases copied from a template, killed and restarted at will.

One server serves a whole test process; each test gets a database of its own, copied from a template that central's
migrations made once. The folder lies in memory where there is such a place: what is tested is what the server is
told, not the machine's disk (``tests/machine`` cuts the power).
"""

from __future__ import annotations

import atexit
import os
import signal
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from central.store.database import Server
from central.store.engine import Store
from records.yaml import Secret
from simulators.faults.postgres import USER, LocalPostgres, why_not

__all__ = ["PASSWORD", "USER", "Killed", "PostgresServer", "shared", "why_not"]

PASSWORD = "a-test-password"
MEMORY = Path("/dev/shm")


class PostgresServer(LocalPostgres):
    """``template``: the name of an empty database that central has prepared. ``on_disk``: never in memory."""

    def __init__(self, *, on_disk: bool = False) -> None:
        in_memory = not on_disk and os.access(MEMORY, os.W_OK)
        super().__init__(MEMORY if in_memory else None, {"autovacuum": "off"})
        self._numbers = count(1)
        atexit.register(self.remove)
        self._kept = self.admin()
        self._do(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'")
        self.template = self.empty("template_lotkeeper")
        Store(self.place(self.template)).close()

    def place(self, database: str) -> Server:
        """Over the socket, without a password."""
        return Server(str(self.folder), self.port, USER, database, here=True)

    def over_tcp(self, database: str, password: Secret) -> Server:
        return Server("127.0.0.1", self.port, USER, database, password, here=True)

    def empty(self, name: str | None = None) -> str:
        """A database without tables."""
        name = name or f"empty_{next(self._numbers)}"
        self.make(name)
        return name

    def copy(self, source: str | None = None) -> str:
        """A copy of a database that nobody uses; left out: of one as central makes it, still empty."""
        name, source = f"central_{next(self._numbers)}", source or self.template
        self._do(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {source} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        self._do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        """In a session that is kept for this: a new one takes longer than what it is for."""
        try:
            self._kept.execute(statement.encode())
        except psycopg.OperationalError:  # the server was restarted
            self._kept = self.admin()
            self._kept.execute(statement.encode())

    def admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's session."""
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True
        )


@cache
def shared() -> PostgresServer:
    """The server of this test process."""
    return PostgresServer()


class Killed(psycopg.Connection[Any]):
    """A session whose process at the server is killed (SIGKILL) around its next COMMIT: ``before`` it, ``while``
    it is under way, or ``after`` it, before its answer is heard. The server ends all sessions then, and recovers.
    """

    when: ClassVar[str] = ""

    def execute(self, query: Any, *rest: Any, **words: Any) -> psycopg.Cursor[Any]:
        when = Killed.when if query == "COMMIT" else ""
        if not when:
            return super().execute(query, *rest, **words)
        Killed.when = ""
        if when == "after":
            super().execute(query)
        if when == "while":
            self.pgconn.send_query(query.encode())
        with suppress(ProcessLookupError):
            os.kill(self.info.backend_pid, signal.SIGKILL)
        self.close()
        raise psycopg.OperationalError("the server has gone")
