"""The shapes of the interface: what programs get, as pydantic models, and how they are made from central's values.

Codes are never translated here. What one record holds is in ``central.web.api.records``.
"""

from __future__ import annotations

from pydantic import JsonValue

from central.audit import AuditEntry
from central.domain import DhrSummary, Finding, SignatureLine
from central.links.base import ErpLot, WorkOrder
from central.web.api.records import Item, SubjectItem, subject
from central.web.desk import AgentLine
from records.clock import iso_z
from records.quantity import quantity_text


class WorkOrderItem(Item):
    reference: str
    number: str | None
    erp_id: str
    product: str
    product_gtin: str | None
    revision: str | None
    lot: str
    quantity: str
    unit: str
    state: str
    expiry: str | None
    operations: list[dict[str, JsonValue]]
    bom: list[dict[str, JsonValue]]
    posting: str | None
    version: int
    seen_at: str | None

    @classmethod
    def of(cls, order: WorkOrder) -> WorkOrderItem:
        return cls(
            reference=order.reference,
            number=order.number,
            erp_id=order.erp_id,
            product=order.product,
            product_gtin=order.product_gtin,
            revision=order.revision,
            lot=order.lot,
            quantity=quantity_text(order.quantity),
            unit=order.unit,
            state=order.state,
            expiry=order.expiry,
            operations=[
                {"operation": o.operation, "sequence": o.sequence, "name": o.name} for o in order.operations
            ],
            bom=[
                {"item": b.item, "gtin": b.gtin, "quantity": quantity_text(b.quantity), "unit": b.unit}
                for b in order.bom
            ],
            posting=order.posting,
            version=order.version,
            seen_at=iso_z(order.seen_us),
        )


class LotItem(Item):
    """A lot that we make (``kind`` manufactured, with its record), or one of a component (``kind`` component)."""

    kind: str
    product: str
    lot: str
    expiry: str | None
    status: str
    quantity: str
    dhr: str | None
    orders: list[str]

    @classmethod
    def made(cls, dhr: DhrSummary) -> LotItem:
        return cls(
            kind="manufactured",
            product=dhr.product,
            lot=dhr.lot,
            expiry=None,
            status=dhr.state.value,
            quantity=str(dhr.good),
            dhr=dhr.id,
            orders=list(dhr.orders),
        )

    @classmethod
    def component(cls, lot: ErpLot) -> LotItem:
        return cls(
            kind="component",
            product=lot.item,
            lot=lot.number,
            expiry=lot.expiry,
            status=lot.status,
            quantity=quantity_text(lot.quantity),
            dhr=None,
            orders=[],
        )


class FindingItem(Item):
    id: str
    kind: str
    code: str
    params: dict[str, JsonValue]
    state: str
    order: str
    lot: str | None
    product: str | None
    operation: str | None
    station: str | None
    agent: str | None
    at: str | None
    opened_at: str | None
    subjects: list[SubjectItem]
    records: list[str]
    content_hash: str
    decision: dict[str, JsonValue] | None

    @classmethod
    def of(cls, finding: Finding) -> FindingItem:
        closing = finding.closing
        return cls(
            id=finding.id,
            kind=finding.kind,
            code=finding.code,
            params=dict(finding.params),
            state=finding.state,
            order=finding.order,
            lot=finding.lot,
            product=finding.product,
            operation=finding.operation,
            station=finding.station,
            agent=finding.agent,
            at=iso_z(finding.at_us),
            opened_at=iso_z(finding.opened_us),
            subjects=[subject(s) for s in finding.subjects],
            records=[ref.hash for ref in finding.records],
            content_hash=finding.content_hash,
            decision=None
            if closing is None
            else {
                "act": closing.act,
                "user": closing.user,
                "reason": closing.reason,
                "at": iso_z(closing.at_us),
                "hash": closing.hash,
                "system": closing.system,
            },
        )


class DhrItem(Item):
    id: str
    lot: str
    product: str
    revision: str | None
    udi_di: str | None
    orders: list[str]
    state: str
    ordered: str
    started: int
    good: int
    pending: int
    scrap: int
    requirements_met: int
    requirements: int
    exceptions_open: int
    exceptions: int
    discrepancies_open: int
    discrepancies: int
    certificate: str
    blockers: int
    began_at: str | None
    ended_at: str | None
    signature_outdated: bool
    content_hash: str
    given_up: dict[str, JsonValue] | None

    @classmethod
    def of(cls, dhr: DhrSummary) -> DhrItem:
        same: tuple[str, ...] = (
            "id",
            "lot",
            "product",
            "revision",
            "udi_di",
            "started",
            "good",
            "pending",
            "scrap",
        )
        same += ("requirements_met", "requirements", "exceptions_open", "exceptions", "discrepancies_open")
        same += ("discrepancies", "blockers", "signature_outdated", "content_hash")
        return cls(
            **{name: getattr(dhr, name) for name in same},
            orders=list(dhr.orders),
            state=dhr.state.value,
            ordered=quantity_text(dhr.ordered),
            certificate=dhr.certificate.value,
            began_at=iso_z(dhr.began_us),
            ended_at=iso_z(dhr.ended_us),
            given_up=None if dhr.given_up is None else dhr.given_up.to_json(),
        )


class SignatureItem(Item):
    meaning: str
    user: str
    name: str
    role: str | None
    reason: str
    signed_at: str | None
    covers: str
    hash: str
    current: bool

    @classmethod
    def of(cls, line: SignatureLine) -> SignatureItem:
        same = ("meaning", "user", "name", "role", "reason", "covers", "hash", "current")
        return cls(**{name: getattr(line, name) for name in same}, signed_at=iso_z(line.signed_us))


class AgentItem(Item):
    agent: str
    partition: str
    state: str
    healthy: bool
    epoch: str | None
    epochs: int
    committed_through: int
    hash: str | None
    head: int | None
    head_at: str | None
    last_record_at: str | None
    quarantined: int
    conflicts: int
    enrolled_at: str | None

    @classmethod
    def of(cls, line: AgentLine) -> AgentItem:
        same = (
            "agent",
            "partition",
            "state",
            "healthy",
            "epoch",
            "epochs",
            "hash",
            "head",
            "quarantined",
            "conflicts",
        )
        return cls(
            **{name: getattr(line, name) for name in same},
            committed_through=line.committed,
            head_at=iso_z(line.head_us),
            last_record_at=iso_z(line.last_record_us),
            enrolled_at=iso_z(line.enrolled_us),
        )


class AuditItem(Item):
    at: str | None
    user: str | None
    code: str
    origin: str | None
    params: dict[str, JsonValue]
    stream: str
    seq: int
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditItem:
        same = ("user", "code", "origin", "params", "stream", "seq", "hash")
        return cls(**{name: getattr(entry, name) for name in same}, at=iso_z(entry.at_us))
