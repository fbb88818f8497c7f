"""Storing a long backlog again under a new epoch, a piece at a time: memory, log and index of it stay small.

Each piece is a transaction of its own. What is still to be done stands in the file (``ledger.to_do``), so that a
crash or a full disk between two pieces costs nothing: it goes on later, before anything new of the line is stored.
Until then it counts as waiting and is not pruned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from edge_agent.outbox import ledger
from edge_agent.outbox.types import Gap
from edge_agent.outbox.verify import holding
from records.model import Header
from records.wire import Envelope

ROWS, BYTES = 500, 1024 * 1024
"""A piece ends with so many rows, or when their bodies come to so many bytes."""


def waits(connection: sqlite3.Connection) -> bool:
    """Whether anything is still to be stored again."""
    return bool(ledger.to_do(connection))


def go_on(connection: sqlite3.Connection, header: Header) -> int:
    """Store the next piece again, inside the caller's transaction; how many rows.

    Rows that do not prove themselves stay where they are: a new record must not give a right digest to what the
    disk altered.
    """
    (number, first, last), *later = ledger.to_do(connection)
    epoch = next(one for one in ledger.epochs(connection) if one.number == number)
    piece = _Piece(epoch.epoch, first, min(last, first + ROWS - 1))
    rows = piece.of(holding(connection, epoch, first, piece.last))
    stored = ledger.store_again(connection, rows, header)
    ledger.note_to_do(connection, [(number, piece.last + 1, last), *later])
    return stored


class _Piece:
    """Rows ``first`` to ``last`` (seq) of an epoch, fewer where their bodies are large."""

    def __init__(self, epoch: str, first: int, last: int) -> None:
        self._epoch, self._next, self.last = epoch, first, last

    def of(self, rows: Iterator[Envelope]) -> Iterator[Envelope | Gap]:
        """Those that hold, and between them what does not."""
        size = 0
        for row in rows:
            if size >= BYTES:
                self.last = row.seq - 1
                break
            yield from self._left(row.seq - 1)
            yield row
            self._next = row.seq + 1
            size += len(row.body or b"")
        yield from self._left(self.last)

    def _left(self, through: int) -> Iterator[Gap]:
        if self._next <= through:
            yield Gap(self._epoch, self._next, through)
