"""SQL of tombstones: which stand under an act of central's, and which came without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from central.store.envelopes import TELEMETRY, of_row
from central.store.rows import parts, whole
from central.store.schema import envelope, tombstone
from records.wire import Envelope

THINNED, DAMAGE_TOLD = "telemetry-thinned", "record-damaged"
EXPLAIN = (THINNED, DAMAGE_TOLD)
"""Codes of the events by which agents say what they have no body of: no act of retention gives these up."""
READ_AT_ONCE = 5000
"""Rows that a walk reads at once."""
_WITH_ENVELOPE = tombstone.join(envelope, envelope.c.id == tombstone.c.envelope_id)


@dataclass(frozen=True, slots=True)
class Buried:
    """All tombstones of one stream that name one act, for one reason, by one person. ``first``, ``last``: cursors.

    ``received_us``: when the newest of these records was received.
    """

    act: str
    stream: str
    reason: str
    by: str
    count: int
    first: int
    last: int
    received_us: int


@dataclass(frozen=True, slots=True)
class Grave:
    """A tombstone that names no act: its record, and what it says."""

    agent: str
    epoch: str
    stream: str
    seq: int
    digest: bytes
    reason: str
    received_us: int


def by_act(connection: Connection) -> list[Buried]:
    """Those that name an act, the oldest first."""
    cursor = tombstone.c.envelope_id
    said = (tombstone.c.act, envelope.c.stream, tombstone.c.reason, tombstone.c.by)
    found = select(*said, func.count(), func.min(cursor), func.max(cursor), func.max(envelope.c.received_us))
    found = found.select_from(_WITH_ENVELOPE).where(tombstone.c.act.is_not(None))
    return [Buried(*row) for row in connection.execute(found.group_by(*said).order_by(func.min(cursor)))]


def without_act(connection: Connection) -> Iterator[Grave]:
    """Those that name none, in the order in which their records were committed, read in portions."""
    cursor, after = tombstone.c.envelope_id, 0
    record = envelope.c.agent, envelope.c.epoch, envelope.c.stream, envelope.c.seq, envelope.c.digest
    found = select(*record, tombstone.c.reason, envelope.c.received_us, cursor).select_from(_WITH_ENVELOPE)
    found = found.where(tombstone.c.act.is_(None)).order_by(cursor).limit(READ_AT_ONCE)
    while rows := connection.execute(found.where(cursor > after)).all():
        yield from (Grave(*row[:-1]) for row in rows)
        after = rows[-1].envelope_id


def record(connection: Connection, cursor: int) -> tuple[str, str, str, int]:
    """Agent, epoch, stream and seq of a record."""
    found = select(envelope.c.agent, envelope.c.epoch, envelope.c.stream, envelope.c.seq)
    agent, epoch, stream, seq = connection.execute(found.where(envelope.c.id == cursor)).one()
    return agent, epoch, stream, seq


def events_of_telemetry(connection: Connection) -> Iterator[Envelope]:
    """The events that agents put into their telemetry streams, of which the index knows no code."""
    found = select(envelope.c.id).where(envelope.c.stream == TELEMETRY, envelope.c.kind == "operations_event")
    for part in parts(connection.execute(found.order_by(envelope.c.id)).scalars()):
        yield from map(of_row, connection.execute(whole().where(envelope.c.id.in_(part)).order_by(envelope.c.id)))
