"""Storing a long backlog again under a new epoch, a piece at a time: memory, log and index of it stay small.

Each piece is a transaction of its own. What is still to be done stands in the file (``ledger.to_do``), so that a
crash or a full disk between two pieces costs nothing: it goes on later, before anything new of the line is stored.
Until then it counts as waiting and is not pruned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from pydantic import JsonValue

from edge_agent.outbox import ledger
from edge_agent.outbox.types import Gap
from edge_agent.outbox.verify import holding
from records.model import Fact, Header, OperationsEvent
from records.wire import Envelope

ROWS, BYTES = 500, 1024 * 1024
"""A piece ends with so many rows, or when their bodies come to so many bytes."""


def waits(connection: sqlite3.Connection) -> bool:
    """Whether anything is still to be stored again."""
    return bool(ledger.to_do(connection))


def go_on(connection: sqlite3.Connection, header: Header) -> int:
    """Store the next piece again, inside the caller's transaction; how many rows.

    Rows that do not prove themselves stay where they are, and an event of this header names them: a new record
    must not give a right digest to what the disk altered.
    """
    (number, first, last), *later = ledger.to_do(connection)
    epoch = next(one for one in ledger.epochs(connection) if one.number == number)
    piece = _Piece(first, min(last, first + ROWS - 1))
    rows = piece.of(holding(connection, epoch, first, piece.last))
    stored = ledger.store_again(connection, rows, header.at_us)
    if piece.left:
        gaps: list[JsonValue] = [Gap(epoch.epoch, *span).to_json() for span in piece.left]
        event = OperationsEvent("backlog-damaged", {"lost": gaps})
        ledger.append(connection, [ledger.fact_body(Fact(header, event))], header.at_us)
    ledger.note_to_do(connection, [(number, piece.last + 1, last), *later])
    return stored


class _Piece:
    """Rows ``first`` to ``last`` (seq), fewer where their bodies are large; ``left``: spans that do not hold."""

    def __init__(self, first: int, last: int) -> None:
        self._next, self.last = first, last
        self.left: list[tuple[int, int]] = []

    def of(self, rows: Iterator[Envelope]) -> Iterator[Envelope]:
        size = 0
        for row in rows:
            if size >= BYTES:
                self.last = row.seq - 1
                break
            self._leave(row.seq - 1)
            yield row
            self._next = row.seq + 1
            size += len(row.body or b"")
        self._leave(self.last)

    def _leave(self, through: int) -> None:
        if self._next <= through:
            self.left.append((self._next, through))
