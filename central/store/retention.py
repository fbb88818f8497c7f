"""SQL of bodies past their retention, which tombstones replace; keys and hashes stay for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, literal, or_, select, update

from central.domain import GivenUp
from central.store import findings, partitions
from central.store.needed import ALWAYS, Needed, needed_of
from central.store.partitions import Part
from central.store.rows import parts
from central.store.schema import body, envelope, fact_index, fact_subject, telemetry_body, tombstone
from central.store.telemetry import telemetry_chunk
from records.clock import MICROSECONDS
from records.model import SubjectKind
from records.wire import CENTRAL

RECORDS = "records"
REASON = "retention"
READ_AT_ONCE = 5000
CLOCKS_DIFFER_US = 86_400 * MICROSECONDS
"""A chunk that ends further ahead than that was made by a clock that was wrong."""
_SETTLED = ("released", "rejected")
_NO_END = 2**63 - 1

Held = tuple[str, str, str | None]
"""Kind, id and product (or item) of what quality holds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What was received before these times may be given up, if no record under retention stands against it, and
    unless it was made since, by its agent's clock.
    """

    now_us: int
    telemetry_us: int
    records_us: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Which orders' device history records are past their retention, by the queue of the review.

    ``records_us``: nothing that came at or after it is given up. ``held_by``: the record that keeps bodies longest
    (its id), if one does.
    """

    records_us: int
    expired: frozenset[tuple[str, ...]]
    held_by: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """What is past its retention: of what was committed before ``cut`` the orders' own records, each order as a
    whole, and what names no order; but not what others need.
    """

    standing: Standing
    cut: int
    orders: frozenset[str]
    needed: Needed


def standing(connection: Connection, limits: Limits, held: Collection[Held]) -> Standing:
    """How the records stand now. ``held``: what quality holds.

    A device history record is under retention until ``records`` after its end, and for ever while it is neither
    released nor rejected, while quality holds anything of it, and while an order has come to it that it was not
    judged with. Nothing that came after the beginning of such a one is given up: events without an order
    belong to it too.
    """
    expired: set[tuple[str, ...]] = set()
    kept: list[tuple[int, str]] = []
    orders, lots = _held_orders(connection, held), {(id_, of) for kind, id_, of in held if kind == "lot"}
    assigned = findings.assigned(connection)
    for summary in findings.summaries(connection):
        mine = assigned.get(summary.id, set())
        stays = (summary.lot, summary.product) in lots or not orders.isdisjoint(mine) or mine != {*summary.orders}
        if (
            (summary.given_up is not None or not stays)
            and summary.state.value in _SETTLED
            and summary.ended_us is not None
            and summary.ended_us < limits.records_us
        ):
            expired.add(summary.orders)
        elif summary.began_us is not None:
            kept.append((summary.began_us, summary.id))
    began_us, first = min(kept, default=(limits.records_us, None))
    held_by = first if began_us < limits.records_us else None
    return Standing(min(limits.records_us, began_us), frozenset(expired), held_by)


def _held_orders(connection: Connection, held: Collection[Held]) -> set[str]:
    """The orders that quality holds, or that made or used a unit or a component's lot that it does."""
    found = {id_ for kind, id_, _ in held if kind == "order"}
    named = {"unit": SubjectKind.UNIT, "component": SubjectKind.LOT}
    for kind, id_, product in held:
        if kind in named:
            query = (
                select(fact_index.c.work_order)
                .join(fact_subject, fact_subject.c.envelope_id == fact_index.c.envelope_id)
                .where(
                    fact_subject.c.id == id_,
                    fact_subject.c.kind == named[kind].value,
                    or_(fact_subject.c.product.is_(None), fact_subject.c.product == product),
                    fact_index.c.work_order.is_not(None),
                )
            )
            found.update(connection.execute(query.distinct()).scalars())
    return found


def still(
    connection: Connection, limits: Limits, held: Collection[Held], found: Past, orders: Collection[str]
) -> bool:
    """Whether what was found holds in this moment, too, for these of its orders: no record was opened, moved or
    held since, and none of a line has come late.
    """
    until_us = found.standing.records_us
    return standing(connection, limits, held) == found.standing and not _younger(
        connection, {*orders}, _cut(connection, until_us), until_us
    )


def past(connection: Connection, limits: Limits, held: Collection[Held]) -> Past:
    """What may be given up now. Nothing that a record under retention reads (``central.store.needed``)."""
    now = standing(connection, limits, held)
    cut = _cut(connection, now.records_us)
    younger = _younger(connection, {order for lot in now.expired for order in lot}, cut, now.records_us)
    going = frozenset(order for lot in now.expired if younger.isdisjoint(lot) for order in lot)
    return Past(now, cut, going, needed_of(connection, going, cut))


def _cut(connection: Connection, until_us: int) -> int:
    """The first record that came at or after a time. Commits tell the order even where central's clock stepped."""
    query = select(envelope.c.id).where(envelope.c.received_us >= until_us).order_by(envelope.c.id).limit(1)
    found = connection.execute(query).scalar_one_or_none()
    return _NO_END if found is None else found


