"""Small statements of the outbox: state, indexes, space, and the run of rows that is sent next."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from edge_agent.outbox import ledger
from edge_agent.outbox.schema import NO_GENERATION, control
from edge_agent.outbox.types import Batch, Run
from edge_agent.outbox.verify import BODY_DAMAGED, fault, state_digest
from records.errors import Damaged
from records.wire import Envelope

INDEX_ROWS = 1_000_000
"""Most rows of each index; the oldest give way."""
INDEX_SHARE, INDEX_WEIGHT = 8, 450
"""Under a cap they fill about this part of it at most (one eighth), at so many bytes for one row of each."""
TRIMMED = 2000
"""Rows of an index that are forgotten in one statement."""
ROW_ROOM = 100
"""What a row takes in a frame's header, beside its body."""


class BodyDamaged(Damaged):
    """One body lost its digest on disk; the chain holds, a tombstone can stand in."""

    def __init__(self, epoch: ledger.Epoch, seq: int) -> None:
        super().__init__(f"row {epoch.epoch}/{seq}: {BODY_DAMAGED}")
        self.epoch, self.seq = epoch, seq


def used_bytes(connection: sqlite3.Connection) -> int:
    """What the file's contents take; freed pages are not counted, they are used again."""
    pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count")
    )
    return (pages - free) * page_bytes(connection)


def page_bytes(connection: sqlite3.Connection) -> int:
    """Of the file, which keeps what it was made with."""
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def set_states(connection: sqlite3.Connection, states: Mapping[str, str | None]) -> None:
    """Replace states; None takes one away."""
    if not states:
        return
    gone = [(key,) for key, value in states.items() if value is None]
    kept = [(key, value, state_digest(key, value)) for key, value in states.items() if value is not None]
    connection.executemany("DELETE FROM state WHERE key = ?", gone)
    connection.executemany(
        "INSERT INTO state (key, value, digest) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
        " value = excluded.value, digest = excluded.digest",
        kept,
    )


def index(connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """Add the runs and identities of batches to the indexes."""
    runs = [(run.order or "", run.station, run.subject) for batch in batches for run in batch.runs]
    units = [
        (known.product or "", known.scheme, known.id, known.carrier)
        for batch in batches
        for known in batch.identities
    ]
    if runs:
        connection.executemany("INSERT INTO runs (order_reference, station, subject) VALUES (?, ?, ?)", runs)
    if units:
        connection.executemany(
            "INSERT INTO identities (product, scheme, id, carrier) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (product, scheme, id) DO UPDATE SET carrier = excluded.carrier",
            units,
        )


def index_rows(cap: int | None) -> int:
    """Most rows of each index in a file of so many bytes."""
    return INDEX_ROWS if cap is None else min(INDEX_ROWS, cap // INDEX_SHARE // INDEX_WEIGHT)


def trim_indexes(connection: sqlite3.Connection, limit: int) -> int:
    """Forget the oldest rows of each index beyond its newest ``limit``, some of them at once; how many."""
    count = 0
    for table, key in (("runs", "number"), ("identities", "rowid")):
        oldest = f"SELECT {key} FROM {table} WHERE {key} <= (SELECT max({key}) FROM {table}) - ?"  # noqa: S608
        some = f"DELETE FROM {table} WHERE {key} IN ({oldest} ORDER BY {key} LIMIT ?)"  # noqa: S608
        count += connection.execute(some, (limit, TRIMMED)).rowcount
    return count


def first_standing(connection: sqlite3.Connection, position: int) -> tuple[ledger.Epoch, int] | None:
    """Epoch and seq of the first row behind a position that was not stored again under a later epoch."""
    for epoch in ledger.epochs(connection):
        seq = max(position - epoch.first_position + 2, epoch.pruned + 1)
        if seq <= epoch.standing:
            return epoch, seq
    return None


def run(connection: sqlite3.Connection, epoch: ledger.Epoch, first: int, max_records: int, max_bytes: int) -> Run:
    """Rows from ``first`` on, each checked against digest and chain; at least one when there is one.

    Raises:
        BodyDamaged: the first row's body is not what was stored. Damaged: the chain is broken there.
    """
    previous = ledger.hash_at(connection, epoch, first - 1)
    if previous is None:
        raise Damaged(f"the buffer does not hold the row before {epoch.epoch}/{first}")
    taken: list[Envelope] = []
    size, link = 0, previous
    for envelope in ledger.envelopes(connection, epoch, first, min(epoch.standing, first + max_records - 1)):
        room = size + ROW_ROOM + len(envelope.body or b"")
        if taken and room > max_bytes:
            break
        if (reason := fault(envelope, link)) is not None:
            if taken:
                break  # what holds goes first
            if reason == BODY_DAMAGED:
                raise BodyDamaged(epoch, envelope.seq)
            raise Damaged(f"row {epoch.epoch}/{envelope.seq}: {reason}")
        taken.append(envelope)
        size, link = room, envelope.hash
    generation = int(control(connection, "generation"))
    heard = None if generation == NO_GENERATION else generation
    return Run(previous, tuple(taken), epoch.position(first + len(taken) - 1), size, heard)
