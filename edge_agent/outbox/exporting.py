"""What an outbox file has for central, read from outside: while the agent runs, when it is down, from a copy.

Each run is read in a view of its own, so that a long export of a running agent keeps no log from being cleared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.outbox import ledger, rows, schema
from edge_agent.outbox.types import Place, Run
from edge_agent.outbox.verify import looking
from records.errors import Damaged
from records.wire import DAMAGED, Tombstone


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose file it is, and the last record in it, which counts until ``at_us`` as a head does."""

    agent: str
    stream: str
    head: Place
    at_us: int


def owner(path: Path, now_us: int) -> Owner:
    """Whose file this is.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox.
    """
    with looking(path) as connection, _view(connection):
        agent, stream = schema.control(connection, "agent"), schema.control(connection, "stream")
        try:
            at_us = ledger.whole_until_us(connection, now_us)
        except Damaged:  # of what is left nobody knows
            at_us = 0
        return Owner(agent, stream, ledger.current(connection).place, at_us)


def runs(path: Path, max_records: int, max_bytes: int, *, everything: bool = False) -> Iterator[Run]:
    """Every run that central has not acknowledged (``everything``: that the file still holds), in order.

    Rows that were stored again under a later epoch are passed over, as by the uplink. A body that lost its digest
    on disk is a tombstone in its run; the file itself is left as it is.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox, or more of it cannot be sent as it is: its
            chain is broken behind what came, or a backlog is still to be stored again.
    """
    with looking(path) as connection:
        with _view(connection):
            position = 0 if everything else ledger.acknowledged(connection)
        while True:
            with _view(connection):
                found = rows.first_standing(connection, position)
                run = None if found is None else _run(connection, *found, max_records, max_bytes)
                left = sum(last - first + 1 for _, first, last in ledger.to_do(connection))
            if run is None and left:
                raise Damaged(f"{path}: {left} records were not stored again yet under their new epoch")
            if run is None:
                return
            yield run
            position = run.position


def _run(connection: sqlite3.Connection, epoch: ledger.Epoch, first: int, max_records: int, max_bytes: int) -> Run:
    try:
        return rows.run(connection, epoch, first, max_records, max_bytes)
    except rows.BodyDamaged:
        row = next(ledger.envelopes(connection, epoch, first, first))
        previous = ledger.hash_at(connection, epoch, first - 1)
        if previous is None:
            raise
        grave = Tombstone(row.digest.hex(), DAMAGED, row.agent)
        return Run(
            previous, (replace(row, body=None, tombstone=grave),), epoch.position(first), rows.ROW_ROOM, None
        )


@contextmanager
def _view(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
