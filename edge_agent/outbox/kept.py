"""The table of central's documents inside the outbox file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from edge_agent.outbox.types import KeptDocument
from records.durable import Writer

CONFIRMED = ("", "")
"""Kind and id of the row that says when all others were last confirmed."""


class KeptDocuments:
    """Signed documents as they came, one of each kind and id."""

    def __init__(self, writer: Writer, read: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._writer = writer
        self._read = read

    def put(self, document: KeptDocument) -> Future[None]:
        """Store a document in place of the one of that kind and id."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO documents (kind, id, version, payload, received_us) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, payload = excluded.payload,"
                " received_us = excluded.received_us",
                (document.kind, document.id, document.version, document.payload, document.received_us),
            )

        return self._writer.submit(job)

    def confirm(self, at_us: int) -> Future[None]:
        """Say of every stored document that it was still the newest then.

        When each came stays as it is: by that time's keys its signature is judged.
        """
        return self.put(KeptDocument(*CONFIRMED, 0, b"", at_us))

    def confirmed_us(self) -> int:
        """When all were last said to be the newest; 0 when they never were."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT received_us FROM documents WHERE kind = ? AND id = ?", CONFIRMED
            ).fetchone()
        return 0 if row is None else int(row[0])

    def drop(self, kind: str, document: str) -> Future[None]:
        """Forget a document."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, document))

        return self._writer.submit(job)

    def all(self) -> list[KeptDocument]:
        """Every stored document, the one that came first first."""
        with self._read() as connection:
            rows = connection.execute(
                "SELECT kind, id, version, payload, received_us FROM documents WHERE (kind, id) != (?, ?)"
                " ORDER BY received_us, kind, id",
                CONFIRMED,
            ).fetchall()
        return [KeptDocument(*row) for row in rows]
