"""SQL of what orders have taken of component lots, and what is left of a lot as far as central knows.

``lot_use`` follows from the operation records; an order's rows are made anew whenever the order is judged.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from sqlalchemy import Column, Connection, Table, delete, select

from central.links.base import Consumption
from central.store.erp_outbox import erp_message
from central.store.orders import erp_lot
from central.store.schema import metadata
from central.store.types import Text
from records.quantity import quantity_text

lot_use = Table(
    "lot_use",
    metadata,
    Column("work_order", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("lot", Text, primary_key=True),
    Column("quantity", Text, nullable=False),
)


def of_order(connection: Connection, order: str) -> dict[tuple[str, str], str]:
    """(item, lot) -> how much the order has taken."""
    rows = connection.execute(select(lot_use).where(lot_use.c.work_order == order))
    return {(row.item, row.lot): row.quantity for row in rows}


def as_rows(uses: Collection[Consumption]) -> dict[tuple[str, str], str]:
    """As ``of_order`` gives them."""
    return {(use.item, use.lot): quantity_text(use.quantity) for use in uses}


def put(connection: Connection, order: str, uses: dict[tuple[str, str], str]) -> None:
    """What the order has taken, in the place of what was known."""
    connection.execute(delete(lot_use).where(lot_use.c.work_order == order))
    for (item, lot), quantity in uses.items():
        connection.execute(lot_use.insert().values(work_order=order, item=item, lot=lot, quantity=quantity))


def left(connection: Connection) -> dict[str, dict[str, Decimal]]:
    """Item -> lot -> what the ERP last said was in stock, less what orders took that it was not told of yet."""
    found: dict[str, dict[str, Decimal]] = {}
    for row in connection.execute(select(erp_lot)):
        found.setdefault(row.item, {})[row.number] = Decimal(row.quantity)
    told = select(erp_message.c.work_order).where(erp_message.c.state == "posted")
    for row in connection.execute(select(lot_use).where(lot_use.c.work_order.not_in(told))):
        lots = found.get(row.item, {})
        if row.lot in lots:
            lots[row.lot] -= Decimal(row.quantity)
    return found
