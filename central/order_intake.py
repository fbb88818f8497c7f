"""What was read from the ERP becomes work orders and the documents that the lines get.

A document is issued whenever its content differs from the newest one: stated as a ``document-issued`` fact in the
transaction that remembers what was read. Of two ERP orders with one reference the one that was here first stays,
as long as it is open. An order that the ERP no longer has, or has given another reference, is cancelled for the
lines under its old one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from central.facts import Facts
from central.links.base import ErpLink, ErpLot, ErpOrder, WorkOrder
from central.links.settings import ItemSettings
from central.store import documents, intake
from central.store import orders as rows
from central.store.engine import Connection
from central.store.orders import LOTS_DOCUMENT, OPEN, ORDER_DOCUMENT, HeldOrder
from records.clock import Clock
from records.quantity import quantity_text
from records.wire import Document

NAMED = "erp-orders-named"
"""How far records were searched for orders that central does not know (the name of that cursor)."""
MOST_RECORDS, MOST_NAMED = 20_000, 50
"""How many records one look searches, and how many references it asks for at most."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the ERP: each order once, and the lots of ``items``."""

    orders: tuple[ErpOrder, ...]
    items: frozenset[str]
    lots: tuple[ErpLot, ...]
    named_through: int = 0
    """The record through which orders that records name were asked for."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What one reading changed: references of orders and items whose documents were issued anew.

    ``ignored`` are ERP ids of orders whose reference belongs to another open order.
    """

    orders: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: orders that were open before, by ERP id, and references that records name although
    central never heard of such an order, as after a restore. ``through``: the record through which that is all.
    """

    known: Mapping[str, ErpOrder]
    named: tuple[str, ...]
    through: int


def wanted(connection: Connection) -> Wanted:
    """What the next look at the ERP is to ask for; each reference is asked for once."""
    after = intake.cursor_of(connection, NAMED)
    named, through = rows.named_by_records(connection, after, MOST_RECORDS, MOST_NAMED)
    return Wanted({order.erp_id: order for order in rows.open_orders(connection)}, tuple(named), through)


def read(link: ErpLink, asked: Wanted) -> Reading:
    """Orders and lots as they are now."""
    found = {order.erp_id: order for order in link.orders(sorted(asked.known), asked.named)}
    gone = [replace(order, state="cancelled") for erp_id, order in asked.known.items() if erp_id not in found]
    orders = (*found.values(), *gone)
    items = frozenset(need.item for order in orders for need in order.bom)
    return Reading(orders, items, tuple(link.lots(items)) if items else (), asked.through)


class Intake:
    """Takes readings into the store, inside a write job."""

    def __init__(self, facts: Facts, clock: Clock, items: Mapping[str, ItemSettings]) -> None:
        self._facts = facts
        self._clock = clock
        self._items = items

    def take(self, connection: Connection, reading: Reading) -> tuple[Synced, list[Document]]:
        """Remember what was read; gives what to publish after the commit."""
        issued: list[Document] = []
        changed, ignored = self._take_orders(connection, reading.orders, issued)
        intake.move_cursor(connection, NAMED, reading.named_through)
        rows.put_lots(connection, reading.items, reading.lots)
        items = []
        for item in sorted(reading.items):
            own = [lot for lot in reading.lots if lot.item == item]
            if self._issue(connection, LOTS_DOCUMENT, item, self._lots_content(item, own), issued):
                items.append(item)
        return Synced(tuple(changed), tuple(items), tuple(ignored)), issued

    def _take_orders(
        self, connection: Connection, orders: Iterable[ErpOrder], issued: list[Document]
    ) -> tuple[list[str], list[str]]:
        held = {row.order.reference: row.order for row in rows.orders(connection)}
        by_id = {order.erp_id: order for order in held.values()}
        changed: list[str] = []
        ignored: list[str] = []
        for order in orders:
            first = held.get(order.reference)
            if first is not None and first.erp_id != order.erp_id and first.state in OPEN:
                ignored.append(order.erp_id)
                continue
            renamed = by_id.get(order.erp_id)
            if renamed is not None and renamed.reference != order.reference:
                self._issue_order(connection, replace(renamed, state="cancelled"), issued)
            held[order.reference] = order
            rows.put_order(connection, order, self._clock.now_us())
            if self._issue_order(connection, order, issued):
                changed.append(order.reference)
        return changed, ignored

    def _issue_order(self, connection: Connection, order: ErpOrder, issued: list[Document]) -> bool:
        if order.state not in OPEN and documents.is_withdrawn(connection, ORDER_DOCUMENT, order.reference):
            return False
        content = _order_content(self.work_order(HeldOrder(order, 0, 0, None)))
        return self._issue(connection, ORDER_DOCUMENT, order.reference, content, issued, order=order.reference)

    def _issue(
        self,
        connection: Connection,
        kind: str,
        name: str,
        content: JsonValue,
        issued: list[Document],
        *,
        order: str | None = None,
    ) -> bool:
        """State a document, unless the newest one says the same."""
        newest = documents.newest(connection, kind, name)
        if newest is not None and newest.content == content:
            return False
        issued.append(self._facts.issue(connection, kind, name, content, order=order))
        return True

    def _gtin(self, item: str) -> str | None:
        return self._items.get(item, ItemSettings()).gtin

    def work_order(self, held: HeldOrder) -> WorkOrder:
        """The ERP's order, completed by item settings."""
        order = held.order
        return WorkOrder(
            erp_id=order.erp_id,
            reference=order.reference,
            number=order.number,
            product=order.product,
            product_gtin=self._gtin(order.product),
            revision=order.revision or self._items.get(order.product, ItemSettings()).revision,
            lot=order.lot or order.reference,
            quantity=order.quantity,
            unit=order.unit,
            state=order.state,
            operations=order.operations,
            bom=tuple(replace(need, gtin=self._gtin(need.item)) for need in order.bom),
            expiry=order.expiry,
            version=held.version,
            seen_us=held.seen_us,
            posting=held.posting,
        )

    def _lots_content(self, item: str, lots: Collection[ErpLot]) -> JsonValue:
        return {
            "item": item,
            "gtin": self._gtin(item),
            "lots": [
                {"lot": o.number, "status": o.status, "expiry": o.expiry, "quantity": quantity_text(o.quantity)}
                for o in sorted(lots, key=lambda lot: lot.number)
            ],
        }


def _order_content(order: WorkOrder) -> JsonValue:
    return {
        "reference": order.reference,
        "number": order.number,
        "product": order.product,
        "product_gtin": order.product_gtin,
        "revision": order.revision,
        "lot": order.lot,
        "quantity": quantity_text(order.quantity),
        "unit": order.unit,
        "state": order.state,
        "operations": [{"operation": o.operation, "sequence": o.sequence} for o in order.operations],
        "bom": [
            {"item": need.item, "gtin": need.gtin, "quantity": quantity_text(need.quantity)} for need in order.bom
        ],
        "expiry": order.expiry,
    }
