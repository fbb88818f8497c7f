"""What a scan means at a station: recognised by its content, never by the order in which things are scanned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edge_agent.events import Scanned
from edge_agent.papers import Papers, WorkOrder
from edge_agent.recording import MountedLot
from edge_agent.station_settings import Material, StationSettings
from records.model import Subject, SubjectKind

FieldName = Literal["operator", "order", "container", "lot", "subject"]

GTIN, LOT, SERIAL = "01", "10", "21"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the scan does not count: a code of ``records.codes.SCAN_REFUSALS``."""

    reason: str
    expected: str | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    badge: str


@dataclass(frozen=True, slots=True)
class Order:
    order: WorkOrder


@dataclass(frozen=True, slots=True)
class Container:
    id: str


@dataclass(frozen=True, slots=True)
class Mounted:
    lot: MountedLot


@dataclass(frozen=True, slots=True)
class Unit:
    subject: Subject
    order: WorkOrder


Meaning = Operator | Order | Container | Mounted | Unit | Refusal


def recognise(settings: StationSettings, scan: Scanned) -> FieldName | None:
    """Which field of the station such content belongs to, or None. Says nothing about whether it is right.

    A pattern that the engineer wrote comes first: an order number may look like the beginning of a GS1 code. What
    is no text (half a frame, control characters) belongs to no field, however wide a pattern is.
    """
    operator, order, subject = settings.operator, settings.order, settings.subject
    if operator and operator.scan == scan.scanner and _fits(operator.pattern, scan):
        return "operator"
    if order.scan == scan.scanner and _fits(order.pattern, scan):
        return "order"
    if subject.collect and subject.scan == scan.scanner and _fits(subject.collect.container, scan):
        return "container"
    if scan.barcode.kind == "gs1":
        if subject.scan == scan.scanner and subject.ai in scan.barcode.fields:
            return "subject"
        if settings.materials and scan.scanner in settings.scanners() and LOT in scan.barcode.fields:
            return "lot"
    return None


def _fits(pattern: str | None, scan: Scanned) -> bool:
    """Whether the pattern describes the scan; what GS1 finds wrong of a text matters only to GS1 fields."""
    barcode = scan.barcode
    is_text = bool(barcode.text.strip()) and barcode.text.isprintable()
    if pattern is None or not is_text or (barcode.kind == "plain" and barcode.error is not None):
        return False
    return re.fullmatch(pattern, barcode.text) is not None


def meaning(
    settings: StationSettings, scan: Scanned, field: FieldName, papers: Papers, order: str | None
) -> Meaning:
    """What the scan says, or why it is refused. ``order`` is the station's present order."""
    if field == "operator":
        return Operator(scan.barcode.text)
    if field == "container":
        return Container(scan.barcode.text)
    if field == "order":
        return _order(papers, scan.barcode.text)
    if scan.barcode.error is not None:
        return Refusal("barcode-invalid", found=scan.barcode.error)
    if field == "lot":
        return _lot(settings, scan, papers, order)
    return _unit(settings, scan, papers)


def _order(papers: Papers, reference: str) -> Meaning:
    found = papers.order(reference)
    if found is None:
        return Refusal("order-unknown", found=reference)
    if not found.open:
        return Refusal("order-unknown", expected="released", found=found.state)
    return Order(found)


def _lot(settings: StationSettings, scan: Scanned, papers: Papers, order: str | None) -> Meaning:
    gtin, number = scan.barcode.fields.get(GTIN), scan.barcode.fields[LOT]
    material = next((m for m in settings.materials if m.match.gtin == gtin), None)
    work_order = papers.order(order)
    if work_order is None:
        return Refusal("not-now", expected="order")
    if material is None or material.item not in {line.item for line in work_order.bom}:
        return Refusal("item-not-in-bom", expected=_items(settings.materials), found=gtin)
    status = papers.lot(material.item, number)
    if status is None:
        return Refusal("lot-unknown", expected=material.item, found=number)
    if status.status != "available":
        return Refusal("lot-blocked", expected=material.item, found=number)
    if status.expired(scan.at_us, scan.utc_offset_min):
        return Refusal("lot-expired", expected=str(status.expiry), found=number)
    return Mounted(MountedLot(material.item, number, None if status.expiry is None else str(status.expiry)))


def _items(materials: tuple[Material, ...]) -> str:
    return ", ".join(m.item for m in materials)


def _unit(settings: StationSettings, scan: Scanned, papers: Papers) -> Meaning:
    fields = scan.barcode.fields
    serial = fields[settings.subject.ai or SERIAL]
    gtin, lot = fields.get(GTIN), fields.get(LOT)
    order = papers.order_of_lot(lot, gtin) if lot is not None else None
    if order is None or not order.open:
        return Refusal("label-wrong-lot", expected="lot of a released order", found=lot)
    if gtin is None or order.product_gtin not in (None, gtin):
        return Refusal("label-wrong-product", expected=order.product_gtin, found=gtin)
    if settings.subject.carrier is not None:
        if scan.carrier is None:
            return Refusal("nothing-to-identify", found=serial)
        if scan.known_as is not None and scan.known_as != f"{order.reference}/{scan.carrier}":
            return Refusal("serial-used", expected=scan.known_as, found=scan.carrier)
    return Unit(Subject(SubjectKind.UNIT, serial, order.product, "gs1"), order)
