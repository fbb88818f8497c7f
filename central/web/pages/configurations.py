"""The line files by which agents work: the list, one with its difference, and its approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.configurations import Configuration, difference
from central.web import refusals
from central.web.desk import Signing
from central.web.i18n import N_
from central.web.visit import Enter, Form_, NotThere, Text, Visit, enter
from records.errors import LotkeeperError

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
async def decide(
    agent: str,
    hash_: str,
    visit: Visit = Depends(enter),  # noqa: B008
    act: Text = "",
    reason: Text = "",
    user: Text = "",
    password: Text = "",
    content_hash: Text = "",
) -> Response:
    """Approve what was shown, or withdraw it: a signature, so the password is asked for each time."""
    one = await run_in_threadpool(_found, visit, agent, hash_)
    form = {"reason": reason, "user": user}
    if act not in ACTS or not reason.strip() or not user.strip() or not password:
        text = visit.words(N_("Write the reason, and give user and password."))
        return await run_in_threadpool(_page, visit, one, status=422, error=text, form=form)
    signing = Signing(user.strip(), password, act, reason.strip(), content_hash, visit.origin)
    try:
        await run_in_threadpool(visit.desk.decide_configuration, agent, hash_, signing)
    except LotkeeperError as error:
        text = refusals.text(visit.words, error)
        now = await run_in_threadpool(_found, visit, agent, hash_)
        return await run_in_threadpool(_page, visit, now, status=403, error=text, form=form)
    return visit.go(f"/configurations/{agent}/{hash_}")


def _found(visit: Visit, agent: str, hash_: str) -> Configuration:
    found = visit.desk.configuration(agent, hash_)
    if found is None:
        raise NotThere
    return found


def _page(
    visit: Visit,
    one: Configuration,
    *,
    status: int = 200,
    error: str = "",
    form: Mapping[str, str] | None = None,
) -> Response:
    before = visit.desk.configuration_before(one)
    lines = difference(None if before is None else before.record, one.record)
    act = "withdraw" if one.state == "approved" else "approve"
    name, consequence = ACTS[act]
    return visit.page(
        "configuration.html",
        status=status,
        one=one,
        before=before,
        lines=[Line(_tone(line), line) for line in lines[:MOST_LINES]],
        hidden=max(0, len(lines) - MOST_LINES),
        act=act,
        act_name=visit.words(name),
        consequence=visit.words(consequence),
        allowed=visit.user.may(Capability.APPROVE),
        form={"reason": "", "user": visit.user.id} | dict(form or {}),
        error=error,
    )


def _tone(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "place"
    return {"+": "new", "-": "gone"}.get(line[:1], "same")
