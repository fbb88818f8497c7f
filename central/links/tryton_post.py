"""Bring one Tryton production to what a confirmation says: read, compare, write the difference, read again.

Tryton has no key of ours on moves, cycles and lots and lets the same serial be stored twice, and each button is
a transaction of its own. So every step begins with reading: what is there already is ``found``, only what lacks
is written (for the order's own moves with its time stamp, so that a change by somebody else in between is
noticed), and a button counts only when the state, read again, has moved. A posting can thus be cut at any point,
also between the effect and its answer, and be run again.

Steps: inputs (lots and quantities used), assign, run (books them out), serials (one stock lot a unit), outputs
(good units to stock, scrap to the waste location), one work per operation with its machine time, inspection,
close.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from decimal import Decimal
from functools import partial

from central.links.base import Confirmation, ErpRefused, StepLog, StepOutcome
from central.links.settings import TrytonSettings
from central.links.tryton_moves import Wanted, changes
from central.links.tryton_rows import IDS, LOT_FIELDS, LOTS, ORDER_FIELDS, ORDERS, Lot, Order
from central.links.tryton_rpc import TrytonRpc, TrytonWarning
from central.links.tryton_work import TrytonInspection, TrytonWorks

Step = Callable[[], StepOutcome]

WARNINGS_LIMIT = 20
"""Most warnings that are confirmed for one button."""


class TrytonPosting:
    """One confirmation on its way into one production."""

    def __init__(self, rpc: TrytonRpc, settings: TrytonSettings, confirmation: Confirmation) -> None:
        self._rpc = rpc
        self._settings = settings
        self._confirmation = confirmation
        self._id = int(confirmation.erp_id)
        self._works = TrytonWorks(rpc, self._id)

    def run(self, progress: StepLog) -> None:
        """All steps in order; see ``ErpLink.post`` for what is raised."""
        self._check_operations()
        for name, step in self._steps():
            progress.begin(name)
            try:
                outcome = step()
            except ErpRefused as error:
                error.step = name
                raise
            progress.done(name, outcome)

    def _steps(self) -> list[tuple[str, Step]]:
        steps: list[tuple[str, Step]] = [
            ("inputs", self._inputs),
            ("assign", self._assign),
            ("run", partial(self._button, "run", ("running", "done"))),
            ("serials", self._serials),
            ("outputs", self._outputs),
        ]
        for total in self._confirmation.operations:
            duration = timedelta(seconds=total.duration_s)
            steps.append((f"work {total.operation}", partial(self._works.book, total.operation, duration)))
        if self._settings.quality_control is not None:
            steps.append(("inspection", partial(self._inspect, self._settings.quality_control)))
        steps.append(("close", partial(self._button, "do", ("done",))))
        return steps

    # -- reading -------------------------------------------------------------------------------------------

    def _order(self) -> Order:
        rows = self._rpc.read(ORDERS, "production", [["id", "=", self._id]], ORDER_FIELDS)
        if not rows:
            raise ErpRefused(f"production {self._id} is not in the ERP any more")
        if rows[0].state not in ("waiting", "assigned", "running", "done"):
            raise ErpRefused(
                f"order {self._confirmation.order} is {rows[0].state} in the ERP",
                hint="release it there again, or reject the lot",
            )
        return rows[0]

    def _read_lots(self, order: Order, numbers: Collection[str], item: str | None) -> dict[str, list[Lot]]:
        """Stock lots of one item by number, with what the order's storage holds of each."""
        domain: list[object] = [["number", "in", sorted(set(numbers))], ["product.code", "=", item]]
        places = {"locations": [order.warehouse.storage_location]}
        found: dict[str, list[Lot]] = {number: [] for number in numbers}
        for lot in self._rpc.read(LOTS, "stock.lot", domain, LOT_FIELDS, context=places):
            found[lot.number].append(lot)
        return found

    def _check_operations(self) -> None:
        """Before anything is written: a routing that differs would leave the order half posted."""
        self._order()
        ours = {total.operation for total in self._confirmation.operations}
        erp = self._works.operations()
        if ours != erp:
            only = ", ".join(sorted(ours ^ erp))
            raise ErpRefused(
                f"order {self._confirmation.order}: the ERP's routing and ours differ in {only}", step="inputs"
            )

    # -- inputs --------------------------------------------------------------------------------------------

    def _inputs(self) -> StepOutcome:
        order = self._order()
        if order.state == "done":
            return "found"
        wanted = self._wanted_inputs(order)
        if not changes(order.inputs, wanted):
            return "found"
        if order.state == "running":
            raise ErpRefused(
                f"order {self._confirmation.order} has used other lots or quantities in the ERP already",
                hint="correct the stock there",
            )
        if order.state == "assigned":
            self._button("wait", ("waiting",))
            order = self._order()
        reserved = [move.id for move in order.inputs if move.state != "draft"]
        if reserved:  # an assignment that found only a part of the stock
            self._rpc.call("stock.move.draft", reserved)
            order = self._order()
        self._write_moves(order, "inputs", changes(order.inputs, wanted))
        return "written"

    def _wanted_inputs(self, order: Order) -> list[Wanted]:
        quantities: dict[tuple[str, str], Decimal] = {}
        for use in self._confirmation.consumed:
            quantities[use.item, use.lot] = quantities.get((use.item, use.lot), Decimal(0)) + use.quantity
        wanted = []
        for (item, number), quantity in sorted(quantities.items()):
            lot = self._component_lot(order, item, number)
            values: dict[str, object] = {
                "product": lot.product.id,
                "unit": lot.product.default_uom,
                "lot": lot.id,
                "quantity": float(quantity),
                "from_location": order.warehouse.storage_location,
                "to_location": order.location,
            }
            wanted.append(Wanted(lot.product.id, lot.id, quantity, order.location, values))
        return wanted

    def _component_lot(self, order: Order, item: str, number: str) -> Lot:
        """The stock lot of that number. Tryton may hold the number twice: then the one with stock, or the one
        that the order has already.
        """
        lots = self._read_lots(order, [number], item)[number]
        if not lots:
            raise ErpRefused(f"the ERP does not know lot {number} of {item}")
        used = {move.lot for move in order.inputs}
        candidates = [lot for lot in lots if lot.id in used] or [lot for lot in lots if lot.quantity > 0] or lots
        if len(candidates) > 1:
            raise ErpRefused(f"the ERP holds lot {number} of {item} {len(candidates)} times")
        return candidates[0]

    def _write_moves(self, order: Order, field: str, commands: list[object]) -> None:
        stamp = {f"production,{order.id}": order.timestamp}
        self._rpc.call("production.write", [order.id], {field: commands}, context={"_timestamp": stamp})

    # -- buttons -------------------------------------------------------------------------------------------

    def _assign(self) -> StepOutcome:
        if self._order().state != "waiting":
            return "found"
        self._rpc.call("production.assign_try", [self._id])
        order = self._order()  # the call answers the same whether the stock was there or not
        if order.state == "waiting":
            short = {move.lot for move in order.inputs if move.state == "draft"}
            lots = self._rpc.read(LOTS, "stock.lot", [["id", "in", list(short)]], LOT_FIELDS)
            names = ", ".join(sorted(lot.number for lot in lots))
            raise ErpRefused(f"the ERP's stock is too small of lot {names}", hint="correct the stock there")
        return "written"

    def _button(self, name: str, reached: tuple[str, ...]) -> StepOutcome:
        """Press a button of the order until its state is one of ``reached``."""
        if self._order().state in reached:
            return "found"
        for _ in range(WARNINGS_LIMIT):
            try:
                answer = self._rpc.call(f"production.{name}", [self._id])
                break
            except TrytonWarning as warning:
                if not self._settings.confirm_warnings:
                    raise
                self._rpc.call("res.user.warning.skip", warning.key, False)
        else:
            raise ErpRefused(f"the ERP goes on warning at {name}")
        if answer is not None:  # the description of a dialog: the button did nothing
            raise ErpRefused(
                f"the ERP wants an inspection of order {self._confirmation.order} before {name}",
                hint="set erp.quality_control, or process the inspection there",
            )
        state = self._order().state
        if state not in reached:
            raise ErpRefused(f"order {self._confirmation.order} stays {state} in the ERP after {name}")
        return "written"

    # -- outputs -------------------------------------------------------------------------------------------

    def _scrap_numbers(self) -> list[str]:
        """Scrapped pieces never got a serial, but Tryton wants a lot for each: named after the order."""
        return [f"{self._confirmation.order}-SCRAP-{n}" for n in range(1, self._confirmation.scrap + 1)]

    def _serials(self) -> StepOutcome:
        order = self._order()
        if order.state == "done":
            return "found"
        numbers = [*self._confirmation.good, *self._scrap_numbers()]
        lots = self._read_lots(order, numbers, order.product.code)
        self._check_unused(lots)
        missing = [number for number in numbers if not lots[number]]
        if not missing:
            return "found"
        rows = [{"number": number, "product": order.product.id} for number in missing]
        self._rpc.call("stock.lot.create", rows)
        return "written"

    def _check_unused(self, lots: dict[str, list[Lot]]) -> None:
        twice = sorted(number for number, same in lots.items() if len(same) > 1)
        if twice:
            raise ErpRefused(f"the ERP holds serial {twice[0]} {len(lots[twice[0]])} times")
        ids = [lot.id for same in lots.values() for lot in same]
        elsewhere: list[object] = [["lot", "in", ids], ["production_output", "not in", [self._id, None]]]
        made = self._rpc.read(IDS, "stock.move", elsewhere, ["id"], limit=1)
        if made:
            raise ErpRefused("the ERP has made one of these serials by another order")

    def _outputs(self) -> StepOutcome:
        order = self._order()
        if order.state == "done":
            return "found"
        commands = changes(order.outputs, self._wanted_outputs(order))
        if not commands:
            return "found"
        self._write_moves(order, "outputs", commands)
        return "written"

    def _wanted_outputs(self, order: Order) -> list[Wanted]:
        scrap = self._scrap_numbers()
        if scrap and not order.warehouse.waste_locations:
            raise ErpRefused(
                "the ERP's warehouse has no waste location for scrap", hint="add one to the warehouse"
            )
        lots = self._read_lots(order, [*self._confirmation.good, *scrap], order.product.code)
        good: dict[str, object] = {"unit_price": Decimal(0), "currency": order.company.currency}
        bad: dict[str, object] = {"unit_price": None, "currency": None}  # no price on the way to waste
        storage = order.warehouse.storage_location
        places = [(number, storage, good) for number in self._confirmation.good]
        places += [(number, order.warehouse.waste_locations[0].id, bad) for number in scrap]
        return [
            Wanted(
                order.product.id,
                lots[number][0].id,
                Decimal(1),
                place,
                {
                    "product": order.product.id,
                    "unit": order.product.default_uom,
                    "lot": lots[number][0].id,
                    "quantity": 1.0,
                    "from_location": order.location,
                    "to_location": place,
                    **price,
                },
            )
            for number, place, price in places
        ]

    def _inspect(self, control: str) -> StepOutcome:
        if self._order().state == "done":
            return "found"
        return TrytonInspection(self._rpc, control, self._confirmation).ensure()
