"""My work: what waits for a person, oldest first, and what does not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response

from central.domain import DhrState, DhrSummary
from central.erp import ErpStatus
from central.links.base import WorkOrder
from central.web.desk import AgentLine
from central.web.i18n import N_
from central.web.pages.lines import advice
from central.web.show import Show
from central.web.states import Status, status
from central.web.visit import Enter
from central.worker_states import WorkerState

router = APIRouter(include_in_schema=False)

WAITING = (DhrState.COMPLETE, DhrState.IN_REVIEW, DhrState.REVIEWED)
"""States in which a record waits for a person."""

FINDINGS_SHOWN = 8

NOT_STORING = N_(
    "What is to be stored is refused, most often for a full disk. The lines keep everything meanwhile. Tell "
    "whoever looks after central: lotkeeper-central doctor says why."
)
WORKER_REFUSED = N_(
    "For %(age)s what this worker is to store has been refused: %(why)s. The lines keep everything meanwhile. "
    "lotkeeper-central doctor says what to do."
)
WORKER_SILENT = N_(
    "Nothing has been heard of this worker for %(age)s: it ended without a word, or cannot use the database. The "
    "other processes take its lines in; its log says why."
)
REFUSED: Mapping[str, str] = {
    "no-room": N_("the disk of the database is full"),
    "busy": N_("too many writes wait, or somebody locks the database"),
    "unfit": N_("the database does not keep what it commits, or only lets read"),
    "unreachable": N_("the database is away"),
}
"""Kind of the error by which a worker is refused -> what that means."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not run: what it is, what to do, and where."""

    status: Status
    subject: str
    advice: str
    href: str


@router.get("/")
def home(visit: Enter) -> Response:
    queue, findings, agents, orders = (
        visit.desk.queue(),
        visit.desk.findings(),
        visit.desk.agents(),
        visit.desk.orders(),
    )
    waiting = sorted((d for d in queue if d.state in WAITING), key=lambda d: d.ended_us or 0)
    open_findings = [f for f in findings if f.open]
    return visit.page(
        "home.html",
        waiting=waiting,
        collecting=sum(d.state is DhrState.COLLECTING for d in queue),
        released=sum(d.state is DhrState.RELEASED for d in queue),
        exceptions=[f for f in open_findings if f.kind == "exception"],
        discrepancies=[f for f in open_findings if f.kind == "discrepancy"],
        newest=sorted(open_findings, key=lambda f: -(f.opened_us or 0))[:FINDINGS_SHOWN],
        unhealthy=sum(not a.healthy for a in agents),
        agents=agents,
        fresh=not (queue or orders or agents),
        problems=problems(
            visit.show,
            agents,
            orders,
            queue,
            visit.desk.erp(),
            visit.desk.workers(),
            storing=visit.desk.write_refused() is None,
        ),
    )


def problems(
    show: Show,
    agents: list[AgentLine],
    orders: list[WorkOrder],
    queue: list[DhrSummary],
    erp: ErpStatus | None,
    workers: list[WorkerState],
    *,
    storing: bool,
) -> list[Problem]:
    """Everything that does not run, worst first. ``storing``: central's database takes in what it is given."""
    words = show.words
    bad, warning = status(words, "advice", "urgent"), status(words, "advice", "look")
    found: list[Problem] = []
    if not storing:
        found.append(Problem(bad, words(N_("Database")), words(NOT_STORING), "/lines"))
    found += [_worker(show, one) for one in workers if one.state != "taking"]
    for agent in agents:
        for text, urgent in advice(agent)[:1]:
            found.append(Problem(bad if urgent else warning, agent.agent, words(text), "/lines"))
    if erp is not None and erp.state == "refused":
        text = words(N_("The ERP refuses central. It is left alone until somebody corrects user or rights."))
        found.append(Problem(bad, "ERP", text, "/lines"))
    elif erp is not None and erp.state == "failing":
        text = words(N_("The ERP does not answer. It is tried again, less and less often."))
        found.append(Problem(warning, "ERP", text, "/lines"))
    for order in orders:
        if order.posting == "refused":
            text = words(N_("The ERP refused the confirmation. The order's page shows its answer."))
            found.append(Problem(bad, order.reference, text, f"/orders/{order.reference}"))
    for dhr in queue:
        if dhr.signature_outdated:
            text = words(N_("Something changed after a signature. The record must be signed again."))
            found.append(Problem(bad, dhr.lot, text, f"/dhrs/{dhr.id}"))
    return sorted(found, key=lambda p: p.status.tone)


def _worker(show: Show, one: WorkerState) -> Problem:
    words = show.words
    refused, age = one.state == "refused", show.age(one.since_us)
    why = words(REFUSED.get(one.kind or "", str(one.why)))
    text = words(WORKER_REFUSED, age=age, why=why) if refused else words(WORKER_SILENT, age=age)
    tone = status(words, "advice", "urgent" if refused else "look")
    return Problem(tone, words(N_("Worker %(name)s"), name=one.name), text, "/lines")
