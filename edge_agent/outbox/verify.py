"""Prove an outbox file from outside, and look into it: read-only, while the agent runs or when it is down."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox import ledger, note, schema
from edge_agent.outbox.types import FirstBad, Pending, Place, Verification
from records import chain
from records.durable import open_reader
from records.errors import Damaged
from records.wire import Envelope

BODY_DAMAGED = "the body does not have its digest"
"""The one fault that leaves the chain provable: a tombstone can stand in."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds: its last record, what central acknowledged, what waits, how much there is."""

    agent: str
    stream: str
    head: Place
    acknowledged: Place
    pending: Pending
    records: int
    bytes: int


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One consistent view of the file.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox, or SQLite finds it damaged.
    """
    with looking(path) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """As ``reading``, without holding one view: for what takes long while the agent runs."""
    try:
        with closing(open_reader(path)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
                raise Damaged(f"{path} is no outbox of an agent")
            yield connection
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise Damaged(f"{path} is damaged: {error}") from error


def pending(connection: sqlite3.Connection) -> Pending:
    """What central has not committed yet, with what is still to be stored again."""
    stretches = waiting(ledger.epochs(connection), ledger.acknowledged(connection), ledger.to_do(connection))
    spans = [(epoch.position(first), epoch.position(last)) for epoch, first, last in stretches]
    if not spans:
        return Pending(0, None)
    row = connection.execute("SELECT stored_us FROM records WHERE position = ?", (min(spans)[0],)).fetchone()
    return Pending(sum(last - first + 1 for first, last in spans), None if row is None else int(row[0]))


def waiting(
    epochs: Iterable[ledger.Epoch], acknowledged: int, to_do: Iterable[ledger.Span]
) -> Iterator[tuple[ledger.Epoch, int, int]]:
    """Rows (of an epoch, from a seq to another) that central has not committed, in the order in which it gets
    them: those that stand behind a position, then those that are still to be stored again.
    """
    known = {epoch.number: epoch for epoch in epochs}
    standing = [(e.number, acknowledged - e.first_position + 2, e.standing) for e in known.values()]
    for number, first, last in (*standing, *to_do):
        held = max(first, known[number].pruned + 1)
        if held <= last:
            yield known[number], held, last


def inspect(path: Path) -> Contents:
    """What the file holds now.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox.
    """
    with reading(path) as connection:
        rows, size = connection.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM records").fetchone()
        return Contents(
            schema.control(connection, "agent"),
            schema.control(connection, "stream"),
            ledger.current(connection).place,
            ledger.place_at(connection, ledger.acknowledged(connection)),
            pending(connection),
            int(rows),
            int(size),
        )


def export(path: Path) -> Iterator[Envelope]:
    """Every record that the file still holds, in order.

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no outbox.
    """
    with reading(path) as connection:
        for epoch in ledger.epochs(connection):
            yield from ledger.envelopes(connection, epoch, epoch.pruned + 1, epoch.last)


def verify(path: Path) -> Verification:
    """Check every page, every body against its digest, every link, that no row is missing, and the guards.

    Raises:
        StorageFailed: the file cannot be opened at all.
    """
    try:
        with reading(path) as connection:
            return _verify(connection, path)
    except Damaged as error:
        return Verification(False, 0, 0, None, error.message)


def _reaches(path: Path, noted: Place) -> bool:
    """Whether the file holds that row by now: the agent may have committed it behind the view that was had."""
    with reading(path) as connection:
        epoch = ledger.epoch_named(connection, noted.epoch)
        return epoch is not None and ledger.hash_at(connection, epoch, noted.seq) == noted.hash


def _verify(connection: sqlite3.Connection, path: Path) -> Verification:
    problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        return Verification(False, 0, 0, None, f"SQLite finds the file damaged: {problem}")
    schema.assert_whole(connection)
    records = tombstones = 0
    agent, stream = schema.control(connection, "agent"), schema.control(connection, "stream")
    position = 1
    for epoch in ledger.epochs(connection):
        if epoch.first_position != position:
            bad = FirstBad(agent, epoch.epoch, stream, 1)
            return Verification(False, records, tombstones, bad, "an epoch of the file is missing")
        seq, reason = epoch.pruned, None
        for seq, reason in check(connection, epoch, epoch.pruned, epoch.last):
            if reason is not None:
                return Verification(False, records, tombstones, FirstBad(agent, epoch.epoch, stream, seq), reason)
            records += 1
        row = connection.execute(
            "SELECT count(*) FROM records WHERE epoch = ? AND body IS NULL", (epoch.number,)
        ).fetchone()
        tombstones += int(row[0])
        position = epoch.position(epoch.last + 1)
    noted = note.read(note.path_of(path), agent, stream)
    last = ledger.current(connection)
    ahead = noted is not None and noted.epoch == last.epoch and noted.seq > last.last
    if noted is not None and ahead and not _reaches(path, noted):
        bad = FirstBad(agent, last.epoch, stream, last.last + 1)
        return Verification(
            False, records, tombstones, bad, "the file ends before the row that is noted beside it"
        )
    states = connection.execute("SELECT key, value, digest FROM state").fetchall()
    for key, value, digest in states:
        if state_digest(key, value) != digest:
            return Verification(False, records, tombstones, None, f"the state {key} does not have its digest")
    return Verification(True, records, tombstones)


def check(
    connection: sqlite3.Connection, epoch: ledger.Epoch, after: int, last: int
) -> Iterator[tuple[int, str | None]]:
    """(seq, None) for each row behind ``after`` that holds, (seq, reason) for one that does not.

    It goes on behind a damaged body, and ends at any other fault.
    """
    previous = ledger.hash_at(connection, epoch, after)
    if previous is None:
        yield after, "the row is missing"
        return
    seq = after
    try:
        for envelope in ledger.envelopes(connection, epoch, after + 1, last):
            if envelope.seq != seq + 1:
                break
            seq += 1
            reason = fault(envelope, previous)
            yield seq, reason
            if reason not in (None, BODY_DAMAGED):
                return
            previous = envelope.hash
    except Damaged as error:
        yield seq + 1, error.message
        return
    if seq != last:
        yield seq + 1, "the row is missing"
    elif last == epoch.last and previous != epoch.head:
        yield last, "the row does not have the hash that was noted for the last one"
    elif last == epoch.last and ledger.goes_on(connection, epoch):
        yield last + 1, "the row stands behind the one that was noted as the last"


def holding(connection: sqlite3.Connection, epoch: ledger.Epoch, first: int, last: int) -> Iterator[Envelope]:
    """Rows ``first`` to ``last`` (seq) that prove themselves, for who makes records from them: a new one must not
    give a right digest to what the disk altered. Others stay where they are.
    """
    links: tuple[bytes, ...] = ()
    following = None
    for row in ledger.readable(connection, epoch, max(first - 1, epoch.pruned + 1), last):
        if row.seq != following:
            before = ledger.hash_at(connection, epoch, row.seq - 1)
            links = () if before is None else (before,)
        if row.seq >= first and any(fault(row, link) is None for link in links):
            yield row
        links = (row.hash, *(link_of(row, link) for link in links[:1]))  # the one noted, or the one it should have
        following = row.seq + 1


def fault(envelope: Envelope, previous: bytes) -> str | None:
    """Why one row does not follow ``previous``, or None."""
    follows = link_of(envelope, previous) == envelope.hash
    if envelope.body is not None:
        if chain.digest(envelope.body) != envelope.digest:
            return BODY_DAMAGED if follows else "the row was altered"
    elif envelope.tombstone is None:
        return "the body is missing without a tombstone"
    elif envelope.tombstone.digest != envelope.digest.hex():
        return "the tombstone names another digest"
    return None if follows else "the row does not follow the row before it"


def link_of(envelope: Envelope, previous: bytes) -> bytes:
    """The hash that a row has behind ``previous``."""
    e = envelope
    return chain.next_hash(e.agent, e.epoch, e.stream, e.seq, e.schema, e.kind, previous, e.digest)


def state_digest(key: str, value: str) -> bytes:
    """What is kept beside a stored state, so that a flipped bit is seen."""
    return chain.digest(chain.fields(key, value))
