"""The words of a plan: what one station does in one cycle, and what the ledger of truth keeps of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from records.model import Purpose, Result
from simulators.plant import Values
from simulators.settings import OrderToMake
from simulators.troubles import Placed

GS = "\x1d"

StationName = Literal["assemble", "weld", "leak_test", "wash"]
STATIONS: tuple[StationName, ...] = ("assemble", "weld", "leak_test", "wash")
EQUIPMENT = {"assemble": "ASM-01", "weld": "WELD-01", "leak_test": "LEAK-01", "wash": "WASH-01"}
OPERATION = {"assemble": "OP10", "weld": "OP20", "leak_test": "OP30", "wash": "OP40"}


@dataclass(frozen=True, slots=True)
class Scan:
    """One label that the operator reads, and whether the station should accept it."""

    text: str
    accept: bool = True


@dataclass(frozen=True, slots=True)
class Consumed:
    item: str
    lot: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Cycle:
    """One machine cycle as it will be: the truth that the ledger keeps.

    ``cycle`` is the machine's count after it, ``total`` its counter of parts. ``carrier`` is what the reader
    gives (None where the station has none), ``subjects`` the serials whose labels were scanned for it.
    """

    station: StationName
    cycle: int
    total: int
    order: str
    purpose: Purpose
    result: Result
    carrier: str | None
    operator: str
    values: Values
    subjects: tuple[str, ...] = ()
    materials: tuple[Consumed, ...] = ()


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one piece; ``carrier`` is the true one."""

    order: str
    carrier: str
    serial: str | None
    disposition: Literal["good", "scrap"]


@dataclass(frozen=True, slots=True)
class OrderDone:
    order: str
    ordered: int
    good: int
    scrap: int


@dataclass(frozen=True, slots=True)
class Job:
    """A cycle with what belongs to it, in the order of the fields below.

    The jobs named in ``after`` must be over, ``troubles`` are noted in the ledger, ``scans_before`` are read, the
    carrier arrives, ``scans`` are read, the cycle runs (with a ``restart`` of the PLC before its answer), then
    ``fates`` and ``done`` are noted.
    """

    name: str
    cycle: Cycle
    after: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    scans_before: tuple[Scan, ...] = ()
    scans: tuple[Scan, ...] = ()
    restart: bool = False
    fates: tuple[Fate, ...] = ()
    done: OrderDone | None = None


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """An order with its troubles in place."""

    number: int
    order: OrderToMake
    troubles: tuple[Placed, ...]


def carrier_id(piece: int) -> str:
    return f"C-{piece + 1:04d}"


def serial_of(order: OrderToMake, piece: int) -> str:
    return f"{order.serial_prefix}{piece + 1:04d}"


def component_label(gtin: str, lot: str, expiry: dt.date | None) -> str:
    """A GS1 DataMatrix as the scanner sends it."""
    until = "" if expiry is None else f"17{expiry:%y%m%d}"
    return f"]d201{gtin}{until}10{lot}"


def unit_label(gtin: str, order: OrderToMake, piece: int) -> str:
    lot = f"{order.reference}{GS}"
    return f"]d201{gtin}17{order.expiry:%y%m%d}10{lot}21{serial_of(order, piece)}"
