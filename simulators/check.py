"""Holds the ledger of truth against central's records and against the ERP: cycle by cycle, unit by unit.

Pure: what was read comes in, what differs comes out. ``missing``: the ledger has a cycle that central has not;
``extra``: central has one that the ledger has not; ``doubled``: one cycle of a station recorded twice;
``altered``: both have it and something in it differs.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, JsonValue


class _Json(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Used(_Json):
    """A component lot and how much of it."""

    item: str
    lot: str
    quantity: Decimal


class TrueCycle(_Json):
    """One ``cycle`` line of the ledger."""

    station: str
    equipment: str
    operation: str
    cycle: int
    order: str | None
    purpose: str
    result: str
    carrier: str | None
    operator: str | None
    values: dict[str, JsonValue]
    subjects: tuple[str, ...]
    materials: tuple[Used, ...] = ()


class TrueUnit(_Json):
    """One ``unit`` line of the ledger: the fate of one piece."""

    order: str
    carrier: str
    serial: str | None
    disposition: str


class TrueScan(_Json):
    station: str
    text: str
    expect: str
    answer: str | None = None


class TrueTrouble(_Json):
    code: str
    order: str | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The whole ledger."""

    cycles: tuple[TrueCycle, ...]
    units: tuple[TrueUnit, ...]
    scans: tuple[TrueScan, ...]
    troubles: tuple[TrueTrouble, ...]
    finished: bool


def read_ledger(lines: Iterable[Mapping[str, JsonValue]]) -> Truth:
    """Sort the ledger's lines by what they are."""
    by_type: dict[str, list[Mapping[str, JsonValue]]] = defaultdict(list)
    for line in lines:
        by_type[str(line.get("type"))].append(line)
    return Truth(
        tuple(TrueCycle.model_validate(line) for line in by_type["cycle"]),
        tuple(TrueUnit.model_validate(line) for line in by_type["unit"]),
        tuple(TrueScan.model_validate(line) for line in by_type["scan"]),
        tuple(TrueTrouble.model_validate(line) for line in by_type["trouble"]),
        bool(by_type["end"]),
    )


class HeldReading(_Json):
    """``data_type`` None: not told, so single precision is enough."""

    tag: str
    value: JsonValue = None
    quality: str = "good"
    data_type: str | None = None


NOT_READ = HeldReading(tag="", quality="bad")


class HeldSubject(_Json):
    kind: str
    id: str
    result: str


class HeldEnd(_Json):
    """One end of a material edge."""

    kind: str
    id: str
    product: str | None = None


class HeldMaterial(_Json):
    kind: str
    source: HeldEnd | None = None
    target: HeldEnd | None = None
    quantity: Decimal


class HeldPerson(_Json):
    id: str


