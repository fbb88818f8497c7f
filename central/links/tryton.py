"""Tryton 8.2 as the ERP: production orders, stock lots, and what became of an order.

How its words map to ours: a production is a work order, the first word of an operation's name is our operation
(``OP10 Assemble`` is ``OP10``), a stock lot is a component lot or, for a product counted by serial number, one
unit. The states request and draft (planned, or taken back for a change) are ``held`` for an order that we know.

Orders are read whole at every poll: the time of last change does not move when a component, a work or the bill
of material changes, and a cancelled order leaves the list of open ones silently, so those that we hold are asked
for by id.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from central.links.base import (
    BomItem,
    Confirmation,
    Consumption,
    ErpLot,
    ErpOperation,
    ErpOrder,
    ErpRefused,
    ErpResult,
    OrderOperation,
    OrderState,
    StepLog,
)
from central.links.settings import TrytonSettings
from central.links.tryton_post import TrytonPosting
from central.links.tryton_rows import operation_code
from central.links.tryton_rpc import TrytonRpc

PAGE = 200
OPEN_STATES = ["waiting", "assigned", "running"]
STATES: dict[str, OrderState] = {
    "request": "held",
    "draft": "held",
    "waiting": "released",
    "assigned": "released",
    "running": "running",
    "done": "closed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True)
class _Code:
    code: str | None


@dataclass(frozen=True, slots=True)
class _Symbol:
    symbol: str


@dataclass(frozen=True, slots=True)
class _BomLine:
    product: _Code
    quantity: Decimal
    unit: _Symbol


@dataclass(frozen=True, slots=True)
class _Bom:
    inputs: list[_BomLine]
    outputs: list[_BomLine]


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Work:
    operation: _Name
    sequence: int | None


@dataclass(frozen=True, slots=True)
class _Order:
    id: int
    number: str | None
    reference: str | None
    state: str
    quantity: Decimal | None
    unit: _Symbol | None
    product: _Code | None
    bom: _Bom | None
    works: list[_Work]


_ORDERS = TypeAdapter(list[_Order])
_ORDER_FIELDS = [
    *("number", "reference", "state", "quantity", "unit.symbol", "product.code"),
    *("bom.inputs.product.code", "bom.inputs.quantity", "bom.inputs.unit.symbol"),
    *("bom.outputs.product.code", "bom.outputs.quantity", "bom.outputs.unit.symbol"),
    *("works.operation.name", "works.sequence"),
]


@dataclass(frozen=True, slots=True)
class _Warehouse:
    storage_location: int


@dataclass(frozen=True, slots=True)
class _Lot:
    number: str
    product: _Code
    quantity: Decimal
    shelf_life_expiration_date: date | None


_WAREHOUSES = TypeAdapter(list[_Warehouse])
_LOTS = TypeAdapter(list[_Lot])


@dataclass(frozen=True, slots=True)
class _Number:
    number: str


@dataclass(frozen=True, slots=True)
class _Place:
    type: str


@dataclass(frozen=True, slots=True)
class _Move:
    product: _Code
    lot: _Number | None
    quantity: Decimal
    state: str
    to_location: _Place


@dataclass(frozen=True, slots=True)
class _Cycle:
    state: str
    duration: timedelta | None


@dataclass(frozen=True, slots=True)
class _WorkDone:
    operation: _Name
    state: str
    cycles: list[_Cycle]


@dataclass(frozen=True, slots=True)
class _Result:
    reference: str | None
    number: str | None
    state: str
    inputs: list[_Move]
    outputs: list[_Move]
    works: list[_WorkDone]


_RESULTS = TypeAdapter(list[_Result])
_MOVE_FIELDS = ("product.code", "lot.number", "quantity", "state", "to_location.type")
_RESULT_FIELDS = [
    *("reference", "number", "state"),
    *(f"inputs.{field}" for field in _MOVE_FIELDS),
    *(f"outputs.{field}" for field in _MOVE_FIELDS),
    *("works.operation.name", "works.state", "works.cycles.state", "works.cycles.duration"),
]


@dataclass(frozen=True, slots=True)
class _Inspection:
    reference: str | None
    state: str


_INSPECTIONS = TypeAdapter(list[_Inspection])


class TrytonLink:
    """An ``ErpLink``; one thread at a time."""

    def __init__(self, settings: TrytonSettings) -> None:
        self._settings = settings
        self._rpc = TrytonRpc(settings.url, settings.database, settings.user, settings.password, settings.timeout)

    @property
    def address(self) -> str:
        return self._rpc.address

    def close(self) -> None:
        self._rpc.close()

    def orders(self, held: Collection[str], named: Collection[str] = ()) -> list[ErpOrder]:
        known = [int(erp_id) for erp_id in held]
        domain: list[object] = ["OR", [["state", "in", OPEN_STATES]], [["id", "in", known]]]
        if named:
            domain += [[[field, "in", sorted(named)]] for field in ("reference", "number")]
        found: list[ErpOrder] = []
        while True:
            page = self._rpc.read(_ORDERS, "production", domain, _ORDER_FIELDS, offset=len(found), limit=PAGE)
            found.extend(_order(row) for row in page)
            if len(page) < PAGE:
                return [order for order in found if order.product]

    def lots(self, items: Collection[str]) -> list[ErpLot]:
        places = self._rpc.read(_WAREHOUSES, "stock.location", [["type", "=", "warehouse"]], ["storage_location"])
        rows = self._rpc.read(
            _LOTS,
            "stock.lot",
            [["product.code", "in", sorted(items)], ["quantity", ">", 0]],
            ["number", "product.code", "quantity", "shelf_life_expiration_date"],
            context={"locations": [place.storage_location for place in places]},
        )
        return [
            ErpLot(
                row.product.code or "",
                row.number,
                row.shelf_life_expiration_date.isoformat() if row.shelf_life_expiration_date else None,
                row.quantity,
                "available",
            )
            for row in rows
        ]

    def post(self, confirmation: Confirmation, progress: StepLog) -> None:
        TrytonPosting(self._rpc, self._settings, confirmation).run(progress)

    def read_back(self, erp_id: str) -> ErpResult:
        rows = self._rpc.read(_RESULTS, "production", [["id", "=", int(erp_id)]], _RESULT_FIELDS)
        if not rows:
            raise ErpRefused(f"{self.address} has no production {erp_id} any more")
        row = rows[0]
        return ErpResult(
            row.reference or row.number or "",
            STATES[row.state],
            tuple(
                move.lot.number if move.lot else ""
                for move in row.outputs
                if move.state == "done" and move.to_location.type != "lost_found"
            ),
            sum(
                (
                    move.quantity
                    for move in row.outputs
                    if move.state == "done" and move.to_location.type == "lost_found"
                ),
                Decimal(0),
            ),
            tuple(
                Consumption(move.product.code or "", move.lot.number if move.lot else "", move.quantity)
                for move in row.inputs
                if move.state == "done"
            ),
            tuple(_operation(work) for work in row.works),
            self._inspections(erp_id),
        )

    def _inspections(self, erp_id: str) -> tuple[tuple[str, str], ...]:
        if self._settings.quality_control is None:
            return ()
        rows = self._rpc.read(
            _INSPECTIONS, "quality.inspection", [["origin", "=", f"production,{erp_id}"]], ["reference", "state"]
        )
        return tuple((row.reference or "", row.state) for row in rows)


def _order(row: _Order) -> ErpOrder:
    quantity = row.quantity or Decimal(0)
    works = enumerate(row.works, 1)
    return ErpOrder(
        str(row.id),
        row.reference or row.number or str(row.id),
        row.number,
        (row.product.code if row.product else None) or "",
        quantity,
        row.unit.symbol if row.unit else "u",
        STATES[row.state],
        tuple(
            OrderOperation(operation_code(work.operation.name), work.sequence or place * 10, work.operation.name)
            for place, work in works
        ),
        () if row.bom is None else _needs(row.bom, row.product, quantity),
    )


def _needs(bom: _Bom, product: _Code | None, quantity: Decimal) -> tuple[BomItem, ...]:
    """The bill for the whole order. Not the order's own inputs: those become what was consumed."""
    per_run = sum((line.quantity for line in bom.outputs if line.product == product), Decimal(0)) or Decimal(1)
    return tuple(
        BomItem(line.product.code or "", line.quantity * quantity / per_run, unit=line.unit.symbol)
        for line in bom.inputs
    )


def _operation(work: _WorkDone) -> ErpOperation:
    cycles = [cycle for cycle in work.cycles if cycle.state != "cancelled"]
    duration_s = sum(cycle.duration.total_seconds() for cycle in cycles if cycle.duration)
    finished = work.state in ("finished", "done")
    return ErpOperation(operation_code(work.operation.name), finished, duration_s, len(cycles))
