"""Device history records: the queue, the review of one, and its signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastapi import APIRouter, Depends, Response
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.audit import entry_of
from central.domain import DECIDED, Blocker, DeviceHistoryRecord, Link
from central.web import blockers, charts, params, refusals, texts
from central.web.desk import Signing
from central.web.i18n import N_
from central.web.pages import approval
from central.web.pages.audit import AuditRow, audit_row
from central.web.pages.evidence import TABS, Matrix, matrix
from central.web.visit import Enter, Form_, NotThere, Text, Visit, enter
from records.errors import LotkeeperError
from records.model import OperationsEvent
from records.wire import CENTRAL

router = APIRouter(include_in_schema=False)

MOST_RUNS = 5000
"""Most runs of one station that a page shows."""

MEANINGS: Mapping[str, tuple[Capability, str]] = {
    "reviewed": (
        Capability.REVIEW,
        N_("I have looked at this record, and every exception in it has been decided."),
    ),
    "released": (Capability.RELEASE, N_("The lot may be used. The good units leave quarantine.")),
    "rejected": (Capability.RELEASE, N_("The lot must not be used. None of its units may be shipped.")),
}
"""Meaning of a signature -> the right it needs, and the sentence that is put before the signer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A meaning that could be signed: whether this visitor may, and what stands against it."""

    meaning: str
    consequence: str
    allowed: bool
    blockers: tuple[Blocker, ...]

    @property
    def open(self) -> bool:
        return self.allowed and not self.blockers


@router.get("/dhrs")
def queue(visit: Enter, state: str = "") -> Response:
    every = visit.desk.queue()
    counts: dict[str, int] = {}
    for row in every:
        counts[row.state.value] = counts.get(row.state.value, 0) + 1
    return visit.page(
        "dhrs.html",
        rows=[d for d in every if state in ("", d.state.value)],
        total=len(every),
        counts=counts,
        state=state,
    )


@router.get("/dhrs/{dhr_id}")
def review(visit: Enter, dhr_id: str, show: str = "units", operation: str = "") -> Response:
    return _page(visit, _found(visit, dhr_id), tab=show, operation=operation)


@router.post("/dhrs/{dhr_id}", dependencies=[Form_])
async def sign(
    dhr_id: str,
    visit: Visit = Depends(enter),  # noqa: B008
    meaning: Text = "",
    code: Text = "",
    reason: Text = "",
    user: Text = "",
    password: Text = "",
    content_hash: Text = "",
) -> Response:
    """Sign what was shown: refused when it is no longer what the record says."""
    dhr = await run_in_threadpool(_found, visit, dhr_id)
    form = {"meaning": meaning, "reason": reason, "user": user, "code": code}
    told = approval.joined(code if meaning == "rejected" else "", reason)
    if meaning not in MEANINGS or not user.strip() or not password:
        text = visit.words(N_("Choose the meaning, and give user and password."))
        return await run_in_threadpool(_page, visit, dhr, status=422, error=text, form=form)
    signing = Signing(user.strip(), password, meaning, told, content_hash, visit.origin)
    try:
        await run_in_threadpool(visit.desk.sign, dhr_id, signing)
    except LotkeeperError as error:
        stale = refusals.changed_parts(visit.words, error)
        text = "" if stale is not None else refusals.text(visit.words, error, visit.desk.reasons())
        now = await run_in_threadpool(_found, visit, dhr_id)
        status = 409 if stale is not None else 403
        return await run_in_threadpool(_page, visit, now, status=status, error=text, form=form, stale=stale)
    return visit.go(f"/dhrs/{dhr_id}#signatures")


def _found(visit: Visit, dhr_id: str) -> DeviceHistoryRecord:
    found = visit.desk.dhr(dhr_id)
    if found is None:
        raise NotThere
    return found


def _page(
    visit: Visit,
    dhr: DeviceHistoryRecord,
    *,
    tab: str = "units",
    operation: str = "",
    status: int = 200,
    error: str = "",
    form: Mapping[str, str] | None = None,
    stale: list[str] | None = None,
) -> Response:
    tab = tab if tab in (*TABS, "all") else "units"
    words = visit.words
    choices = [choice(visit, dhr, meaning) for meaning in MEANINGS]
    preset = next((c.meaning for c in choices if c.open and c.meaning != "rejected"), "")
    return visit.page(
        "dhr.html",
        status=status,
        show=replace(visit.show, dated=tab == "all"),
        dhr=dhr,
        held=visit.desk.holds_on(dhr),
        may_hold=visit.user.may(Capability.HOLD),
        tab=tab,
        tabs=TABS,
        told=_told(visit, dhr) if tab in ("events", "all") else {},
        grade_action=words(texts.finding_text(f"certificate-{dhr.certificate.grade.value}").action),
        brought=visit.desk.brought(dhr.certificate.chains) if tab in ("certificate", "all") else [],
        charts=[charts.chart(s, words) for s in dhr.evidence.spc] if tab in ("charts", "all") else [],
        matrices=_matrices(visit, dhr, operation, tab),
        audit=audit_of(visit, dhr) if tab in ("audit", "all") else [],
        operation=operation or (dhr.operations[0].operation if dhr.operations else ""),
        blockers=[blockers.text(words, b, visit.desk.reasons()) for b in dhr.blockers if b.code != DECIDED],
        blocker_href=lambda link: href(dhr, link),
        check_name=lambda check: blockers.requirement(words, check),
        check_href=lambda check: href(dhr, check.link),
        late={line.ref.hash for line in dhr.evidence.records if line.late},
        choices=choices,
        form={"meaning": preset, "reason": "", "user": visit.user.id, "code": ""} | dict(form or {}),
        reasons=visit.reasons("rejection"),
        next_step=next_step(dhr),
        error=error,
        stale=stale,
        brief=params.brief,
    )


def choice(visit: Visit, dhr: DeviceHistoryRecord, meaning: str) -> Choice:
    """Whether a signature of this meaning could be given now by this visitor."""
    right, consequence = MEANINGS[meaning]
    against = {"reviewed": dhr.review_blockers, "released": dhr.blockers}.get(meaning, ())
    if meaning == "rejected":
        against = tuple(b for b in dhr.blockers if b.code == DECIDED)
    return Choice(meaning, visit.words(consequence), visit.user.may(right), against)


def next_step(dhr: DeviceHistoryRecord) -> str:
    """Who acts next, as a message id."""
    texts = {
        "collecting": N_("Production goes on. The record is still being filled."),
        "complete": N_("Quality is next: decide the exceptions, then sign as reviewed."),
        "in_review": N_("Quality is next: decide what is still open, then sign as reviewed."),
        "reviewed": N_("The releasing person is next: check the blockers, then release or reject."),
        "released": N_("Nobody has to act. The lot is released."),
        "rejected": N_("Nobody has to act here. The lot is rejected."),
    }
    return texts[dhr.state.value]


def href(dhr: DeviceHistoryRecord, link: Link) -> str:
    """Where a link of the record leads."""
    if link.to == "finding" and link.id:
        return f"/findings/{link.id}"
    if link.to == "hold":
        return f"/holds/{link.id}"
    if link.to == "order" or link.to == "erp":
        reference = link.id or (dhr.orders[0].reference if dhr.orders else "")
        return f"/orders/{reference}"
    places = {
        "findings": f"/dhrs/{dhr.id}#findings",
        "operation": f"/dhrs/{dhr.id}?show=records&operation={link.id or ''}#evidence",
        "materials": f"/dhrs/{dhr.id}?show=materials#evidence",
        "units": f"/dhrs/{dhr.id}?show=units#evidence",
        "certificate": f"/dhrs/{dhr.id}?show=certificate#evidence",
        "sign": f"/dhrs/{dhr.id}#sign",
    }
    return places.get(link.to, f"/dhrs/{dhr.id}")


def _matrices(visit: Visit, dhr: DeviceHistoryRecord, operation: str, tab: str) -> list[Matrix]:
    """The runs of the asked operation (the first, when none is asked), or of all for the whole record."""
    if tab not in ("records", "all"):
        return []
    first = dhr.operations[0].operation if dhr.operations else ""
    found: list[Matrix] = []
    for line in dhr.operations:
        if tab == "all" or line.operation == (operation or first):
            for station in line.stations:
                facts = visit.desk.records(
                    after=None, limit=MOST_RUNS, lot=dhr.lot, product=dhr.product, station=station
                )
                found.append(matrix(line, station, facts))
    return found


def _told(visit: Visit, dhr: DeviceHistoryRecord) -> dict[str, str]:
    """What the events of the record tell, in one line each, by hash."""
    events = (line.ref.hash for line in dhr.evidence.records if line.kind == "operations_event")
    return {
        chain_hash: params.event_told(visit.words, fact.fact.data)
        for chain_hash, fact in visit.desk.facts(events).items()
        if isinstance(fact.fact.data, OperationsEvent)
    }


def audit_of(visit: Visit, dhr: DeviceHistoryRecord) -> list[AuditRow]:
    """Decisions and statements about this record and its findings, also those of the line; the newest first."""
    hashes = [s.hash for s in dhr.signatures] + [f.closing.hash for f in dhr.findings if f.closing]
    hashes += [
        line.ref.hash for line in dhr.evidence.records if line.kind == "decision" and line.ref.agent != CENTRAL
    ]
    facts = [fact for fact in map(visit.desk.fact, hashes) if fact is not None]
    reasons = visit.desk.reasons()
    return sorted(
        (audit_row(visit.words, entry_of(fact), reasons) for fact in facts),
        key=lambda row: (-row.entry.at_us, -row.entry.seq),
    )
