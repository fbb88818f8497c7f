"""Limits of one chart: the versions there are, a preview of new ones, their proposal and their approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.charts import ChartHead
from central.limit_sets import Window
from central.phase_one import Method
from central.proposals import Proposed
from central.web import limit_view, plots, refusals
from central.web.i18n import N_
from central.web.limit_view import METHODS, Basis, Met
from central.web.pages import approval
from central.web.pages.approval import FRESH, ApprovalForm, Refusal
from central.web.pages.spc_chart import found
from central.web.params import stream_text
from central.web.points import decimals_of
from central.web.times import local_us
from central.web.visit import Enter, Form_, NotThere, Text, Visit, enter
from records.errors import Invalid, LotkeeperError

router = APIRouter(include_in_schema=False)

WIDTH = 1080
USUAL_POINTS = 100
"""Newest points that a proposal starts with."""

ACTS: Mapping[str, tuple[str, str]] = {
    "approve": (
        N_("Approve these limits"),
        N_(
            "The lines judge by them from the time that you give, once they have received them. Earlier points "
            "keep their verdicts."
        ),
    ),
    "withdraw": (
        N_("Withdraw these limits"),
        N_(
            "The lines no longer judge by them. Where none are left for this product, tool and position, its "
            "charts say so and judge nothing."
        ),
    ),
}
"""Act -> its name and its consequence."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Limits that nobody has proposed yet: the points as they would be judged, and the rules that they meet."""

    basis: Basis
    svg: Markup
    met: list[Met]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a proposal asks for, as the form gives it."""

    first: int
    last: int
    sigma: str
    centre: str
    constants: str

    def method(self, head: ChartHead) -> Method:
        return limit_view.method_of(head.chart, self.sigma, self.centre, self.constants)

    @property
    def window(self) -> Window:
        return Window(first=self.first, last=self.last)


@router.get("/spc/{chart_id}/limits")
def limits(
    visit: Enter,
    chart_id: str,
    first: int | None = None,
    last: int | None = None,
    sigma: str = "",
    centre: str = "mean",
    constants: str = "exact",
    preview: str = "",
) -> Response:
    """The versions there are; with ``preview`` the lines that a window of points would give. Nothing is stored."""
    head = found(visit, chart_id)
    last = head.points if last is None else last
    asked = Asked(max(1, last - USUAL_POINTS + 1) if first is None else first, last, sigma, centre, constants)
    return _page(visit, head, asked, preview=bool(preview))


@router.post("/spc/{chart_id}/limits", dependencies=[Form_])
async def propose(
    chart_id: str,
    visit: Visit = Depends(enter),  # noqa: B008
    first: Text = "",
    last: Text = "",
    sigma: Text = "",
    centre: Text = "",
    constants: Text = "",
    reason: Text = "",
) -> Response:
    """Store the proposal that was previewed, for another person to approve."""
    head = await run_in_threadpool(found, visit, chart_id)
    if not (first.isdecimal() and last.isdecimal()):
        raise NotThere
    asked = Asked(int(first), int(last), sigma, centre, constants)
    if not reason.strip():
        text = visit.words(N_("Write why these limits are right."))
        return await run_in_threadpool(_page, visit, head, asked, preview=True, status=422, error=text)
    try:
        one = await run_in_threadpool(
            visit.desk.chart_desk.propose_limits,
            head.ref,
            asked.window,
            asked.method(head),
            visit.user,
            reason.strip(),
        )
    except LotkeeperError as error:
        text = refusals.text(visit.words, error)
        return await run_in_threadpool(
            _page, visit, head, asked, preview=True, status=403, error=text, reason=reason
        )
    return visit.go(f"/spc/{head.id}/limits/{one.id}")


def _page(
    visit: Visit,
    head: ChartHead,
    asked: Asked,
    *,
    preview: bool,
    status: int = 200,
    error: str = "",
    reason: str = "",
) -> Response:
    shown: Preview | None = None
    if preview:
        try:
            shown = _preview(visit, head, asked)
        except Invalid as refusal:
            told = visit.words(N_("These points give no limits: choose another window or method."))
            status, error = (422 if status == 200 else status), error or f"{told}\n{refusal}"
    return visit.page(
        "spc_limits.html",
        status=status,
        head=head,
        key_text=stream_text(head.ref.stream),
        sets=visit.desk.chart_desk.limit_sets.of_chart(head),
        bases=_bases(visit.desk.chart_desk.limit_sets.of_chart(head)),
        asked=asked,
        preview=shown,
        methods=METHODS.get(head.chart, ()),
        sigmas=limit_view.SIGMAS,
        unit=plots.chart_unit(head.chart, head.unit),
        decimals=_decimals(visit, head),
        may=visit.user.may(Capability.CHART),
        error=error,
        reason=reason,
    )


def _decimals(visit: Visit, head: ChartHead) -> int:
    """One more than for the values: limits are means."""
    return min(9, decimals_of(visit.desk.charts.points(head.ref, limit=USUAL_POINTS)) + 1)


def _bases(sets: list[Proposed]) -> dict[str, Basis]:
    held = {}
    for one in sets:
        try:
            held[one.id] = limit_view.of_set(one)
        except Invalid:
            continue  # the list still names it; its own page says what is damaged
    return held


def _preview(visit: Visit, head: ChartHead, asked: Asked) -> Preview:
    method = asked.method(head)
    study, points = visit.desk.chart_desk.limit_sets.preview(head.ref, asked.window, method)
    basis = limit_view.of_study(study, points, method)
    name = visit.words(N_("preview"))
    height = 420 if head.chart in plots.SPREADS else 300
    tried = visit.desk.chart_desk.limit_sets.tried(head.ref, basis.limits, points)
    svg = limit_view.drawn(head, tried, name, points, visit.words, width=WIDTH, height=height)
    return Preview(basis, svg, limit_view.met(head, tried, points, visit.words))


# -- one version -------------------------------------------------------------------------------------------


@router.get("/spc/{chart_id}/limits/{set_id}")
def version(visit: Enter, chart_id: str, set_id: str) -> Response:
    head = found(visit, chart_id)
    return _version(visit, head, _set(visit, head, set_id))


@router.post("/spc/{chart_id}/limits/{set_id}", dependencies=[Form_])
async def decide(visit: Enter, chart_id: str, set_id: str, form: approval.Sent) -> Response:
    """Approve what was shown, or withdraw it."""
    head = await run_in_threadpool(found, visit, chart_id)
    one = await run_in_threadpool(_set, visit, head, set_id)
    chart_desk = visit.desk.chart_desk
    from_us = local_us(form.effective, visit.show.zone) if form.act == "approve" else None
    if form.effective.strip() and form.act == "approve" and from_us is None:
        text = visit.words(N_("From when on they hold is no time: write it like 2026-11-20T06:00."))
        return await run_in_threadpool(_version, visit, head, one, form, Refusal(422, text))
    refusal = await approval.sign(
        visit, ACTS, form, lambda signing: chart_desk.decide_limits(set_id, signing, from_us)
    )
    if refusal is None:
        return visit.go(f"/spc/{head.id}/limits/{set_id}")
    now = await run_in_threadpool(_set, visit, head, set_id)
    return await run_in_threadpool(_version, visit, head, now, form, refusal)


def _set(visit: Visit, head: ChartHead, set_id: str) -> Proposed:
    for one in visit.desk.chart_desk.limit_sets.of_chart(head):
        if one.id == set_id:
            return one
    raise NotThere


def _version(
    visit: Visit,
    head: ChartHead,
    one: Proposed,
    form: ApprovalForm = FRESH,
    refusal: Refusal | None = None,
) -> Response:
    basis = limit_view.of_set(one)
    charts = visit.desk.charts
    if basis.first is not None and basis.last is not None:
        points = charts.points(head.ref, first=basis.first, last=basis.last)
    else:
        points = charts.points(head.ref, limit=USUAL_POINTS)
    tried = visit.desk.chart_desk.limit_sets.tried(head.ref, basis.limits, points)
    height = 420 if head.chart in plots.SPREADS else 300
    return visit.page(
        "spc_limit_set.html",
        status=refusal.status if refusal else 200,
        head=head,
        one=one,
        basis=basis,
        key_text=stream_text(head.ref.stream),
        svg=limit_view.drawn(head, tried, str(one.version), points, visit.words, width=WIDTH, height=height)
        if points
        else "",
        met=limit_view.met(head, tried, points, visit.words),
        unit=plots.chart_unit(head.chart, head.unit),
        decimals=_decimals(visit, head),
        sign=approval.panel(visit, ACTS, "withdraw" if one.state in ("approved", "superseded") else "approve"),
        open=one.state != "withdrawn",
        changed=refusal is not None and refusal.changed,
        form=form.again(visit),
        error=refusal.text if refusal else "",
    )
