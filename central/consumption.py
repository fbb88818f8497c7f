"""Component lots and their consumption against what the ERP knows and the bill of material asks.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from pydantic import JsonValue

from central.causes import UNKNOWN, discrepancy
from central.domain import Fate, Finding, Piece
from central.dossier import Dossier, Stated, amount
from central.links.base import Consumption
from records.clock import from_us
from records.model import MaterialKind, OperationRecord, Outcome, Purpose, Subject, SubjectKind
from records.quantity import quantity_text


def of_lots(dossier: Dossier) -> list[Finding]:
    """Component lots that were used though the ERP does not know them, or after they expired: once per lot."""
    found: dict[tuple[str, str, str], Finding] = {}
    for record in dossier.records:
        if not record.data.purpose.counts:
            continue
        for edge in record.data.materials:
            lot = edge.source
            if edge.kind is not MaterialKind.CONSUMED or lot is None or lot.kind is not SubjectKind.LOT:
                continue
            for finding in _of_lot(dossier, record, lot):
                found.setdefault((finding.code, lot.product or "", lot.id), finding)
    return list(found.values())


def _of_lot(dossier: Dossier, record: Stated[OperationRecord], lot: Subject) -> Iterator[Finding]:
    item, at_us = lot.product or UNKNOWN, record.data.ended_us
    told = dossier.lots.get(item)
    known = told.get(lot.id) if told is not None else None
    subject = (replace(lot, quantity="1"),)
    if lot.id == UNKNOWN or (told is not None and known is None):
        params: dict[str, JsonValue] = {"item": item, "lot": lot.id}
        yield discrepancy(
            dossier, "lot-unknown-to-erp", (item, lot.id), params, subjects=subject, at_us=at_us, by=record
        )
    if known is not None and known.expiry is not None:
        offset = timedelta(minutes=record.fact.fact.header.utc_offset_min)
        if (from_us(at_us) + offset).date().isoformat() > known.expiry:
            params = {"item": item, "lot": lot.id, "expiry": known.expiry}
            finding = discrepancy(
                dossier, "lot-expired", (item, lot.id), params, subjects=subject, at_us=at_us, by=record
            )
            yield replace(finding, kind="exception")


def of_consumption(dossier: Dossier, pieces: Sequence[Piece], *, over: bool) -> list[Finding]:
    """Components used by finished runs against the bill of material of the pieces that had such a run.

    ``over``: nothing more will be made, so a component that nobody used at all is missing too.
    """
    order = dossier.order
    if order is None or order.quantity <= 0:
        return []
    used, users = _consumed(dossier)
    planned = {line.item: line.quantity for line in order.bom}
    found = []
    for item in sorted({*planned, *used}):
        if item not in used and not over:
            continue  # nothing has come to the operation that takes it
        count = len(users.get(item, ())) or sum(p.fate in (Fate.GOOD, Fate.PENDING) for p in pieces)
        expected = round(planned.get(item, Decimal(0)) * count / order.quantity, 6)
        have = used.get(item, Decimal(0))
        if round(have, 6) != expected:
            params: dict[str, JsonValue] = {
                "item": item,
                "expected": quantity_text(expected),
                "found": quantity_text(have),
            }
            found.append(discrepancy(dossier, "consumption-disagrees", (item,), params, at_us=dossier.ended_us))
    return found


def consumed(dossier: Dossier) -> tuple[Consumption, ...]:
    """What the ERP is told of components: per item and lot, of every run that counts."""
    totals: dict[tuple[str, str], Decimal] = {}
    for record in dossier.records:
        for edge in record.data.materials if record.data.purpose.counts else ():
            lot = edge.source
            if edge.kind is MaterialKind.CONSUMED and lot is not None and lot.product is not None:
                key = (lot.product, lot.id)
                totals[key] = totals.get(key, Decimal(0)) + amount(edge.quantity)
    return tuple(Consumption(item, lot, total) for (item, lot), total in sorted(totals.items()))


def _consumed(dossier: Dossier) -> tuple[dict[str, Decimal], dict[str, set[tuple[str, ...]]]]:
    """Item -> quantity that finished runs used, and item -> the subjects that passed an operation using it."""
    used: dict[str, Decimal] = {}
    takers: dict[str, set[str]] = {}
    done = [s.data for s in dossier.records if s.data.purpose.counts and s.data.outcome is Outcome.COMPLETED]
    for data in done:
        for edge in data.materials:
            if edge.kind is MaterialKind.CONSUMED and edge.source is not None and edge.source.product is not None:
                item = edge.source.product
                used[item] = used.get(item, Decimal(0)) + amount(edge.quantity)
                takers.setdefault(item, set()).add(data.operation)
    users: dict[str, set[tuple[str, ...]]] = {}
    for item, operations_taking in takers.items():
        users[item] = {
            (data.run_id,) if result.subject.id == UNKNOWN else (result.subject.kind.value, result.subject.id)
            for data in done
            if data.operation in operations_taking and data.purpose is Purpose.PRODUCTION
            for result in data.subjects
        }
    return used, users
