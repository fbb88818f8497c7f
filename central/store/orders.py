"""SQL of the ERP's orders and lots as last read, and of how the ERP answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, insert, select, update

from central.links.base import ErpLot, ErpOrder, LotStatus, PostingState, WorkOrder
from central.links.settings import ItemSettings
from central.store.documents import document
from central.store.erp_outbox import erp_message
from central.store.schema import metadata
from records.quantity import quantity_text

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
    Column("quantity", Text, nullable=False),  # decimal; 0: was there once, is not in stock now
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
    """An order as last read from the ERP."""

    order: ErpOrder
    seen_us: int


def orders(connection: Connection) -> list[HeldOrder]:
    rows = connection.execute(select(erp_order).order_by(erp_order.c.reference))
    return [HeldOrder(_ORDER.validate_json(row.body), row.seen_us) for row in rows]


def put_order(connection: Connection, order: ErpOrder, seen_us: int) -> None:
    connection.execute(delete(erp_order).where(erp_order.c.reference == order.reference))
    connection.execute(delete(erp_order).where(erp_order.c.erp_id == order.erp_id))
    connection.execute(
        insert(erp_order).values(
            reference=order.reference,
            erp_id=order.erp_id,
            state=order.state,
            body=_ORDER.dump_json(order).decode(),
            seen_us=seen_us,
        )
    )


def open_ids(connection: Connection) -> list[str]:
    """The ERP's ids of the orders that were open when last read."""
    return list(connection.execute(select(erp_order.c.erp_id).where(erp_order.c.state.in_(OPEN))).scalars())


def work_orders(
    connection: Connection, items: dict[str, ItemSettings], reference: str | None = None
) -> list[WorkOrder]:
    """Orders completed by item settings, the version that stations have, and how far the report is."""
    query = (
        select(erp_order.c.body, erp_order.c.seen_us, document.c.version, erp_message.c.state)
        .outerjoin(document, (document.c.kind == ORDER_DOCUMENT) & (document.c.id == erp_order.c.reference))
        .outerjoin(erp_message, erp_message.c.work_order == erp_order.c.reference)
        .order_by(erp_order.c.reference)
    )
    if reference is not None:
        query = query.where(erp_order.c.reference == reference)
    return [
        work_order(_ORDER.validate_json(body), items, version or 0, seen_us, posting)
        for body, seen_us, version, posting in connection.execute(query)
    ]


def work_order(
    order: ErpOrder,
    items: dict[str, ItemSettings],
    version: int = 0,
    seen_us: int = 0,
    posting: PostingState | None = None,
) -> WorkOrder:
    item = items.get(order.product, ItemSettings())
    return WorkOrder(
        erp_id=order.erp_id,
        reference=order.reference,
        number=order.number,
        product=order.product,
        product_gtin=item.gtin,
        revision=order.revision or item.revision,
        lot=order.lot or order.reference,
        quantity=order.quantity,
        unit=order.unit,
        state=order.state,
        operations=order.operations,
        bom=tuple(_with_gtin(need, items) for need in order.bom),
        expiry=order.expiry,
        version=version,
        seen_us=seen_us,
        posting=posting,
    )
