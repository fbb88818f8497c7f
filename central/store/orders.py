"""SQL of the ERP's orders and lots as last read, and of how the ERP answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Table, delete, func, insert, select, update

from central.links.base import ErpLot, ErpOrder, PostingState
from central.store.erp_outbox import erp_message
from central.store.rows import parts
from central.store.schema import document, fact_index, metadata
from central.store.types import Text
from records.quantity import quantity_text
from records.wire import CENTRAL

ORDER_DOCUMENT = "work-order"
LOTS_DOCUMENT = "lots"
OPEN = ("released", "running", "held")

erp_order = Table(
    "erp_order",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("erp_id", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),  # the ErpOrder as JSON
    Column("seen_us", BigInteger, nullable=False),
)

erp_lot = Table(
    "erp_lot",
    metadata,
    Column("item", Text, primary_key=True),
    Column("number", Text, primary_key=True),
    Column("expiry", Text, nullable=True),
    Column("quantity", Text, nullable=False),  # decimal; 0: was in stock once, is not now
    Column("status", Text, nullable=False),
)

erp_link = Table(
    "erp_link",
    metadata,
    Column("address", Text, primary_key=True),
    Column("state", Text, nullable=False),  # ok, failing, refused
    Column("since_us", BigInteger, nullable=False),
    Column("error", Text, nullable=True),
)

_ORDER = TypeAdapter(ErpOrder)


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """An order as last read; the version of its document (0: none issued); how far its report is."""

    order: ErpOrder
    seen_us: int
    version: int
    posting: PostingState | None


def orders(connection: Connection, reference: str | None = None) -> list[HeldOrder]:
    query = (
        select(erp_order.c.body, erp_order.c.seen_us, document.c.version, erp_message.c.state)
        .outerjoin(document, (document.c.kind == ORDER_DOCUMENT) & (document.c.id == erp_order.c.reference))
        .outerjoin(erp_message, erp_message.c.work_order == erp_order.c.reference)
        .order_by(erp_order.c.reference)
    )
    if reference is not None:
        query = query.where(erp_order.c.reference == reference)
    return [
        HeldOrder(_ORDER.validate_json(body), seen_us, version or 0, posting)
        for body, seen_us, version, posting in connection.execute(query)
    ]


def open_orders(connection: Connection) -> list[ErpOrder]:
    """Orders that were open when last read."""
    bodies = connection.execute(select(erp_order.c.body).where(erp_order.c.state.in_(OPEN))).scalars()
    return [_ORDER.validate_json(body) for body in bodies]


def told_closed(connection: Connection, before_us: int) -> list[str]:
    """References of orders that lines were told to be over before then, and that are not withdrawn yet."""
    query = (
        select(document.c.id)
        .where(
            document.c.kind == ORDER_DOCUMENT,
            document.c.issued_us < before_us,
            document.c.content != "null",
            document.c.id.not_in(select(erp_order.c.reference).where(erp_order.c.state.in_(OPEN))),
        )
        .order_by(document.c.id)
    )
    return list(connection.execute(query).scalars())


def unreported_orders(connection: Connection) -> list[str]:
    """References of orders of which there is no report: open ones, and those with records that the ERP has closed,
    as after a restore to a time before the report.
    """
    recorded = select(fact_index.c.envelope_id).where(fact_index.c.work_order == erp_order.c.reference).limit(1)
    closed = (erp_order.c.state == "closed") & recorded.exists()
    query = (
        select(erp_order.c.reference)
        .outerjoin(erp_message, erp_message.c.work_order == erp_order.c.reference)
        .where(erp_message.c.key.is_(None), erp_order.c.state.in_(OPEN) | closed)
        .order_by(erp_order.c.reference)
    )
    return list(connection.execute(query).scalars())


def named_by_records(connection: Connection, after: int, rows: int, most: int) -> tuple[list[str], int]:
    """References that the next ``rows`` records behind a cursor name and that the ERP never told of, at most
    ``most``; and the cursor through which that is all.
    """
    through = min(after + rows, connection.execute(select(func.max(fact_index.c.envelope_id))).scalar() or 0)
    first = func.min(fact_index.c.envelope_id)
    known = select(erp_order.c.reference).where(erp_order.c.reference == fact_index.c.work_order)
    found = connection.execute(
        select(fact_index.c.work_order, first)
        .where(fact_index.c.envelope_id > after, fact_index.c.envelope_id <= through)
        .where(fact_index.c.work_order.is_not(None), fact_index.c.agent != CENTRAL, ~known.exists())
        .group_by(fact_index.c.work_order)
        .order_by(first)
        .limit(most + 1)
    ).all()
    if len(found) > most:
        through = found[most][1] - 1
    return [reference for reference, _ in found[:most]], max(after, through)


def put_order(connection: Connection, order: ErpOrder, seen_us: int) -> None:
    same = (erp_order.c.reference == order.reference) | (erp_order.c.erp_id == order.erp_id)
    connection.execute(delete(erp_order).where(same))
    body = _ORDER.dump_json(order).decode()
    values = {"reference": order.reference, "erp_id": order.erp_id, "state": order.state, "body": body}
    connection.execute(insert(erp_order).values(**values, seen_us=seen_us))


def lots(connection: Connection, of: Collection[tuple[str, str]] | None = None) -> list[ErpLot]:
    """All that the ERP ever told us of, or those of these (item, number), by item and number."""
    query = select(erp_lot).order_by(erp_lot.c.item, erp_lot.c.number)
    asked = [query] if of is None else [query.where(*_among(part)) for part in parts(sorted(of))]
    return [
        ErpLot(row.item, row.number, row.expiry, Decimal(row.quantity), row.status)
        for each in asked
        for row in connection.execute(each)
        if of is None or (row.item, row.number) in of
    ]


def _among(places: Sequence[tuple[str, str]]) -> tuple[ColumnElement[bool], ...]:
    """Of these items and of these numbers: SQLite finds pairs by no index."""
    items, numbers = zip(*places, strict=True)
    return erp_lot.c.item.in_(sorted(set(items))), erp_lot.c.number.in_(sorted(set(numbers)))


def told_of(connection: Connection, items: Collection[str]) -> list[str]:
    """Those of these items of which the ERP ever told us a lot."""
    found: list[str] = []
    for part in parts(sorted(items)):
        found += connection.execute(select(erp_lot.c.item).where(erp_lot.c.item.in_(part)).distinct()).scalars()
    return found


def put_lots(connection: Connection, items: Collection[str], read: Collection[ErpLot]) -> None:
    """What was read of these items; lots that are not in stock any more stay known, with quantity 0."""
    connection.execute(update(erp_lot).where(erp_lot.c.item.in_(sorted(items))).values(quantity="0"))
    for lot in read:
        same = (erp_lot.c.item == lot.item) & (erp_lot.c.number == lot.number)
        connection.execute(delete(erp_lot).where(same))
        values = {"item": lot.item, "number": lot.number, "expiry": lot.expiry, "status": lot.status}
        connection.execute(insert(erp_lot).values(**values, quantity=quantity_text(lot.quantity)))


@dataclass(frozen=True, slots=True)
class LinkRow:
    state: str
    since_us: int
    error: str | None


def link(connection: Connection, address: str) -> LinkRow | None:
    row = connection.execute(select(erp_link).where(erp_link.c.address == address)).first()
    return None if row is None else LinkRow(row.state, row.since_us, row.error)


def put_link(connection: Connection, address: str, row: LinkRow) -> None:
    connection.execute(delete(erp_link).where(erp_link.c.address == address))
    values = {"state": row.state, "since_us": row.since_us, "error": row.error}
    connection.execute(insert(erp_link).values(address=address, **values))
