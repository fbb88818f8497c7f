"""What can be read: lists and single things under ``/api/v1``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request

from central.access import Capability
from central.domain import DeviceHistoryRecord, Finding, Piece
from central.web.api import items
from central.web.api.calls import Caller, Items, Page, Paged, cut
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item, OperationRecordItem
from central.web.desk import Desk
from records.model import OperationRecord

router = APIRouter(responses=RESPONSES)

Word = Annotated[str | None, Query(max_length=200)]


@router.get("/work-orders", tags=["work orders"])
def work_orders(call: Caller, page: Paged, state: Word = None, product: Word = None) -> Items[items.WorkOrderItem]:
    """Production orders of the ERP as central holds them, by reference."""
    wanted = [o for o in call.desk.orders() if state in (None, o.state) and product in (None, o.product)]
    shown, after = cut(wanted, lambda o: o.reference, page)
    return Items(items=[items.WorkOrderItem.of(o) for o in shown], next=after)


@router.get("/work-orders/{reference:path}", tags=["work orders"])
def work_order(call: Caller, reference: str) -> items.WorkOrderItem:
    found = call.desk.order(reference)
    if found is None:
        raise Problem(404, f"no work order {reference}")
    return items.WorkOrderItem.of(found)


@router.get("/operation-records", tags=["records"])
def operation_records(
    call: Caller,
    page: Paged,
    order: Word = None,
    lot: Word = None,
    product: Word = None,
    station: Word = None,
    serial: Word = None,
) -> Items[OperationRecordItem]:
    """Operation records in the order in which central committed them."""
    facts = call.desk.records(
        after=page.after,
        limit=page.limit + 1,
        order=order,
        lot=lot,
        product=product,
        station=station,
        serial=serial,
    )
    shown = facts[: page.limit]
    found = [OperationRecordItem.of(f, f.fact.data) for f in shown if isinstance(f.fact.data, OperationRecord)]
    return Items(items=found, next=str(shown[-1].cursor) if len(facts) > page.limit else None)


@router.get("/operation-records/{chain_hash}", tags=["records"])
def operation_record(call: Caller, chain_hash: str) -> OperationRecordItem:
    fact = call.desk.fact(chain_hash)
    if fact is None or not isinstance(fact.fact.data, OperationRecord):
        raise Problem(404, f"no operation record with the chain hash {chain_hash}")
    return OperationRecordItem.of(fact, fact.fact.data)


@router.get("/lots", tags=["lots"])
def lots(
    call: Caller, page: Paged, lot: Word = None, product: Word = None, kind: Word = None
) -> Items[items.LotItem]:
    """Lots that we make, and lots of components that the ERP told of."""
    every = [items.LotItem.made(d) for d in call.desk.queue()]
    every += [items.LotItem.component(found) for found in call.desk.lots()]
    wanted = [i for i in every if lot in (None, i.lot) and product in (None, i.product) and kind in (None, i.kind)]
    shown, after = cut(wanted, lambda i: "\0".join((i.kind, i.product, i.lot)), page)
    return Items(items=shown, next=after)


def _findings(
    desk: Desk, kind: str, page: Page, *, state: str | None, code: str | None, order: str | None, lot: str | None
) -> Items[items.FindingItem]:
    wanted = [
        f
        for f in desk.findings()
        if f.kind == kind
        and state in (None, f.state)
        and code in (None, f.code)
        and order in (None, f.order)
        and lot in (None, f.lot)
    ]
    shown, after = cut(wanted, lambda f: f.id, page)
    return Items(items=[items.FindingItem.of(f) for f in shown], next=after)


@router.get("/exceptions", tags=["findings"])
def exceptions(
    call: Caller, page: Paged, state: Word = None, code: Word = None, order: Word = None, lot: Word = None
) -> Items[items.FindingItem]:
    """What was found on the line and needs a person's decision."""
    return _findings(call.desk, "exception", page, state=state, code=code, order=order, lot=lot)


@router.get("/discrepancies", tags=["findings"])
def discrepancies(
    call: Caller, page: Paged, state: Word = None, code: Word = None, order: Word = None, lot: Word = None
) -> Items[items.FindingItem]:
    """Where machine, records and ERP do not agree."""
    return _findings(call.desk, "discrepancy", page, state=state, code=code, order=order, lot=lot)


def found_finding(desk: Desk, kind: str, finding_id: str) -> Finding:
    """The finding. Raises Problem 404."""
    found = desk.finding(finding_id)
    if found is None or found.kind != kind:
        raise Problem(404, f"no {kind} {finding_id}")
    return found


@router.get("/exceptions/{finding_id}", tags=["findings"])
def exception(call: Caller, finding_id: str) -> items.FindingItem:
    return items.FindingItem.of(found_finding(call.desk, "exception", finding_id))


@router.get("/discrepancies/{finding_id}", tags=["findings"])
def discrepancy(call: Caller, finding_id: str) -> items.FindingItem:
    return items.FindingItem.of(found_finding(call.desk, "discrepancy", finding_id))


