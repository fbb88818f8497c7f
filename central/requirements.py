"""What must be there before an order is reported and before its record is reviewed and released: one list.

Pure. ``requirements`` makes the list from the order, ``evaluate`` fills it in; completeness, blockers and the
confirmation to the ERP all read that. Gates, each including the ones before it: ``order_close`` (the ERP may be
told), ``review`` (somebody may sign that it was reviewed), ``release``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from central.domain import (
    Blocker,
    Certificate,
    Fate,
    Finding,
    Grade,
    Link,
    OrderLine,
    Piece,
    Quantities,
    RequirementStatus,
    SignatureLine,
)
from central.genealogy import lacking, open_matter
from central.links.base import WorkOrder
from records.model import Requirement, Result
from records.quantity import quantity_text

GATES = ("order_close", "review", "release")

ERP = "erp"
"""Discrepancies with the ERP about the report itself: they cannot stand in the way of reporting."""


def requirements(orders: Sequence[WorkOrder]) -> tuple[Requirement, ...]:
    """Everything that the lot's orders ask for: each operation and component per unit, identification, ..."""
    operations = {o.operation: o.sequence for order in orders for o in order.operations}
    bom: dict[str, Decimal] = {}
    for order in orders:
        for line in order.bom if order.quantity > 0 else ():
            bom.setdefault(line.item, round(line.quantity / order.quantity, 12))
    listed = [
        Requirement("order_close", "operation", "unit", operation)
        for operation in sorted(operations, key=lambda o: (operations[o], o))
    ]
    listed += [Requirement("order_close", "bom", "unit", item, quantity_text(bom[item])) for item in sorted(bom)]
    listed += [
        Requirement("order_close", "subject", "unit", "identification"),
        Requirement("order_close", "record", "order", "quantity"),
        Requirement("order_close", "certificate", "order"),
        Requirement("order_close", "discrepancy", "order"),
        Requirement("review", "exception", "order"),
        Requirement("release", "erp", "order"),
        Requirement("release", "discrepancy", "order", ERP),
        Requirement("release", "signature", "order", "reviewed"),
    ]
    return tuple(listed)


@dataclass(frozen=True, slots=True)
class Situation:
    """What the requirements of one lot are held against."""

    orders: Sequence[OrderLine]
    pieces: Sequence[Piece]
    quantities: Quantities
    findings: Sequence[Finding]
    certificate: Certificate
    signatures: Sequence[SignatureLine]

    @property
    def short(self) -> bool:
        """Whether people accepted that the order ended with fewer pieces than ordered."""
        told = self.finding_of("quantity-disagrees", what="finished")
        return told is not None and told.settled

    @property
    def due(self) -> Decimal:
        """How many pieces must have everything: those ordered and not scrapped."""
        q = self.quantities
        return Decimal(q.good + q.pending) if self.short else max(q.ordered - q.scrap, Decimal(0))

    def finding_of(self, code: str, **params: JsonValue) -> Finding | None:
        return next(
            (f for f in self.findings if f.code == code and all(f.params.get(k) == v for k, v in params.items())),
            None,
        )


def evaluate(listed: Iterable[Requirement], situation: Situation) -> tuple[RequirementStatus, ...]:
    """Each requirement with what there is, what there must be, and whether that is enough."""
    return tuple(_status(requirement, situation) for requirement in listed)


def _status(requirement: Requirement, s: Situation) -> RequirementStatus:
    needs = requirement.needs or ""
    match requirement.kind:
        case "operation":
            return _counted(requirement, _operation(needs, s), s.due, Link("operation", needs))
        case "bom":
            return _material(requirement, needs, s)
        case "subject":
            kept = [p for p in s.pieces if p.fate is not Fate.SCRAP]
            return _counted(requirement, sum(p.serial is not None for p in kept), s.due, Link("units"))
        case "record":
            accounted = s.quantities.good + s.quantities.scrap
            return _counted(requirement, accounted, s.due + s.quantities.scrap, Link("units"))
        case "certificate":
            settled = _certificate_settled(s)
            met = s.certificate.grade is Grade.COMPLETE or settled
            return RequirementStatus(requirement, Decimal(int(met)), Decimal(1), met, Link("certificate"))
        case "exception" | "discrepancy":
            mine = _findings(requirement, s)
            return _counted(requirement, sum(not f.open for f in mine), Decimal(len(mine)), Link("findings"))
        case "erp":
            posted = sum(order.posting == "posted" for order in s.orders)
            return _counted(requirement, posted, Decimal(len(s.orders)), Link("erp"))
        case _:
            signed = any(line.meaning == needs and line.current for line in s.signatures)
            return RequirementStatus(requirement, Decimal(int(signed)), Decimal(1), signed, Link("sign", needs))


