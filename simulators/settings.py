"""What a plant run is told: the pydantic models of PLANT.yaml."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from records.yaml import Duration, Settings, fault

Gtin = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$")]
Badge = Annotated[str, StringConstraints(pattern=r"^B[0-9]{6}$")]
LabelText = Annotated[str, StringConstraints(pattern=r"^[!%-?A-Z_a-z\"]{1,20}$")]
"""What a lot or serial on a GS1 label may hold (character set 82, at most 20)."""

TROUBLES_NONE = "none"
TROUBLES_DEFAULT = "default"


class Component(Settings):
    """One line of the bill of material."""

    item: str
    gtin: Gtin
    per_unit: Annotated[int, Field(ge=1)]


class Product(Settings):
    """What the line makes; the default is the infusion valve set."""

    item: str = "VS-100"
    gtin: Gtin = "04012345000016"
    components: tuple[Component, ...] = (
        Component(item="VB-10", gtin="04012345000030", per_unit=1),
        Component(item="SR-20", gtin="04012345000023", per_unit=2),
    )
    foreign_gtin: Gtin = "04012345000047"


class LotOnShelf(Settings):
    """A component lot beside OP10; one whose expiry has passed is never mounted knowingly."""

    item: str
    lot: LabelText
    expiry: dt.date | None = None
    quantity: Annotated[int, Field(ge=0)]


class OrderToMake(Settings):
    """One production order. ``troubles``: none, default, or the path of a YAML file (beside PLANT.yaml)."""

    reference: Annotated[LabelText, StringConstraints(pattern=r"^WO-")]
    units: Annotated[int, Field(ge=1, le=9999)]
    lots: tuple[LotOnShelf, ...]
    serial_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{0,16}$")]
    expiry: dt.date = dt.date(2029, 12, 31)
    troubles: str = TROUBLES_NONE


class Ports(Settings):
    """TCP ports of the four PLCs; 0 takes a free one."""

    assembler: Annotated[int, Field(ge=0, le=65535)] = 0
    welder: Annotated[int, Field(ge=0, le=65535)] = 0
    leak_tester: Annotated[int, Field(ge=0, le=65535)] = 0
    washer: Annotated[int, Field(ge=0, le=65535)] = 0


class Operators(Settings):
    """Who signs on at which scanner."""

    op10: Badge = "B100001"
    op30: Badge = "B100002"
    op40: Badge = "B100003"


class Pace(Settings):
    """How long things take in the plant's own time; ``speed`` divides them all."""

    assemble: Duration = 20.0
    weld: Duration = 15.0
    leak_test: Duration = 25.0
    wash: Duration = 600.0
    between_scans: Duration = 1.5


class PlantSettings(Settings):
    """A whole run of the simulated line."""

    folder: Path = Path(".")
    seed: int = 1
    speed: Annotated[float, Field(gt=0)] = 1.0
    host: str = "127.0.0.1"
    ports: Ports = Ports()
    product: Product = Product()
    operators: Operators = Operators()
    pace: Pace = Pace()
    tray: Annotated[int, Field(ge=1)] = 20
    restart_down: Duration = 1.0
    scan_timeout: Duration = 2.0
    orders: Annotated[tuple[OrderToMake, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_order_once(self) -> PlantSettings:
        seen: set[str] = set()
        for index, order in enumerate(self.orders):
            if order.reference in seen:
                raise fault(f"order {order.reference} stands here twice", at=("orders", index, "reference"))
            seen.add(order.reference)
            for component in self.product.components:
                if not any(lot.item == component.item for lot in order.lots):
                    raise fault(
                        f"order {order.reference} has no lot of {component.item}",
                        at=("orders", index, "lots"),
                        hint=f"add a lot of {component.item} with enough quantity",
                    )
        return self
