"""Work orders: what the ERP asked for, what the line did, and how far the report back is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter, Response
from pydantic import JsonValue

from central.domain import DeviceHistoryRecord, DhrSummary, Finding
from central.links.base import WorkOrder
from central.stored import StoredFact
from central.web.visit import Enter, NotThere
from records.model import OperationsEvent

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class OrderRow:
    order: WorkOrder
    dhr: DhrSummary | None
    open_findings: int


@dataclass(frozen=True, slots=True)
class Message:
    """Something that went between central, ERP and stations; ``tone`` of the style sheet."""

    at_us: int
    code: str
    params: tuple[tuple[str, JsonValue], ...]
    tone: str
    hash: str


@router.get("/orders")
def orders(visit: Enter, state: str = "", product: str = "") -> Response:
    every = visit.desk.orders()
    found = [o for o in every if state in ("", o.state) and product in ("", o.product)]
    return visit.page(
        "orders.html",
        rows=order_rows(found, visit.desk.queue(), visit.desk.findings()),
        total=len(every),
        state=state,
        product=product,
        states=sorted({o.state for o in every}),
        products=sorted({o.product for o in every}),
    )


def order_rows(
    orders: Iterable[WorkOrder], queue: Iterable[DhrSummary], findings: Iterable[Finding]
) -> list[OrderRow]:
    """Open orders first, then the newest."""
    by_order = {reference: dhr for dhr in queue for reference in dhr.orders}
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.order] = counts.get(finding.order, 0) + finding.open
    rows = [OrderRow(o, by_order.get(o.reference), counts.get(o.reference, 0)) for o in orders]
    return sorted(rows, key=lambda r: (not r.order.open, r.order.reference))


@router.get("/orders/{reference:path}")
def order(visit: Enter, reference: str) -> Response:
    found = visit.desk.order(reference)
    if found is None:
        raise NotThere
    summary = next((d for d in visit.desk.queue() if reference in d.orders), None)
    dhr = None if summary is None else visit.desk.dhr(summary.id)
    return visit.page(
        "order.html",
        order=found,
        posting=visit.desk.posting(reference),
        dhr=dhr,
        used=_used(dhr),
        findings=[f for f in dhr.findings if f.order == reference] if dhr else [],
        messages=[message(m) for m in visit.desk.messages(reference)][::-1],
    )


def _used(dhr: DeviceHistoryRecord | None) -> dict[str, object]:
    """Item -> the consumed lots of it."""
    lines: dict[str, list[object]] = {}
    for line in dhr.evidence.materials if dhr else ():
        lines.setdefault(line.item, []).append(line)
    return {item: tuple(found) for item, found in lines.items()}


def message(fact: StoredFact) -> Message:
    """A stored event as a line of the order's timeline; contents of documents are left to the record's page."""
    data = fact.fact.data
    if not isinstance(data, OperationsEvent):
        return Message(fact.fact.header.at_us, fact.kind, (), "idle", fact.hash)
    params = tuple((k, v) for k, v in data.params.items() if k not in ("content", "order") and v is not None)
    tone = {"erp-posted": "ok", "erp-refused": "bad", "erp-unreachable": "warning"}.get(data.code, "idle")
    return Message(fact.fact.header.at_us, data.code, params, tone, fact.hash)
