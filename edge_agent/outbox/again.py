"""Storing a long backlog again under a new epoch, a piece at a time: memory, log and index of it stay small.

Each piece is a transaction of its own. What is still to be done stands in the file, so that a crash between two
pieces costs nothing: the next start goes on, before anything else is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter

from edge_agent.outbox import ledger
from edge_agent.outbox.schema import note_control, noted_control
from edge_agent.outbox.verify import holding
from records.wire import Envelope

ROWS, BYTES = 500, 1024 * 1024
"""A piece ends with so many rows, or when their bodies come to so many bytes."""
_TO_DO = "again"

Span = tuple[int, int, int]
"""Number of an epoch, first and last seq in it."""
_SPANS = TypeAdapter(list[Span])


def begin(connection: sqlite3.Connection, given_up: Iterable[tuple[ledger.Epoch, int, int]]) -> None:
    """Note what is to be stored again; behind what was noted before."""
    spans = [
        *_to_do(connection),
        *((epoch.number, first, last) for epoch, first, last in given_up if first <= last),
    ]
    note_control(connection, _TO_DO, _SPANS.dump_json(spans).decode() if spans else None)


def waits(connection: sqlite3.Connection) -> bool:
    """Whether anything is still to be stored again."""
    return noted_control(connection, _TO_DO) is not None


def go_on(connection: sqlite3.Connection, at_us: int) -> int:
    """Store the next piece again, inside the caller's transaction; how many rows."""
    spans = _to_do(connection)
    if not spans:
        return 0
    (number, first, last), *later = spans
    epoch = next(one for one in ledger.epochs(connection) if one.number == number)
    taken = _Taken(first)
    stored = ledger.store_again(connection, taken.piece(holding(connection, epoch, first, last)), at_us)
    left: list[Span] = [(number, taken.next, last)] if taken.cut else []
    note_control(connection, _TO_DO, _SPANS.dump_json([*left, *later]).decode() if left or later else None)
    return stored


def _to_do(connection: sqlite3.Connection) -> list[Span]:
    noted = noted_control(connection, _TO_DO)
    return [] if noted is None else _SPANS.validate_json(noted)


class _Taken:
    """How far a piece went; ``cut``: it ended before the rows did."""

    def __init__(self, first: int) -> None:
        self.next, self.cut = first, False

    def piece(self, rows: Iterator[Envelope]) -> Iterator[Envelope]:
        size = 0
        for count, row in enumerate(rows):
            if count >= ROWS or size >= BYTES:
                self.next, self.cut = row.seq, True
                return
            yield row
            size += len(row.body or b"")
