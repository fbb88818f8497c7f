"""The line files by which agents work: the list, one with its difference, and its approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from central.configurations import Configuration, difference
from central.web.i18n import N_
from central.web.pages import approval
from central.web.pages.approval import FRESH, ApprovalForm, Refusal
from central.web.visit import Enter, Form_, NotThere, Visit

router = APIRouter(include_in_schema=False)

MOST_LINES = 5000
"""Most lines of a difference that a page shows."""

ACTS: Mapping[str, tuple[str, str]] = {
    "approve": (N_("Approve"), N_("The agent may make production runs by this line file, from its next run on.")),
    "withdraw": (
        N_("Withdraw the approval"),
        N_("From their next run on, the agent's stations make set-up runs only, until another is approved."),
    ),
}
"""Act -> its name and its consequence."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference; ``tone`` is a class of the style sheet."""

    tone: str
    text: str


@router.get("/configurations")
def configurations(visit: Enter) -> Response:
    return visit.page("configurations.html", found=visit.desk.configurations())


@router.get("/configurations/{agent}/{hash_}")
def configuration(visit: Enter, agent: str, hash_: str) -> Response:
    return _page(visit, _found(visit, agent, hash_))


@router.post("/configurations/{agent}/{hash_}", dependencies=[Form_])
async def decide(visit: Enter, agent: str, hash_: str, form: approval.Sent) -> Response:
    """Approve what was shown, or withdraw it."""
    await run_in_threadpool(_found, visit, agent, hash_)
    desk = visit.desk
    refusal = await approval.sign(
        visit, ACTS, form, lambda signing: desk.decide_configuration(agent, hash_, signing)
    )
    if refusal is None:
        return visit.go(f"/configurations/{agent}/{hash_}")
    now = await run_in_threadpool(_found, visit, agent, hash_)
    return await run_in_threadpool(_page, visit, now, form, refusal)


def _found(visit: Visit, agent: str, hash_: str) -> Configuration:
    found = visit.desk.configuration(agent, hash_)
    if found is None:
        raise NotThere
    return found


def _page(
    visit: Visit, one: Configuration, form: ApprovalForm = FRESH, refusal: Refusal | None = None
) -> Response:
    before = visit.desk.configuration_before(one)
    lines = difference(None if before is None else before.record, one.record)
    return visit.page(
        "configuration.html",
        status=200 if refusal is None else 422 if refusal.status == 422 else 403,
        one=one,
        before=before,
        lines=[Line(_tone(line), line) for line in lines[:MOST_LINES]],
        hidden=max(0, len(lines) - MOST_LINES),
        sign=approval.panel(visit, ACTS, "withdraw" if one.state == "approved" else "approve"),
        form=form.again(visit),
        error=refusal.text if refusal else "",
    )


def _tone(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "place"
    return {"+": "new", "-": "gone"}.get(line[:1], "same")
