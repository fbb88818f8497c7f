"""The device history record of one lot: put together from its orders' assessments, and what of it is signed.

Pure: the same facts give the same content and the same hash, whatever the order and number of their arrivals. The
content leaves out what is true without being about the lot (when data arrived, how far the ERP is with its
bookings, the signatures themselves), so that a signature keeps covering the record until the record changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from central import certificate, charted, evidence, genealogy, reconcile
from central import requirements as needed
from central.assessment import Assessment
from central.domain import (
    DECIDED,
    Blocker,
    DeviceHistoryRecord,
    DhrState,
    Evidence,
    Finding,
    Link,
    MaterialLine,
    OperationQuantities,
    OrderLine,
    Piece,
    RequirementStatus,
    SignatureLine,
    opaque_id,
)
from central.dossier import Stated
from central.links.base import WorkOrder
from central.requirements import Situation
from records.model import Act, Decision
from records.quantity import quantity_text
from records.wire import CENTRAL, canonical_json

DHR_TARGET = "dhr"
"""Kind of a signature decision's target; its id is the record's."""

CONTENT = "lotkeeper/dhr/1"
"""Names the shape of what is signed."""

MEANINGS: dict[Act, str] = {Act.REVIEW: "reviewed", Act.RELEASE: "released", Act.REJECT: "rejected"}
ACTS: dict[str, Act] = {meaning: act for act, meaning in MEANINGS.items()}

UNKNOWN_PRODUCT = "unknown"


def dhr_id(product: str | None, lot: str, *, after: str | None = None) -> str:
    """The opaque id of a lot's record; ``after``: the act that gave up the one before of that lot number."""
    return opaque_id("dhr", product or UNKNOWN_PRODUCT, lot, *(() if after is None else (after,)))


@dataclass(frozen=True, slots=True)
class _Lot:
    """Everything of the record that does not depend on its signatures."""

    id: str
    product: str
    lot: str
    orders: tuple[OrderLine, ...]
    operations: tuple[OperationQuantities, ...]
    materials: tuple[MaterialLine, ...]
    situation: Situation
    parts: Sequence[Assessment]


def assemble(
    parts: Sequence[Assessment], decisions: Iterable[Stated[Decision]], *, id_: str | None = None
) -> DeviceHistoryRecord:
    """The record of the lot that these orders made; ``decisions`` are those that central holds of the lot.

    ``id_``: the record's, where it is not the first of its lot number.
    ``parts`` has at least one assessment, all of the same product and lot.
    """
    lot = _lot(sorted(parts, key=lambda part: part.dossier.reference), id_)
    orders = [part.dossier.order for part in lot.parts if part.dossier.order is not None]
    listed = needed.requirements(orders)
    first = needed.evaluate(listed, lot.situation)
    content = _content(lot, first)
    content_hash = hashlib.sha256(canonical_json(content)).hexdigest()
    signatures = signatures_of(lot.id, decisions, content_hash)
    situation = _with_signatures(lot.situation, signatures)
    completeness = needed.evaluate(listed, situation)
    state = _state(lot, signatures)
    unknown = _unknown_orders(lot)
    over = _decided(state, signatures)
    head = orders[0] if orders else None
    return DeviceHistoryRecord(
        id=lot.id,
        lot=lot.lot,
        product=lot.product,
        revision=None if head is None else head.revision,
        udi_di=None if head is None else head.product_gtin,
        expiry=None if head is None else head.expiry,
        orders=lot.orders,
        state=state,
        quantities=situation.quantities,
        operations=lot.operations,
        completeness=completeness,
        findings=_all_findings(lot),
        certificate=situation.certificate,
        evidence=_evidence(lot, signatures),
        signatures=signatures,
        blockers=(*over, *unknown, *needed.blockers(completeness, situation, "release")),
        review_blockers=(*over, *unknown, *needed.blockers(completeness, situation, "review")),
        began_us=min((p.dossier.began_us for p in lot.parts if p.dossier.began_us is not None), default=None),
        ended_us=max((p.dossier.ended_us for p in lot.parts if p.dossier.ended_us is not None), default=None),
        content=content,
        content_hash=content_hash,
    )


