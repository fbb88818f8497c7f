"""What a scan means at a station: recognised by its content, never by the order in which things are scanned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from drivers.udi import Barcode
from edge_agent.events import Scanned
from edge_agent.papers import Papers, WorkOrder
from edge_agent.recording import MountedLot
from edge_agent.station_settings import GTIN_AI, LOT_AI, Match, Material, StationSettings, SubjectSource
from records.kinds import LOT_QUANTITIES
from records.model import LONGEST_ID, Subject, SubjectKind

FieldName = Literal["operator", "order", "container", "lot", "subject"]

LABELS = ("gs1", "hibc", "ean")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the scan does not count: a code of ``records.codes.SCAN_REFUSALS``."""

    reason: str
    expected: str | None = None
    found: str | None = None
    relied_on: tuple[str, str, int] | None = None
    """The document that says so: kind, id, version."""


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
    barcode = scan.barcode
    if subject.scan == scan.scanner and subject.scheme == barcode.issuer and unit_of(subject, barcode) is not None:
        return "subject"
    takes_lots = settings.materials and scan.scanner in settings.scanners()
    known = barcode.issuer == "gs1" or any(names(material.match, barcode) for material in settings.materials)
    return "lot" if takes_lots and known and lot_of(barcode) is not None else None


def not_recognised(barcode: Barcode) -> Refusal:
    """Why a scan that belongs to no field does not count."""
    if barcode.error is not None:
        return Refusal("barcode-invalid", found=barcode.error)
    return Refusal("item-not-in-bom" if barcode.kind in LABELS else "scan-not-understood")


def unit_of(subject: SubjectSource, barcode: Barcode) -> str | None:
    """The number of the piece on a label, None where it says none."""
    return barcode.said(subject.serial_field)


def lot_of(barcode: Barcode) -> str | None:
    """The lot on a label, None where it says none."""
    return barcode.said(LOT_AI if barcode.issuer == "gs1" else "lot")


def product_of(barcode: Barcode) -> str | None:
    """The product code on a label: GTIN, LIC and PCN of HIBC, or the ``di`` of a pattern."""
    if barcode.issuer == "gs1":
        return barcode.said(GTIN_AI)
    if barcode.issuer == "hibc":
        return None if barcode.udi_di is None else barcode.udi_di[:-1]  # the last is the unit of measure
    return barcode.udi_di


def names(match: Match, barcode: Barcode) -> bool:
    """Whether the label is one of this product."""
    code = product_of(barcode)
    wanted = {"gs1": match.gtin, "ean": match.gtin, "hibc": match.hibc}.get(barcode.issuer, match.di)
    return code is not None and code == wanted


def order_of(subject: SubjectSource, barcode: Barcode, papers: Papers) -> WorkOrder | None:
    """The order that makes the lot on a unit's label, None where there is none or the label names no lot."""
    lot = lot_of(barcode)
    if lot is None:
        return None
    if subject.scheme == "gs1":
        return papers.order_of_lot(lot, product_of(barcode))
    item = _item(subject, barcode)
    made = [order for order in papers.orders.values() if order.lot == lot]
    return max(made, key=lambda order: (order.product == item, order.open), default=None)


def _item(subject: SubjectSource, barcode: Barcode) -> str | None:
    """The item that a label's product code means at this station."""
    return next((product.item for product in subject.products if names(product.match, barcode)), None)


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
    if (length := _length(settings, scan, field)) > LONGEST_ID:
        return Refusal("identifier-too-long", expected=str(LONGEST_ID), found=str(length))
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


def _length(settings: StationSettings, scan: Scanned, field: FieldName) -> int:
    """Of the identifier that the scan gives to its field, in characters."""
    barcode = scan.barcode
    named = {"lot": lot_of(barcode), "subject": unit_of(settings.subject, barcode)}.get(field, barcode.text)
    return len(named or "")


def _order(papers: Papers, reference: str) -> Meaning:
    found = papers.order(reference)
    if found is None:
        return Refusal("order-unknown", found=reference)
    if not found.open:
        return Refusal("order-unknown", expected="released", found=found.state)
    return Order(found)


def _lot(settings: StationSettings, scan: Scanned, papers: Papers, order: str | None) -> Meaning:
    barcode = scan.barcode
    code, number = product_of(barcode), lot_of(barcode) or ""
    material = next((m for m in settings.materials if names(m.match, barcode)), None)
    work_order = papers.order(order)
    if work_order is None:
        return Refusal("not-now", expected="order")
    if material is None or material.item not in {line.item for line in work_order.bom}:
        return Refusal("item-not-in-bom", expected=_items(settings.materials), found=code)
    status = papers.lot(material.item, number)
    if status is None:
        return Refusal("lot-unknown", expected=material.item, found=number)
    if status.status != "available":
        return Refusal("lot-blocked", expected=material.item, found=number)
    if material.expired == "refuse" and status.expired(scan.at_us, scan.utc_offset_min):
        return Refusal("lot-expired", expected=str(status.expiry), found=number)
    left = papers.left_of(material.item, number)
    if material.used_up == "refuse" and left is not None and left < material.per_unit:
        told = (LOT_QUANTITIES, material.item, papers.version(LOT_QUANTITIES, material.item) or 0)
        return Refusal("lot-used-up", str(material.per_unit), f"{left:f} left of {number}", told)
    return Mounted(MountedLot(material.item, number, None if status.expiry is None else str(status.expiry)))


def _items(materials: tuple[Material, ...]) -> str:
    return ", ".join(m.item for m in materials)


def _unit(settings: StationSettings, scan: Scanned, papers: Papers) -> Meaning:
    subject, barcode = settings.subject, scan.barcode
    serial, lot, code = unit_of(subject, barcode) or "", lot_of(barcode), product_of(barcode)
    if _ate_another(serial, settings, papers):
        return Refusal("barcode-invalid", found="glued")
    order = order_of(subject, barcode, papers)
    if order is None or not order.open:
        return Refusal("label-wrong-lot", expected="lot of a released order", found=lot)
    if subject.scheme == "gs1":
        if code is None or order.product_gtin not in (None, code):
            return Refusal("label-wrong-product", expected=order.product_gtin, found=code)
    elif order.product != _item(subject, barcode):
        return Refusal("label-wrong-product", expected=order.product, found=code)
    if subject.carrier is not None:
        if scan.carrier is None:
            return Refusal("nothing-to-identify", found=serial)
        if scan.known_as is not None and scan.known_as != f"{order.reference}/{scan.carrier}":
            return Refusal("serial-used", expected=scan.known_as, found=scan.carrier)
    return Unit(Subject(SubjectKind.UNIT, serial, order.product, subject.scheme), order)


def _ate_another(serial: str, settings: StationSettings, papers: Papers) -> bool:
    """Whether the serial ends in another label of ours: a GS1 label without a lot, glued behind a short serial."""
    gtins = {material.match.gtin for material in settings.materials}
    gtins |= {order.product_gtin for order in papers.orders.values()}
    return any(gtin is not None and GTIN_AI + gtin in serial for gtin in gtins)