def _younger(connection: Connection, orders: set[str], cut: int, until_us: int) -> set[str]:
    """Which of these orders have a line's record that may not go yet: then none of the order's goes."""
    about = fact_index.c
    found: set[str] = set()
    for some in parts(sorted(orders)):
        query = select(about.work_order).where(
            about.work_order.in_(some),
            about.agent != CENTRAL,
            about.stream == RECORDS,
            or_(about.envelope_id >= cut, about.at_us >= until_us),
        )
        found.update(connection.execute(query.distinct()).scalars())
    return found


def to_give_up(connection: Connection, found: Past, after: int = 0) -> Iterator[int]:
    """The rows of the lines' records that may go, in the order of commits; never what central itself stated."""
    about = fact_index.c
    query = (
        select(envelope.c.id, envelope.c.agent, envelope.c.epoch, envelope.c.seq, about.work_order)
        .join(body, and_(envelope.c.id == body.c.envelope_id, envelope.c.received_us == body.c.received_us))
        .join(fact_index, about.envelope_id == body.c.envelope_id)
        .where(
            body.c.received_us < found.standing.records_us,
            envelope.c.agent != CENTRAL,
            envelope.c.stream == RECORDS,
        )
        .where(or_(about.code.is_(None), about.code.not_in(ALWAYS)))
        .where(or_(about.at_us.is_(None), about.at_us < found.standing.records_us))
        .order_by(body.c.envelope_id)
        .limit(READ_AT_ONCE)
    )
    while True:
        rows = connection.execute(query.where(body.c.envelope_id > after, body.c.envelope_id < found.cut)).all()
        for row in rows:
            if row.work_order is not None and row.work_order not in found.orders:
                continue
            if not found.needed.has(row.id, row.agent, row.epoch, row.seq):
                yield row.id
        if len(rows) < READ_AT_ONCE:
            return
        after = rows[-1].id


def telemetry_before(connection: Connection, limits: Limits) -> int:
    """How many chunks may go."""
    return connection.execute(select(func.count()).where(*_going(limits))).scalar_one()


def next_telemetry(connection: Connection, limits: Limits, most: int) -> list[int]:
    """The rows of the next chunks to give up."""
    query = select(telemetry_body.c.envelope_id).where(*_going(limits))
    return list(connection.execute(query.order_by(telemetry_body.c.envelope_id).limit(most)).scalars())


def whole_parts(connection: Connection, limits: Limits) -> Iterator[Part]:
    """Parts of telemetry of which all may be given up; none where the database has no parts."""
    for part in partitions.parts_before(connection, telemetry_body.name, limits.telemetry_us):
        if connection.execute(_young(limits).where(*_within(part)).limit(1)).first() is None:
            yield part


def _going(limits: Limits) -> tuple[ColumnElement[bool], ...]:
    return telemetry_body.c.received_us < limits.telemetry_us, ~_young(limits).correlate(telemetry_body).exists()


def _young(limits: Limits) -> Select[tuple[int]]:
    """Chunks that end within the retention, by their agent's clock: central's was behind when they came. One that
    ends in a time that has not come goes by when it came.
    """
    latest_us = limits.now_us + CLOCKS_DIFFER_US
    return select(telemetry_chunk.c.envelope_id).where(
        telemetry_chunk.c.envelope_id == telemetry_body.c.envelope_id,
        telemetry_chunk.c.last_us.between(limits.telemetry_us, latest_us),
    )


def bury(connection: Connection, rows: list[int], by: str, act: str) -> None:
    """Put tombstones in the place of bodies. ``act``: the hash of the fact that says so."""
    gone = select(envelope.c.id, literal(REASON), literal(by), literal(act)).where(envelope.c.id.in_(rows))
    connection.execute(tombstone.insert().from_select(["envelope_id", "reason", "by", "act"], gone))
    connection.execute(update(fact_index).where(fact_index.c.envelope_id.in_(rows)).values(readable=False))
    for table in (body, telemetry_body):
        connection.execute(delete(table).where(table.c.envelope_id.in_(rows)))


def orders_in(connection: Connection, rows: list[int]) -> list[str]:
    """The orders that these records name."""
    found: set[str] = set()
    for some in parts(rows):
        query = select(fact_index.c.work_order).where(fact_index.c.envelope_id.in_(some))
        found.update(connection.execute(query.where(fact_index.c.work_order.is_not(None)).distinct()).scalars())
    return sorted(found)


def mark(connection: Connection, orders: Collection[str], gone: GivenUp) -> None:
    """The lots of these orders stay in the queue as they were judged last."""
    for id_ in set(findings.records_of(connection, orders).values()):
        for row in findings.summaries(connection, id_):
            if row.given_up is None:
                findings.put_summary(connection, replace(row, given_up=gone))


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