def _lot(parts: Sequence[Assessment], id_: str | None) -> _Lot:
    dossiers = [part.dossier for part in parts]
    pieces = [piece for part in parts for piece in part.pieces]
    product = dossiers[0].product or UNKNOWN_PRODUCT
    situation = Situation(
        orders=tuple(_order_line(part) for part in parts),
        pieces=pieces,
        quantities=reconcile.added(part.quantities for part in parts),
        findings=[finding for part in parts for finding in part.findings],
        certificate=certificate.joined([part.certificate for part in parts]),
        signatures=(),
    )
    return _Lot(
        id=id_ or dhr_id(product, dossiers[0].lot),
        product=product,
        lot=dossiers[0].lot,
        orders=tuple(situation.orders),
        operations=reconcile.operations(dossiers, pieces),
        materials=genealogy.materials(dossiers, pieces),
        situation=situation,
        parts=parts,
    )


def _order_line(part: Assessment) -> OrderLine:
    return order_line(part.dossier.order, part.dossier.reference, part.quantities.ordered)


def order_line(order: WorkOrder | None, reference: str, ordered: Decimal) -> OrderLine:
    """An order's line, ``ordered`` pieces if the ERP never told of it."""
    if order is None:
        return OrderLine(reference, None, "", ordered, "unknown", None, known=False)
    return OrderLine(order.reference, order.number, order.erp_id, order.quantity, order.state, order.posting)


def _with_signatures(s: Situation, signatures: Sequence[SignatureLine]) -> Situation:
    return Situation(s.orders, s.pieces, s.quantities, s.findings, s.certificate, signatures)


def _all_findings(lot: _Lot) -> tuple[Finding, ...]:
    """Open ones first, then by time; those that lost their cause last."""
    present = sorted(lot.situation.findings, key=lambda f: (not f.open, f.at_us or 0, f.code, f.id))
    return (*present, *(finding for part in lot.parts for finding in part.past))


def _unknown_orders(lot: _Lot) -> tuple[Blocker, ...]:
    if all(order.known for order in lot.orders):
        return ()
    return (Blocker("order-unknown", {"lot": lot.lot, "product": lot.product}, Link("order")),)


# -- signatures and state ----------------------------------------------------------------------------------


def signatures_of(id_: str, decisions: Iterable[Stated[Decision]], content_hash: str) -> tuple[SignatureLine, ...]:
    """The signatures among these decisions; current are those that cover this content."""
    lines = []
    for decision in decisions:
        data, signature = decision.data, decision.data.signature
        if (
            data.target.kind != DHR_TARGET
            or data.target.id != id_
            or signature is None
            or data.act not in MEANINGS
        ):
            continue
        lines.append(
            SignatureLine(
                meaning=signature.meaning,
                user=signature.user,
                name=signature.name,
                role=signature.role,
                signed_us=signature.signed_us,
                covers=signature.covers,
                reason=data.reason,
                hash=decision.fact.hash,
                current=signature.covers == content_hash,
            )
        )
    return tuple(lines)


def _state(lot: _Lot, signatures: Sequence[SignatureLine]) -> DhrState:
    last = next((line for line in reversed(signatures) if line.meaning in ("released", "rejected")), None)
    if last is not None:
        return DhrState.RELEASED if last.meaning == "released" else DhrState.REJECTED
    if signatures:
        return DhrState.REVIEWED if signatures[-1].current else DhrState.IN_REVIEW
    if not lot.parts or not all(part.over for part in lot.parts):
        return DhrState.COLLECTING
    settled = any(finding.settled for finding in lot.situation.findings)
    return DhrState.IN_REVIEW if settled else DhrState.COMPLETE


def _decided(state: DhrState, signatures: Sequence[SignatureLine]) -> tuple[Blocker, ...]:
    """A released or rejected record takes no further signature, unless something came after it."""
    if state in (DhrState.RELEASED, DhrState.REJECTED) and signatures[-1].current:
        return (Blocker(DECIDED, {"state": state.value}, Link("sign")),)
    return ()