@router.get("/dhrs", tags=["device history records"])
def dhrs(
    call: Caller, page: Paged, lot: Word = None, product: Word = None, state: Word = None
) -> Items[items.DhrItem]:
    """Device history records, one per lot and product."""
    wanted = [
        d
        for d in call.desk.queue()
        if lot in (None, d.lot) and product in (None, d.product) and state in (None, d.state.value)
    ]
    shown, after = cut(wanted, lambda d: d.id, page)
    return Items(items=[items.DhrItem.of(d) for d in shown], next=after)


def found_dhr(desk: Desk, dhr_id: str) -> DeviceHistoryRecord:
    """The record. Raises Problem 404."""
    found = desk.dhr(dhr_id)
    if found is None:
        raise Problem(404, f"no device history record {dhr_id}")
    return found


@router.get("/dhrs/{dhr_id}", tags=["device history records"])
def dhr(call: Caller, dhr_id: str) -> DeviceHistoryRecord:
    """The whole record: completeness, findings, certificate, evidence, signatures, and what is signed."""
    return found_dhr(call.desk, dhr_id)


@router.get("/dhrs/{dhr_id}/signatures", tags=["device history records"])
def signatures(call: Caller, dhr_id: str) -> Items[items.SignatureItem]:
    return Items(items=[items.SignatureItem.of(s) for s in found_dhr(call.desk, dhr_id).signatures])


class TracedPiece(Item):
    """One piece: what it is called, what became of it, its runs, and the component lots in it."""

    dhr: str
    lot: str
    product: str
    order: str
    serial: str | None
    carrier: str | None
    fate: str
    containers: list[str]
    runs: list[dict[str, str | int | None]]
    used: list[dict[str, str]]
    findings: list[str]

    @classmethod
    def of(cls, dhr: DeviceHistoryRecord, piece: Piece) -> TracedPiece:
        return cls(
            dhr=dhr.id,
            lot=dhr.lot,
            product=dhr.product,
            order=piece.order,
            serial=piece.serial,
            carrier=piece.carrier,
            fate=piece.fate.value,
            containers=list(piece.containers),
            runs=[
                {
                    "operation": r.operation,
                    "station": r.station,
                    "equipment": r.equipment,
                    "cycle": r.cycle,
                    "purpose": r.purpose,
                    "attempt": r.attempt,
                    "result": r.result,
                    "run_id": r.run_id,
                    "hash": r.ref.hash,
                }
                for r in piece.runs
            ],
            used=[{"item": u.item, "lot": u.lot, "quantity": str(u.quantity), "unit": u.unit} for u in piece.used],
            findings=list(piece.findings),
        )


class Traced(Item):
    """``pieces`` carry the serial, or contain the lot, or belong to it; ``dhrs`` are the records concerned."""

    pieces: list[TracedPiece]
    dhrs: list[items.DhrItem]


@router.get("/trace", tags=["trace"])
def trace(call: Caller, serial: Word = None, lot: Word = None, product: Word = None) -> Traced:
    """From a serial to its history, or from a lot (ours or a component's) to every piece of it or with it."""
    if (serial is None) == (lot is None):
        raise Problem(422, "give either serial or lot")
    name = serial or lot or ""
    about = [f.fact.data for f in call.desk.about(name)]
    lots = {data.lot or data.order for data in about if isinstance(data, OperationRecord)}
    concerned = [d for d in call.desk.queue() if product in (None, d.product) and (d.lot == lot or d.lot in lots)]
    pieces: list[TracedPiece] = []
    kept: list[items.DhrItem] = []
    for summary in concerned:
        record = found_dhr(call.desk, summary.id)
        mine = list(_pieces(record, serial, lot))
        if mine:
            pieces += [TracedPiece.of(record, piece) for piece in mine]
            kept.append(items.DhrItem.of(summary))
    return Traced(pieces=pieces, dhrs=kept)


def _pieces(dhr: DeviceHistoryRecord, serial: str | None, lot: str | None) -> Iterable[Piece]:
    for piece in dhr.evidence.units:
        with_lot = lot is not None and (dhr.lot == lot or any(use.lot == lot for use in piece.used))
        if with_lot or (serial is not None and serial in (piece.serial, piece.carrier)):
            yield piece


@router.get("/agents", tags=["agents"])
def agents(call: Caller, page: Paged) -> Items[items.AgentItem]:
    """Agents, and up to where each one's records are complete here."""
    shown, after = cut(call.desk.agents(), lambda a: a.agent, page)
    return Items(items=[items.AgentItem.of(a) for a in shown], next=after)


@router.get("/audit", tags=["audit"])
def audit(call: Caller, page: Paged, user: Word = None, code: Word = None) -> Items[items.AuditItem]:
    """The audit trail and every decision, the newest first."""
    call.need(Capability.VIEW_AUDIT)
    entries = call.desk.audit(user=user, code=code, before=page.after, limit=page.limit + 1)
    shown = entries[: page.limit]
    after = str(shown[-1].cursor) if len(entries) > page.limit else None
    return Items(items=[items.AuditItem.of(e) for e in shown], next=after)


def unknown(request: Request) -> None:
    """Anything else under the interface's prefix. Raises Problem 404."""
    raise Problem(404, f"no resource {request.url.path}")
