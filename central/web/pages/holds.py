"""What quality holds on every line: the list, one hold, and the signatures that hold and release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.holds import KINDS, Held, Hold, checked
from central.web.i18n import N_
from central.web.pages import approval
from central.web.pages.approval import FRESH, ApprovalForm, Panel, Refusal
from central.web.visit import Enter, Form_, NotThere, Text, Visit
from records.errors import Invalid

router = APIRouter(include_in_schema=False)

ACTS: Mapping[str, tuple[str, str]] = {
    "hold": (
        N_("Hold it on every line"),
        N_("Connected stations refuse it within seconds, others when they hear of it, until it is released."),
    ),
    "release": (
        N_("Release the hold"),
        N_("The lines may work on it again as soon as they hear of it, unless another hold stands."),
    ),
}
"""Act -> its name and its consequence."""
RIGHTS = {"hold": Capability.HOLD, "release": Capability.APPROVE}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be held, as it was typed. ``held``: where that is something; else ``error`` says why not."""

    kind: str
    product: str
    id: str
    held: Held | None = None
    error: str = ""


@router.get("/holds")
def holds(visit: Enter) -> Response:
    return visit.page("holds.html", found=visit.desk.holds.listed(), kinds=KINDS, may=_may(visit, "hold"))


@router.get("/holds/new")
def new(visit: Enter, kind: str = "", product: str = "", held: str = "") -> Response:
    return _new(visit, _wanted(kind, product, held))


@router.post("/holds/new", dependencies=[Form_])
async def hold(
    visit: Enter, form: approval.Sent, kind: Text = "", product: Text = "", held: Text = ""
) -> Response:
    """Hold what was shown."""
    wanted = _wanted(kind, product, held)
    thing = wanted.held
    if thing is None:
        return await run_in_threadpool(_new, visit, wanted)
    made: list[Hold] = []
    refusal = await approval.sign(
        visit, {"hold": ACTS["hold"]}, form, lambda signing: made.append(visit.desk.hold(thing, signing))
    )
    if refusal is None:
        return visit.go(f"/holds/{made[0].id}")
    return await run_in_threadpool(_new, visit, wanted, form, refusal)


@router.get("/holds/{hold_id}")
def one_hold(visit: Enter, hold_id: str) -> Response:
    return _one(visit, _found(visit, hold_id))


@router.post("/holds/{hold_id}", dependencies=[Form_])
async def release(visit: Enter, hold_id: str, form: approval.Sent) -> Response:
    """Release what was shown."""
    await run_in_threadpool(_found, visit, hold_id)
    refusal = await approval.sign(
        visit, {"release": ACTS["release"]}, form, lambda signing: visit.desk.release_hold(hold_id, signing)
    )
    if refusal is None:
        return visit.go(f"/holds/{hold_id}")
    now = await run_in_threadpool(_found, visit, hold_id)
    return await run_in_threadpool(_one, visit, now, form, refusal)


def _found(visit: Visit, hold_id: str) -> Hold:
    found = visit.desk.holds.get(hold_id)
    if found is None:
        raise NotThere
    return found


def _wanted(kind: str, product: str, id_: str) -> Wanted:
    try:
        held = checked(Held(kind, id_, product or None))  # type: ignore[arg-type]  # checked there
    except Invalid as error:
        return Wanted(kind, product, id_, error=str(error) if id_ else "")
    return Wanted(kind, product, id_, held)


def _may(visit: Visit, act: str) -> bool:
    return visit.user.may(RIGHTS[act])


def _panel(visit: Visit, act: str) -> Panel:
    name, consequence = ACTS[act]
    return Panel(act, visit.words(name), visit.words(consequence), _may(visit, act))


def _new(visit: Visit, wanted: Wanted, form: ApprovalForm = FRESH, refusal: Refusal | None = None) -> Response:
    standing = [one for one in visit.desk.holds.standing() if one.held == wanted.held]
    return visit.page(
        "hold_new.html",
        status=_status(refusal),
        wanted=wanted,
        kinds=KINDS,
        standing=standing,
        sign=_panel(visit, "hold"),
        reasons=visit.reasons("hold"),
        form=form.again(visit),
        error=refusal.text if refusal else "",
    )


def _one(visit: Visit, one: Hold, form: ApprovalForm = FRESH, refusal: Refusal | None = None) -> Response:
    return visit.page(
        "hold.html",
        status=_status(refusal),
        one=one,
        sign=_panel(visit, "release"),
        reasons=visit.reasons("release"),
        form=form.again(visit),
        error=refusal.text if refusal else "",
    )


def _status(refusal: Refusal | None) -> int:
    return 200 if refusal is None else 422 if refusal.status == 422 else 403