# -- evidence ----------------------------------------------------------------------------------------------


def _evidence(lot: _Lot, signatures: Sequence[SignatureLine]) -> Evidence:
    dossiers = [part.dossier for part in lot.parts]
    signed_us = signatures[-1].signed_us if signatures else None
    facts = [fact for d in dossiers for fact in (*d.timeline, *(s.fact for s in d.surroundings))]
    facts.sort(key=lambda fact: (fact.fact.header.at_us, fact.agent, fact.epoch, fact.stream, fact.seq))
    return Evidence(
        units=tuple(lot.situation.pieces),
        records=evidence.record_lines(facts, signed_us),
        materials=lot.materials,
        people=evidence.people(dossiers),
        equipment=evidence.equipment(dossiers),
        configurations=evidence.configurations(dossiers),
        spc=charted.charts(dossiers),
    )


# -- what is signed ----------------------------------------------------------------------------------------


def _content(lot: _Lot, statuses: Sequence[RequirementStatus]) -> JsonValue:
    dossiers = [part.dossier for part in lot.parts]
    orders = [dossier.order for dossier in dossiers if dossier.order is not None]
    quantities = lot.situation.quantities
    hashes = sorted({f.hash for d in dossiers for f in d.timeline if f.agent != CENTRAL})
    return {
        "shape": CONTENT,
        "product": lot.product,
        "lot": lot.lot,
        "orders": [[line.reference, quantity_text(line.quantity)] for line in lot.orders],
        "revisions": [*sorted({order.revision or "" for order in orders})],
        "udi_di": [*sorted({order.product_gtin or "" for order in orders})],
        "expiry": [*sorted({order.expiry or "" for order in orders})],
        "quantities": {
            "ordered": quantity_text(quantities.ordered),
            "started": quantities.started,
            "good": quantities.good,
            "pending": quantities.pending,
            "scrap": quantities.scrap,
            "in_process": quantities.in_process,
        },
        "operations": [_operation_content(operation) for operation in lot.operations],
        "units": [_piece_content(piece) for piece in lot.situation.pieces],
        "requirements": [s.content() for s in statuses if s.requirement.kind not in ("erp", "signature")],
        "findings": [f.content() for f in sorted(lot.situation.findings, key=lambda f: f.id)],
        "certificate": _certificate_content(lot),
        "materials": [
            [m.item, m.lot, quantity_text(m.quantity), m.unit, m.expiry, len(m.pieces)] for m in lot.materials
        ],
        "configurations": [[c.agent, c.hash, [*c.software]] for c in evidence.configurations(dossiers)],
        "people": [[p.id, p.role, [*p.operations]] for p in evidence.people(dossiers)],
        "equipment": [[e.equipment, e.station, [*e.tools]] for e in evidence.equipment(dossiers)],
        "records": {"count": len(hashes), "sha256": hashlib.sha256("".join(hashes).encode()).hexdigest()},
    }


def _operation_content(o: OperationQuantities) -> JsonValue:
    return [o.operation, o.started, o.passed, o.failed, o.scrapped, o.reworked, o.retested, o.aborted_runs, o.runs]


def _piece_content(piece: Piece) -> JsonValue:
    return [piece.order, piece.carrier, piece.serial, piece.fate.value]


def _certificate_content(lot: _Lot) -> JsonValue:
    proof = lot.situation.certificate
    return {
        "grade": proof.grade.value,
        "chains": [[c.agent, c.epoch, c.first, c.last, c.records, c.missing, c.grade.value] for c in proof.chains],
        "cycles": [
            [c.agent, c.station, c.first, c.last, c.recorded, [*c.missed], [*c.unaccounted], [*c.doubled]]
            for c in proof.cycles
        ],
    }


def changes(shown: Mapping[str, JsonValue], present: Mapping[str, JsonValue]) -> list[str]:
    """The parts of the content that differ, by name: what to look at again."""
    return sorted(name for name in {*shown, *present} if shown.get(name) != present.get(name))