def _findings(requirement: Requirement, s: Situation) -> list[Finding]:
    """The findings that one requirement asks to be closed."""
    mine = [f for f in s.findings if f.kind == requirement.kind]
    if requirement.kind == "exception":
        return mine
    return [f for f in mine if f.code.startswith("erp-") == (requirement.needs == ERP)]


def _counted(requirement: Requirement, have: int, need: Decimal, link: Link) -> RequirementStatus:
    return RequirementStatus(requirement, Decimal(have), need, have >= need, link)


def _operation(operation: str, s: Situation) -> int:
    """Pieces that have the operation behind them; those that are scrap need not."""
    have = 0
    by_id = {finding.id: finding for finding in s.findings}
    for piece in s.pieces:
        if piece.fate is Fate.SCRAP:
            continue
        last = piece.last_run(operation)
        about = [by_id[id_] for id_ in piece.findings if id_ in by_id]
        if last is None:
            have += any(finding.settled for finding in lacking(about, operation))
        elif last.result in (Result.PASS.value, Result.NOT_JUDGED.value):
            have += 1
        else:
            have += not any(f.operation == operation and open_matter(piece, f) for f in about)
    return have


def _material(requirement: Requirement, item: str, s: Situation) -> RequirementStatus:
    """Components in the pieces against the bill of material; a settled disagreement is accepted."""
    per_unit = Decimal(requirement.quantity)
    takers = [p for p in s.pieces if p.fate is not Fate.SCRAP]
    have = sum((use.quantity for p in takers for use in p.used if use.item == item), Decimal(0))
    need = round(per_unit * s.due, 6)
    disagreement = s.finding_of("consumption-disagrees", item=item)
    accepted = disagreement is not None and disagreement.settled
    return RequirementStatus(requirement, have, need, have >= need or accepted, Link("materials", item))


def _certificate_settled(s: Situation) -> bool:
    """Whether people have closed every discrepancy that the certificate gave rise to."""
    about = [f for f in s.findings if f.code.startswith("certificate-")]
    codes = {
        Grade.INCOMPLETE: "certificate-incomplete",
        Grade.TAIL_UNKNOWN: "certificate-tail-unknown",
        Grade.CYCLES_NOT_PROVABLE: "certificate-cycles-not-provable",
    }
    told = {f.code for f in about}
    return bool(about) and codes.get(s.certificate.grade) in told and all(f.settled for f in about)


# -- blockers ----------------------------------------------------------------------------------------------


def met(statuses: Iterable[RequirementStatus], gate: str) -> bool:
    """Whether everything up to and including this gate is there."""
    return all(status.met for status in statuses if _through(status, gate))


def _through(status: RequirementStatus, gate: str) -> bool:
    return GATES.index(status.requirement.gate) <= GATES.index(gate)


def blockers(statuses: Iterable[RequirementStatus], situation: Situation, gate: str) -> tuple[Blocker, ...]:
    """What keeps the gate shut, each with the place where it is mended."""
    return tuple(_blocker(status, situation) for status in statuses if _through(status, gate) and not status.met)


def _blocker(status: RequirementStatus, s: Situation) -> Blocker:
    r, link = status.requirement, status.link
    counts: dict[str, JsonValue] = {"have": quantity_text(status.have), "need": quantity_text(status.need)}
    match r.kind:
        case "operation":
            return Blocker("operation-incomplete", {"operation": r.needs, **counts}, link)
        case "bom":
            return Blocker("material-incomplete", {"item": r.needs, **counts}, link)
        case "subject":
            return Blocker("identification-incomplete", counts, link)
        case "record":
            return Blocker("quantity-open", counts, link)
        case "certificate":
            return Blocker("certificate-open", {"grade": s.certificate.grade.value}, link)
        case "exception" | "discrepancy":
            mine = _findings(r, s)
            code = "exceptions-open" if r.kind == "exception" else "discrepancies-open"
            return Blocker(code, {"open": sum(f.open for f in mine), "total": len(mine)}, link)
        case "erp":
            waiting = [order for order in s.orders if order.posting != "posted"]
            first = waiting[0] if waiting else None
            params: dict[str, JsonValue] = {
                "order": None if first is None else first.reference,
                "state": None if first is None else first.posting,
            }
            return Blocker("erp-not-confirmed", params, link)
        case _:
            outdated = [line for line in s.signatures if line.meaning == r.needs and not line.current]
            if outdated:
                return Blocker("signature-outdated", {"meaning": r.needs, "user": outdated[-1].user}, link)
            return Blocker("signature-missing", {"meaning": r.needs}, link)
