"""The component lots beside OP10: which one a piece uses, and which labels the operator reads by mistake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from records.errors import ConfigurationError
from simulators.jobs import Consumed, OrderPlan, Scan, component_label
from simulators.settings import Component, LotOnShelf, Product
from simulators.troubles import ScanTrouble

STALE_LOT = "EXPIRED-01"
STALE_EXPIRY = dt.date(2021, 12, 31)
"""What an expired label says when the order lists no expired lot of the item."""


@dataclass(slots=True)
class Shelf:
    """The lots of one component, taken one after another."""

    component: Component
    lots: list[LotOnShelf]
    mounted: LotOnShelf | None = None
    left: int = 0

    def take(self, order: str) -> tuple[Consumed, Scan | None]:
        """What one piece uses, and the label to scan when that needs another lot."""
        need, scan = self.component.per_unit, None
        while self.mounted is None or self.left < need:
            if not self.lots:
                raise ConfigurationError(
                    f"order {order}: its lots of {self.component.item} do not suffice",
                    hint=f"each piece uses {need} of one lot; raise a quantity or add a lot that has not expired",
                )
            self.mounted = self.lots.pop(0)
            self.left = self.mounted.quantity
            scan = Scan(component_label(self.component.gtin, self.mounted.lot, self.mounted.expiry))
        self.left -= need
        return Consumed(self.component.item, self.mounted.lot, need), scan


def refused_scans(product: Product, plan: OrderPlan, today: dt.date) -> list[Scan]:
    """What the operator scans wrongly before the first piece."""
    scans = []
    for placed in plan.troubles:
        trouble = placed.trouble
        if not isinstance(trouble, ScanTrouble):
            continue
        component = next((c for c in product.components if c.item == trouble.item), None)
        if component is None:
            raise ConfigurationError(f"the trouble {trouble.code} names {trouble.item}, which is no component")
        stale = [x for x in plan.order.lots if x.item == trouble.item and expired(x, today)]
        if trouble.code == "wrong-lot-scanned":
            label = component_label(product.foreign_gtin, "FOREIGN-01", None)
        elif stale:
            label = component_label(component.gtin, stale[0].lot, stale[0].expiry)
        else:
            label = component_label(component.gtin, STALE_LOT, STALE_EXPIRY)
        scans.append(Scan(label, accept=False))
    return scans


def expired(lot: LotOnShelf, today: dt.date) -> bool:
    """Whether its last day is over."""
    return lot.expiry is not None and lot.expiry < today


def fresh(lots: Sequence[LotOnShelf], item: str, today: dt.date) -> list[LotOnShelf]:
    """The lots of an item that may be mounted, in the order in which they are taken."""
    return [lot for lot in lots if lot.item == item and not expired(lot, today)]
