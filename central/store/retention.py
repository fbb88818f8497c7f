"""SQL of bodies past their retention, which tombstones replace; keys and hashes stay for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, literal, or_, select, update

from central.domain import DhrSummary
from central.store import findings, partitions
from central.store.partitions import Part
from central.store.schema import body, envelope, fact_index, telemetry_body, tombstone
from records.wire import CENTRAL

RECORDS = "records"
REASON = "retention"
_SETTLED = ("released", "rejected")


@dataclass(frozen=True, slots=True)
class Limits:
    """What was received before these times may be given up, if no record under retention stands against it."""

    telemetry_us: int
    records_us: int


@dataclass(frozen=True, slots=True)
class Past:
    """What is past its retention. ``held_by``: the device history record that keeps bodies longest, if one does.

    ``records_us``: no body received at or after it is given up. ``orders``: those whose own records may go.
    """

    records: int
    telemetry: int
    records_us: int
    orders: frozenset[str]
    held_by: DhrSummary | None


def past(connection: Connection, limits: Limits) -> Past:
    """What may be given up now.

    A device history record is under retention until ``records`` after its end, and for ever while it is neither
    released nor rejected. Nothing that came after the beginning of such a one is given up: events without an order
    belong to it too.
    """
    expired: set[str] = set()
    kept: list[tuple[int, DhrSummary]] = []
    for summary in findings.summaries(connection):
        if (
            summary.state.value in _SETTLED
            and summary.ended_us is not None
            and summary.ended_us < limits.records_us
        ):
            expired |= set(summary.orders)
        elif summary.began_us is not None:
            kept.append((summary.began_us, summary))
    first = min(kept, key=lambda each: each[0], default=None)
    until_us = limits.records_us if first is None else min(limits.records_us, first[0])
    found = Past(0, 0, until_us, frozenset(expired), first[1] if first and first[0] < limits.records_us else None)
    records = connection.execute(select(func.count()).select_from(_records(found).subquery())).scalar_one()
    query = select(func.count()).where(telemetry_body.c.received_us < limits.telemetry_us)
    return Past(records, connection.execute(query).scalar_one(), until_us, found.orders, found.held_by)


def _records(found: Past) -> Select[Any]:
    """Records of the lines with a body that may go, oldest first; never what central itself stated."""
    about = fact_index.c
    return (
        select(body.c.envelope_id)
        .join(envelope, and_(envelope.c.id == body.c.envelope_id, envelope.c.received_us == body.c.received_us))
        .join(fact_index, about.envelope_id == body.c.envelope_id)
        .where(body.c.received_us < found.records_us, envelope.c.agent != CENTRAL, envelope.c.stream == RECORDS)
        .where(or_(about.at_us.is_(None), about.at_us < found.records_us))
        .where(or_(about.work_order.is_(None), about.work_order.in_(sorted(found.orders))))
        .order_by(body.c.envelope_id)
    )


def next_records(connection: Connection, found: Past, limit: int) -> list[int]:
    """The rows of the next records to give up."""
    return list(connection.execute(_records(found).limit(limit)).scalars())


def next_telemetry(connection: Connection, until_us: int, limit: int) -> list[int]:
    """The rows of the next chunks to give up."""
    query = select(telemetry_body.c.envelope_id).where(telemetry_body.c.received_us < until_us)
    return list(connection.execute(query.order_by(telemetry_body.c.envelope_id).limit(limit)).scalars())


def whole_parts(connection: Connection, until_us: int) -> list[Part]:
    """Parts of telemetry of which all may be given up; none where the database has no parts."""
    return partitions.parts_before(connection, telemetry_body.name, until_us)


def bury(connection: Connection, rows: list[int], by: str, act: str) -> None:
    """Put tombstones in the place of bodies. ``act``: the hash of the fact that says so."""
    gone = select(envelope.c.id, literal(REASON), literal(by), literal(act)).where(envelope.c.id.in_(rows))
    connection.execute(tombstone.insert().from_select(["envelope_id", "reason", "by", "act"], gone))
    connection.execute(update(fact_index).where(fact_index.c.envelope_id.in_(rows)).values(readable=False))
    for table in (body, telemetry_body):
        connection.execute(delete(table).where(table.c.envelope_id.in_(rows)))


def count_in(connection: Connection, part: Part) -> int:
    """How many chunks a part has."""
    return connection.execute(select(func.count()).where(*_within(part))).scalar_one()


def bury_part(connection: Connection, part: Part, by: str, act: str) -> None:
    """Put tombstones in the place of all chunks of a part, and give it up whole."""
    gone = select(telemetry_body.c.envelope_id, literal(REASON), literal(by), literal(act)).where(*_within(part))
    connection.execute(tombstone.insert().from_select(["envelope_id", "reason", "by", "act"], gone))
    rows = select(telemetry_body.c.envelope_id).where(*_within(part))
    connection.execute(update(fact_index).where(fact_index.c.envelope_id.in_(rows)).values(readable=False))
    partitions.give_up(connection, part)


def _within(part: Part) -> tuple[ColumnElement[bool], ...]:
    return (telemetry_body.c.received_us >= part.from_us, telemetry_body.c.received_us < part.to_us)