class HeldRecord(_Json):
    """One item of central's ``operation-records``."""

    agent: str
    epoch: str
    seq: int
    station: str
    cycle: int | None
    order: str | None
    operation: str
    purpose: str
    subjects: tuple[HeldSubject, ...]
    readings: tuple[HeldReading, ...] = ()
    materials: tuple[HeldMaterial, ...] = ()
    people: tuple[HeldPerson, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Where ledger and record of one cycle differ."""

    station: str
    cycle: int
    what: str
    truth: str
    held: str


@dataclass(frozen=True, slots=True)
class Comparison:
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    doubled: tuple[str, ...]
    altered: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not (self.missing or self.extra or self.doubled or self.altered)


RESULTS = {"1": "pass", "2": "fail", "3": "scrap", "4": "aborted"}
"""What a machine's result register means (the plant's own table)."""
_OF_A_COPY = ("epoch", "seq", "hash", "received_at", "stored_as")
"""In what two records of one run differ when the second was stored again under a new epoch."""


def held_once(items: Iterable[Mapping[str, JsonValue]]) -> list[HeldRecord]:
    """Items of ``operation-records``, each run once as central counts it: copies that were stored again go.

    A run that is there twice and does not say why, or whose copy differs, stays twice.
    """
    kept: dict[str, dict[str, JsonValue]] = {}
    told: list[HeldRecord] = []
    for item in sorted(items, key=lambda item: item["stored_as"] is not None):
        same = {name: value for name, value in item.items() if name not in _OF_A_COPY}
        first = kept.setdefault(str(item["run_id"]), same)
        if first is same or first != same or item["stored_as"] is None:
            told.append(HeldRecord.model_validate(item))
    return told


def compare(truth: Truth, records: Sequence[HeldRecord]) -> Comparison:
    """The ledger's cycles against central's records, by station and machine cycle."""
    true = {(cycle.station, cycle.cycle): cycle for cycle in truth.cycles}
    held: dict[tuple[str, int | None], list[HeldRecord]] = defaultdict(list)
    for record in records:
        held[record.station, record.cycle].append(record)
    altered = [
        difference
        for key, cycle in true.items()
        for record in held.get(key, ())
        for difference in _differences(cycle, record)
    ]
    return Comparison(
        tuple(f"{station} {cycle}" for station, cycle in true if (station, cycle) not in held),
        tuple(f"{station} {cycle}" for station, cycle in held if (station, cycle) not in true),
        tuple(f"{s} {c}" for (s, c), found in held.items() if len(found) > 1),
        tuple(altered),
    )


def _differences(truth: TrueCycle, held: HeldRecord) -> Iterable[Difference]:
    readings = {reading.tag.partition(".")[2]: reading.value for reading in held.readings}
    subjects = sorted(s.id for s in held.subjects if s.kind == "unit")
    pairs: list[tuple[str, object, object]] = [
        ("order", truth.order, held.order),
        ("operation", truth.operation, held.operation),
        ("purpose", truth.purpose, held.purpose),
        ("result", truth.result, RESULTS.get(str(readings.get("cycle_result")))),
        ("operator", truth.operator, held.people[0].id if held.people else None),
        ("subjects", sorted(truth.subjects), subjects),
        ("materials", _used(truth.materials), _consumed(held.materials)),
    ]
    if truth.carrier is not None:
        pairs.append(("carrier", truth.carrier, readings.get("carrier")))
    by_tag = {reading.tag: reading for reading in held.readings}
    for what, true_value, held_value in pairs:
        if true_value != held_value:
            yield Difference(truth.station, truth.cycle, what, str(true_value), str(held_value))
    for tag, value in truth.values.items():
        reading = by_tag.get(tag, NOT_READ)
        if not same_value(value, reading.value, single=reading.data_type in ("float32", None)):
            yield Difference(truth.station, truth.cycle, tag, str(value), str(reading.value))


def _used(materials: Iterable[Used]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for used in materials:
        total[f"{used.item} {used.lot}"] += used.quantity
    return dict(total)


def _consumed(materials: Iterable[HeldMaterial]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = defaultdict(Decimal)
    for material in materials:
        if material.kind == "consumed" and material.source is not None:
            total[f"{material.source.product} {material.source.id}"] += material.quantity
    return dict(total)


def same_value(truth: JsonValue, held: JsonValue, *, single: bool = True) -> bool:
    """Equal, or with ``single`` equal in single precision: a Modbus float32 cannot carry more."""
    if isinstance(truth, list):
        return (
            isinstance(held, list)
            and len(truth) == len(held)
            and all(same_value(a, b, single=single) for a, b in zip(truth, held, strict=True))
        )
    if isinstance(truth, bool) or isinstance(held, bool):
        return truth is held
    if isinstance(truth, int | float) and isinstance(held, int | float):
        return truth == held or (single and _single(truth) == held)
    return truth == held


def _single(value: float) -> float:
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return single


# -- the ERP -----------------------------------------------------------------------------------------------


class ErpBooked(_Json):
    """What an ERP holds of one order, read back from it."""

    state: str
    good: tuple[str, ...]
    scrap: Decimal
    consumed: tuple[Used, ...]


def erp_disagreements(truth: Truth, booked: Mapping[str, ErpBooked]) -> tuple[str, ...]:
    """Every difference between the ledger and what the ERP says, order by order."""
    found: list[str] = []
    for order in dict.fromkeys(unit.order for unit in truth.units):
        held = booked.get(order)
        if held is None:
            found.append(f"{order}: not in the ERP")
            continue
        units = [unit for unit in truth.units if unit.order == order]
        good = sorted(unit.serial or "" for unit in units if unit.disposition == "good")
        scrap = sum(1 for unit in units if unit.disposition == "scrap")
        cycles = [cycle for cycle in truth.cycles if cycle.order == order and cycle.purpose != "setup"]
        used = _used(use for cycle in cycles for use in cycle.materials)
        pairs: tuple[tuple[str, object, object], ...] = (
            ("state", "closed", held.state),
            ("good serials", good, sorted(held.good)),
            ("scrap", Decimal(scrap), held.scrap),
            ("consumed", used, _used(held.consumed)),
        )
        found += [f"{order}: {what}: ledger {a}, ERP {b}" for what, a, b in pairs if a != b]
    return tuple(found)
