"""SQL of records: envelopes, the frames that brought them, and the index that finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, Row, func, select

from central.store import chart_intake, index
from central.store.bulk import Insert
from central.store.index import About
from central.store.packed import pack, unpack
from central.store.rows import whole
from central.store.schema import body, envelope, frame, telemetry_body, tombstone
from records.model import Fact
from records.wire import Envelope, Frame, Tombstone

READ_AT_ONCE = 500
"""Rows that a walk reads at once."""
TELEMETRY = "telemetry"


_ENVELOPES = Insert(
    envelope,
    "id",
    "agent",
    "epoch",
    "stream",
    "seq",
    "schema",
    "kind",
    "digest",
    "hash",
    "received_us",
)
_BODIES = Insert(body, "envelope_id", "received_us", "body")
_TELEMETRY = Insert(telemetry_body, "envelope_id", "received_us", "body")
_TOMBSTONES = Insert(tombstone, "envelope_id", "reason", "by", "act")
_LAST = select(func.max(envelope.c.id))
_FRAMES = Insert(frame, *(name for name in frame.c.keys() if name != "id"))  # noqa: SIM118  no dict


def add(
    connection: Connection,
    items: Sequence[tuple[Envelope, Fact | None]],
    received_us: int,
    about: Sequence[About] | None = None,
) -> range:
    """Store envelopes and what is derived from them; their cursors, in order.

    The fact of each is None where it is a tombstone or has a body that nobody can read. ``about``: of each,
    for the index.
    """
    first = last_cursor(connection) + 1  # rows are never deleted, and nobody else writes during a write job
    cursors = range(first, first + len(items))
    rows: list[tuple[object, ...]] = []
    bodies: list[tuple[object, ...]] = []
    telemetry: list[tuple[object, ...]] = []
    gone: list[tuple[object, ...]] = []
    for cursor, (e, _) in zip(cursors, items, strict=True):
        chained = (e.schema, e.kind, e.digest, e.hash)
        rows.append((cursor, e.agent, e.epoch, e.stream, e.seq, *chained, received_us))
        if e.body is not None:
            if e.stream == TELEMETRY:
                telemetry.append((cursor, received_us, pack(e.body)))
            else:
                bodies.append((cursor, received_us, e.body))
        elif e.tombstone is not None:
            gone.append((cursor, e.tombstone.reason, e.tombstone.by, None))
    _ENVELOPES(connection, rows)
    _BODIES(connection, bodies)
    _TELEMETRY(connection, telemetry)
    _TOMBSTONES(connection, gone)
    index.add(connection, cursors, items, about)
    chart_intake.take(connection, items)
    return cursors


def add_frames(connection: Connection, items: Iterable[Frame], received_us: int) -> None:
    """Keep who vouched for records."""
    _FRAMES(
        connection,
        [
            (f.agent, f.epoch, f.stream, f.first, f.last, f.previous, f.head, f.key, f.signature, received_us)
            for f in items
        ],
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
    return connection.execute(_LAST).scalar() or 0


def chains(connection: Connection) -> list[tuple[str, str, str]]:
    """Every (agent, epoch, stream) that is held, by the arrival of its first record."""
    rows = connection.execute(
        select(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .group_by(envelope.c.agent, envelope.c.epoch, envelope.c.stream)
        .order_by(func.min(envelope.c.id))
    )
    return [(agent, epoch, stream) for agent, epoch, stream in rows]


def walk(connection: Connection, agent: str, epoch: str, stream: str, *, after: int = -1) -> Iterator[Envelope]:
    """The envelopes of one chain by seq, those behind ``after``, read in portions."""
    while True:
        rows = connection.execute(
            whole()
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
        yield from (of_row(row) for row in rows)
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


def of_row(row: Row[tuple[object, ...]]) -> Envelope:
    """One envelope as its row holds it."""
    tombstone = None
    if row.tombstone_reason is not None:
        tombstone = Tombstone(row.digest.hex(), row.tombstone_reason, row.tombstone_by or "")
    body_ = row.body
    if body_ is not None and row.stream == TELEMETRY:
        body_ = unpack(body_)
    return Envelope(
        row.agent,
        row.epoch,
        row.stream,
        row.seq,
        row.schema,
        row.kind,
        row.digest,
        row.hash,
        body_,
        tombstone,
    )
