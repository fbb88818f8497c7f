"""The table of central's documents inside the outbox file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from edge_agent.outbox.types import KeptDocument
from records.durable import Writer

CONFIRMED, TIME = ("", ""), ("", "time")
"""Kind and id of the rows that are no documents: when all others were last confirmed, and what counts that."""


class KeptDocuments:
    """Signed documents as they came, one of each kind and id, with the counted time (``edge_agent.counted_time``)
    until which each is known to have been the newest: the column ``received_us``.
    """

    def __init__(self, writer: Writer, read: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._writer = writer
        self._read = read

    def put(self, document: KeptDocument | None = None, *, time: bytes | None = None) -> Future[None]:
        """Store a document in place of the one of its kind and id that is no newer, and a note of the time that
        all count in.

        Raises:
            StorageFailed: the disk failed. The future raises Refused: there is no room.
        """
        rows: list[tuple[str, str, int, bytes, int]] = []
        if document is not None:
            rows.append((document.kind, document.id, document.version, document.payload, document.newest_us))
        if time is not None:
            rows.append((*TIME, 0, time, 0))

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO documents (kind, id, version, payload, received_us) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, payload = excluded.payload,"
                " received_us = excluded.received_us WHERE excluded.version >= documents.version",
                rows,
            )

        return self._writer.submit(job)

    def confirm(self, at_us: int, time: bytes) -> Future[None]:
        """Say of every stored document that it was still the newest then; raises as ``put``."""
        return self.put(KeptDocument(*CONFIRMED, 0, b"", at_us), time=time)

    def confirmed_us(self) -> int:
        """When all were last said to be the newest; 0 when they never were."""
        with self._read() as connection:
            row = connection.execute(
                "SELECT received_us FROM documents WHERE kind = ? AND id = ?", CONFIRMED
            ).fetchone()
        return 0 if row is None else int(row[0])

    def time(self) -> tuple[bytes | None, int]:
        """The note of the time that all count in, and the latest moment that is stored."""
        with self._read() as connection:
            row = connection.execute("SELECT payload FROM documents WHERE kind = ? AND id = ?", TIME).fetchone()
            (latest_us,) = connection.execute("SELECT max(received_us) FROM documents").fetchone()
        return None if row is None else bytes(row[0]), int(latest_us or 0)

    def drop(self, kind: str, document: str) -> Future[None]:
        """Forget a document."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, document))

        return self._writer.submit(job)

    def all(self) -> list[KeptDocument]:
        """Every stored document, the one that was confirmed longest ago first."""
        with self._read() as connection:
            rows = connection.execute(
                "SELECT kind, id, version, payload, received_us FROM documents WHERE kind != ''"
                " ORDER BY received_us, kind, id"
            ).fetchall()
        return [KeptDocument(*row) for row in rows]
