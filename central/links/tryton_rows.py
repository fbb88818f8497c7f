"""What the posting reads from Tryton, row by row, and the fields that it asks for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass


def operation_code(name: str) -> str:
    """Our operation in the name that Tryton has for it: its first word (``OP10 Assemble`` is ``OP10``)."""
    return name.split()[0] if name.split() else name


@dataclass(frozen=True, slots=True)
class Id:
    id: int


@dataclass(frozen=True, slots=True)
class Product:
    id: int
    code: str | None
    default_uom: int


@dataclass(frozen=True, slots=True)
class MoveRow:
    """A stock move: an input or output of a production. States: draft, assigned, done, cancelled."""

    id: int
    product: int
    lot: int | None
    quantity: Decimal
    state: str
    to_location: int


@dataclass(frozen=True, slots=True)
class Company:
    currency: int


@dataclass(frozen=True, slots=True)
class Warehouse:
    storage_location: int
    waste_locations: list[Id]


@dataclass(frozen=True, slots=True)
class Order:
    """A production with its moves. ``timestamp`` lets a write notice a change since this reading."""

    id: int
    state: str
    product: Product
    location: int
    company: Company
    warehouse: Warehouse
    inputs: list[MoveRow]
    outputs: list[MoveRow]
    timestamp: Annotated[str, Field(validation_alias="_timestamp")]


@dataclass(frozen=True, slots=True)
class Lot:
    """A stock lot; ``quantity`` is what the warehouse's storage holds of it."""

    id: int
    number: str
    product: Product
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Cycle:
    id: int
    state: str
    duration: timedelta | None


@dataclass(frozen=True, slots=True)
class Work:
    id: int
    operation: Name
    state: str
    cycles: list[Cycle]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a quality control; type_ is boolean or a number's."""

    name: str
    type_: str
    tolerance_lower: float | None
    tolerance_upper: float | None


@dataclass(frozen=True, slots=True)
class Control:
    id: int
    points: list[Point]


@dataclass(frozen=True, slots=True)
class Inspection:
    id: int
    state: str


_MOVE = ("product", "lot", "quantity", "state", "to_location")
_PRODUCT = ("product.code", "product.default_uom")

ORDERS = TypeAdapter(list[Order])
ORDER_FIELDS = [
    *("state", "location", "company.currency", "_timestamp", *_PRODUCT),
    *("warehouse.storage_location", "warehouse.waste_locations.id"),
    *(f"inputs.{field}" for field in _MOVE),
    *(f"outputs.{field}" for field in _MOVE),
]
LOTS = TypeAdapter(list[Lot])
LOT_FIELDS = ["number", "quantity", *_PRODUCT]
WORKS = TypeAdapter(list[Work])
WORK_FIELDS = ["operation.name", "state", "cycles.state", "cycles.duration"]
CONTROLS = TypeAdapter(list[Control])
CONTROL_FIELDS = ["points.name", "points.type_", "points.tolerance_lower", "points.tolerance_upper"]
INSPECTIONS = TypeAdapter(list[Inspection])
INSPECTION_FIELDS = ["state"]
IDS = TypeAdapter(list[Id])
