"""SQL of records: envelopes, the frames that brought them, and the index that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, func, select

from central.store import chart_intake, index
from central.store.index import About
from central.store.schema import envelope, frame
from records.errors import StorageFailed
from records.model import Fact
from records.wire import Envelope, Frame, Tombstone

READ_AT_ONCE = 500
"""Rows that a walk reads at once."""


def add(
    connection: Connection, item: Envelope, fact: Fact | None, received_us: int, about: About | None = None
) -> int:
    """Store one envelope and its index row; the cursor. ``fact`` None: a tombstone or a body nobody can read."""
    tombstone = item.tombstone
    result = connection.execute(
        envelope.insert().values(
            agent=item.agent,
            epoch=item.epoch,
            stream=item.stream,
            seq=item.seq,
            schema=item.schema,
            kind=item.kind,
            digest=item.digest,
            hash=item.hash,
            body=item.body,
            tombstone_reason=None if tombstone is None else tombstone.reason,
            tombstone_by=None if tombstone is None else tombstone.by,
            received_us=received_us,
        )
    )
    cursor = inserted_id(result)
    index.add(connection, cursor, item, fact, about or About())
    chart_intake.take(connection, item, fact)
    return cursor


def inserted_id(result: CursorResult[Any]) -> int:
    """The number that the database gave to the row that was just inserted."""
    key = result.inserted_primary_key
    if key is None:
        raise StorageFailed("the database gave no row number")
    return int(key[0])


def add_frame(connection: Connection, item: Frame, received_us: int) -> None:
    """Keep who vouched for these records."""
    connection.execute(
        frame.insert().values(
            agent=item.agent,
            epoch=item.epoch,
            stream=item.stream,
            first=item.first,
            last=item.last,
            previous=item.previous,
            head=item.head,
            key=item.key,
            signature=item.signature,
            received_us=received_us,
        )
    )


def hashes(connection: Connection, agent: str, epoch: str, stream: str, first: int, last: int) -> dict[int, bytes]:
    """Seq -> chain hash of what is held."""
    rows = connection.execute(
        select(envelope.c.seq, envelope.c.hash).where(
            envelope.c.agent == agent,
            envelope.c.epoch == epoch,
            envelope.c.stream == stream,
            envelope.c.seq.between(first, last),
        )
    )
    return {row.seq: row.hash for row in rows}


def last_cursor(connection: Connection) -> int:
    """The cursor of the newest record; 0 when there is none."""
    return connection.execute(select(func.max(envelope.c.id))).scalar() or 0


def chains(connection: Connection) -> list[tuple[str, str, str]]:
    """Every (agent, epoch, stream) that is held, by the arrival of its first record."""
    rows = connection.execute(
        select(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .group_by(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .order_by(func.min(envelope.c.id))
    )
    return [(agent, epoch, stream) for agent, epoch, stream in rows]


def walk(connection: Connection, agent: str, epoch: str, stream: str) -> Iterator[Envelope]:
    """The envelopes of one chain by seq, read in portions."""
    after = -1
    while True:
        rows = connection.execute(
            select(envelope)
            .where(
                envelope.c.agent == agent,
                envelope.c.epoch == epoch,
                envelope.c.stream == stream,
                envelope.c.seq > after,
            )
            .order_by(envelope.c.seq)
            .limit(READ_AT_ONCE)
        ).all()
        if not rows:
            return
        yield from (_envelope(row) for row in rows)
        after = rows[-1].seq


def frames(connection: Connection, agent: str, epoch: str, stream: str) -> list[Frame]:
    """What vouches for one chain, without the records themselves."""
    rows = connection.execute(
        select(frame)
        .where(frame.c.agent == agent, frame.c.epoch == epoch, frame.c.stream == stream)
        .order_by(frame.c.first, frame.c.id)
    )
    return [
        Frame(r.agent, r.epoch, r.stream, r.first, r.last, r.previous, r.head, r.key, r.signature, ())
        for r in rows
    ]


def _envelope(row: Row[tuple[object, ...]]) -> Envelope:
    tombstone = None
    if row.tombstone_reason is not None:
        tombstone = Tombstone(row.digest.hex(), row.tombstone_reason, row.tombstone_by or "")
    return Envelope(
        row.agent,
        row.epoch,
        row.stream,
        row.seq,
        row.schema,
        row.kind,
        row.digest,
        row.hash,
        row.body,
        tombstone,
    )
