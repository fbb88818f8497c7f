"""SQL of one agent as a whole: its chains, and the machine cycles of its stations, without reading bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from central.store.chains import RECORDS
from central.store.schema import envelope, fact_index, tombstone, watermark

READ_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Link:
    """One chain of an agent. ``opened``: 1, 2, ... in the order in which its epochs arrived."""

    epoch: str
    stream: str
    opened: int
    first: int
    last: int
    records: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One record of a station (``cycle``), or an event (``code``) that says something about its counting."""

    epoch: str
    seq: int
    station: str | None
    cycle: int | None
    code: str | None


def links(connection: Connection, agent: str) -> list[Link]:
    """Every chain of an agent, the oldest epoch first."""
    counted = (
        select(
            envelope.c.epoch,
            envelope.c.stream,
            func.min(envelope.c.seq).label("first"),
            func.max(envelope.c.seq).label("last"),
            func.count().label("records"),
            func.count(tombstone.c.envelope_id).label("tombstones"),
        )
        .join(tombstone, tombstone.c.envelope_id == envelope.c.id, isouter=True)
        .where(envelope.c.agent == agent)
        .group_by(envelope.c.epoch, envelope.c.stream)
        .subquery()
    )
    query = (
        select(counted, watermark.c.opened)
        .join(
            watermark,
            (watermark.c.agent == agent)
            & (watermark.c.epoch == counted.c.epoch)
            & (watermark.c.stream == counted.c.stream),
        )
        .order_by(watermark.c.stream, watermark.c.opened)
    )
    return [
        Link(r.epoch, r.stream, r.opened, r.first, r.last, r.records, r.tombstones)
        for r in connection.execute(query)
    ]


def moments(connection: Connection, agent: str, epoch: str, codes: tuple[str, ...]) -> Iterator[Moment]:
    """The operation records of one epoch, and the events of these codes, by seq, read in portions."""
    after = 0
    while True:
        rows = connection.execute(
            select(envelope.c.seq, envelope.c.kind, fact_index.c.station, fact_index.c.cycle, fact_index.c.code)
            .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
            .where(
                envelope.c.agent == agent,
                envelope.c.epoch == epoch,
                envelope.c.stream == RECORDS,
                envelope.c.seq > after,
                or_(envelope.c.kind == "operation_record", fact_index.c.code.in_(codes)),
            )
            .order_by(envelope.c.seq)
            .limit(READ_AT_ONCE)
        ).all()
        if not rows:
            return
        for row in rows:
            yield Moment(epoch, row.seq, row.station, row.cycle, row.code)
        after = rows[-1].seq
