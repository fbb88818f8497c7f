"""What the simulated ERP knows and its rules: orders, stock, confirmations, kept in one JSON file.

Each change is on disk (written beside, fsynced, renamed) before it is answered, so the ERP can be killed at any
moment. A confirmation is booked whole or not at all, and once: its key is kept for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from records.clock import Clock, from_us
from simulators.tryton_setup import BILL, DEVICE, FIRST_ORDER, OPERATIONS, lots_in_stock

State = Literal["released", "running", "held", "closed", "cancelled"]


@dataclass(frozen=True)
class Operation:
    operation: str
    sequence: int
    name: str


@dataclass(frozen=True)
class Need:
    """What the whole order needs of an item."""

    item: str
    quantity: Decimal
    unit: str = "u"


@dataclass(frozen=True)
class Order:
    id: str
    reference: str
    number: str
    product: str
    revision: str | None
    quantity: Decimal
    unit: str
    state: State
    lot: str | None
    expiry: str | None
    operations: tuple[Operation, ...]
    bom: tuple[Need, ...]


@dataclass(frozen=True)
class Lot:
    item: str
    number: str
    expiry: str | None
    quantity: Decimal
    status: Literal["available", "blocked"] = "available"


@dataclass(frozen=True)
class Use:
    item: str
    lot: str
    quantity: Decimal


@dataclass(frozen=True)
class Worked:
    operation: str
    began_us: int
    ended_us: int
    duration_s: float
    quantity: int


@dataclass(frozen=True)
class Inspected:
    serial: str
    values: dict[str, bool | float]


@dataclass(frozen=True)
class Booking:
    """The report of a finished order, as it is sent and kept."""

    good: tuple[str, ...]
    scrap: int
    consumed: tuple[Use, ...]
    operations: tuple[Worked, ...]
    inspections: tuple[Inspected, ...] = ()


@dataclass(frozen=True)
class Booked:
    key: str
    order: str
    booking: Booking


@dataclass(frozen=True)
class _Content:
    orders: tuple[Order, ...]
    lots: tuple[Lot, ...]
    booked: tuple[Booked, ...]


_CONTENT = TypeAdapter(_Content)


class Forbidden(Exception):
    """A rule of the ERP forbids it; ``code`` says which."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def plant(orders: int, units: int) -> _Content:
    """The same plant as in the Tryton database: references, items, lots, routing."""
    operations = tuple(
        Operation(name.split()[0], number * 10, name) for number, (name, _, _) in enumerate(OPERATIONS, 1)
    )
    bom = tuple(Need(item, Decimal(quantity * units)) for item, quantity in BILL)
    lots = tuple(
        Lot(item, number, expiry.isoformat() if expiry else None, Decimal(quantity))
        for number, item, expiry, quantity in lots_in_stock(orders, units)
    )
    made = tuple(
        Order(
            str(n + 1),
            f"WO-{FIRST_ORDER + n}",
            str(n + 1),
            DEVICE,
            None,
            Decimal(units),
            "u",
            "released",
            None,
            None,
            operations,
            bom,
        )
        for n in range(orders)
    )
    return _Content(made, lots, ())


class Book:
    """Orders, stock and bookings; safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock, *, orders: int, units: int) -> None:
        """Open the file, or begin a new plant in it."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        if path.exists():
            self._content = _CONTENT.validate_json(path.read_bytes())
        else:
            self._keep(plant(orders, units))

    def orders(self, ids: Iterable[str] = (), references: Iterable[str] = ()) -> list[Order]:
        """Open orders, and those with one of these ids or references."""
        wanted, named = set(ids), set(references)
        return [
            o
            for o in self._content.orders
            if o.state in ("released", "running", "held") or o.id in wanted or o.reference in named
        ]

    def order(self, order_id: str) -> Order | None:
        return next((o for o in self._content.orders if o.id == order_id), None)

    def lots(self, items: Iterable[str]) -> list[Lot]:
        wanted = set(items)
        return [lot for lot in self._content.lots if lot.item in wanted and lot.quantity > 0]

    def booked(self, key: str) -> Booked | None:
        return next((b for b in self._content.booked if b.key == key), None)

    def bookings(self, order_id: str) -> list[Booked]:
        return [b for b in self._content.booked if b.order == order_id]

    def change(self, reference: str, state: State) -> None:
        """What a planner does in the ERP: hold, cancel, release an order again."""
        with self._lock:
            orders = tuple(
                replace(o, state=state) if o.reference == reference else o for o in self._content.orders
            )
            self._keep(replace(self._content, orders=orders))

    def book(self, key: str, order_id: str, booking: Booking) -> bool:
        """Book a report once: True when it is new, False when this key has booked the same before.

        Raises:
            Forbidden: a rule of the ERP; nothing is booked.
        """
        with self._lock:
            earlier = self.booked(key)
            if earlier is not None:
                if (earlier.order, earlier.booking) != (order_id, booking):
                    raise Forbidden("key-reused", f"key {key} was used for another confirmation")
                return False
            self._check(order_id, booking)
            orders = tuple(replace(o, state="closed") if o.id == order_id else o for o in self._content.orders)
            lots = tuple(replace(lot, quantity=lot.quantity - _used(booking, lot)) for lot in self._content.lots)
            self._keep(_Content(orders, lots, (*self._content.booked, Booked(key, order_id, booking))))
            return True

    def _check(self, order_id: str, booking: Booking) -> None:
        order = self.order(order_id)
        if order is None:
            raise Forbidden("order-unknown", f"there is no order {order_id}")
        if order.state not in ("released", "running"):
            raise Forbidden("order-not-open", f"order {order.reference} is {order.state}")
        if {o.operation for o in order.operations} != {o.operation for o in booking.operations}:
            raise Forbidden("routing-differs", f"order {order.reference} has other operations")
        made = {serial for b in self._content.booked for serial in b.booking.good}
        if len(set(booking.good)) != len(booking.good) or made & set(booking.good):
            raise Forbidden("serial-twice", "a serial would be made twice")
        for item, number in {(use.item, use.lot) for use in booking.consumed}:
            self._check_lot(item, number, booking)

    def _check_lot(self, item: str, number: str, booking: Booking) -> None:
        lot = next((o for o in self._content.lots if (o.item, o.number) == (item, number)), None)
        if lot is None:
            raise Forbidden("lot-unknown", f"there is no lot {number} of {item}")
        if lot.status == "blocked":
            raise Forbidden("lot-blocked", f"lot {number} of {item} is blocked")
        if lot.expiry is not None and lot.expiry < from_us(self._clock.now_us()).date().isoformat():
            raise Forbidden("lot-expired", f"lot {number} of {item} expired on {lot.expiry}")
        if _used(booking, lot) > lot.quantity:
            raise Forbidden("stock-too-small", f"lot {number} of {item} holds only {lot.quantity}")

    def _keep(self, content: _Content) -> None:
        """On disk first, then in memory."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(_CONTENT.dump_json(content, indent=1))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self._content = content


def _used(booking: Booking, lot: Lot) -> Decimal:
    uses = (use.quantity for use in booking.consumed if (use.item, use.lot) == (lot.item, lot.number))
    return sum(uses, Decimal(0))
