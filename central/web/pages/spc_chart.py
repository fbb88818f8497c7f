"""One control chart: its drawing and points, what people say of a point, and the same as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.charts import MOST_POINTS, ChartHead, ChartPoint, point_hash
from central.signature import SignatureRefused
from central.web import boards, capable, plots, refusals
from central.web.chart_view import (
    SIZES,
    USUAL,
    ChartView,
    Span,
    chart_json,
    points_csv,
    span_of,
    told_points,
    view_of,
)
from central.web.desk import Signing
from central.web.i18n import N_
from central.web.params import stream_text
from central.web.plots import draw
from central.web.points import decimals_of, plot_of
from central.web.visit import Enter, Form_, NotThere, Text, Visit, enter
from records.errors import LotkeeperError

router = APIRouter(include_in_schema=False)

SIGNED = ("exclude", "include")
MOST_ROWS = 500
"""Most points in the table under a drawing; the files hold all of the stretch."""
WIDTH = 1080
"""Pixels of the drawing at its natural size: the width of the page."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The point that the page is about, its neighbours among the flagged ones, and what a signature covers."""

    point: ChartPoint
    content_hash: str
    before: int | None
    after: int | None


@router.get("/spc/{chart_id}")
def chart(
    visit: Enter,
    chart_id: str,
    show: int = 100,
    last: int | None = None,
    point: int | None = None,
    at: str = "",
) -> Response:
    """``at``: a point as records name it, ``SEGMENT-SUBGROUP``; a stable address for links from elsewhere."""
    head = found(visit, chart_id)
    if at and point is None:
        point = _number(visit, head, at)
    return page(visit, head, show, last, point)


@router.get("/spc/{chart_id}/points.{kind}")
def export(visit: Enter, chart_id: str, kind: str, show: int = 100, last: int | None = None) -> Response:
    """The points of the stretch that the page shows, as a file."""
    view = _view(visit, found(visit, chart_id), show, last)
    name = f"{view.head.ref.characteristic}-{view.head.id[:8]}"
    if kind == "csv":
        content, media_type = points_csv(view.rows), "text/csv; charset=utf-8"
    elif kind == "json":
        content, media_type = json.dumps(chart_json(view), ensure_ascii=False, indent=1), "application/json"
    else:
        raise NotThere
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    headers = {"content-disposition": f'attachment; filename="{safe}.{kind}"'}
    return Response(content, media_type=media_type, headers=headers)


@router.post("/spc/{chart_id}/points/{number}", dependencies=[Form_])
async def act_on_point(
    chart_id: str,
    number: int,
    visit: Visit = Depends(enter),  # noqa: B008
    act: Text = "",
    cause: Text = "",
    text: Text = "",
    reason: Text = "",
    user: Text = "",
    password: Text = "",
    content_hash: Text = "",
) -> Response:
    """Give a point a cause or a comment; leave it out of limits or take it in again, signed."""
    head = await run_in_threadpool(found, visit, chart_id)
    form = {"act": act, "cause": cause, "text": text, "reason": reason, "user": user}
    status, error = 422, ""
    if act in SIGNED and (not reason.strip() or not user.strip() or not password):
        error = visit.words(N_("Write the reason, and give user and password."))
    elif act == "comment" and not cause and not text.strip():
        error = visit.words(N_("Choose a cause or write a comment."))
    elif act not in (*SIGNED, "comment"):
        error = visit.words(N_("Nothing was done: this is no act on a point."))
    else:
        signing = Signing(user.strip(), password, act, reason.strip(), content_hash, visit.origin)
        try:
            await run_in_threadpool(_act, visit, head, number, cause or None, text.strip(), signing)
        except LotkeeperError as refusal:
            status, error = (
                409 if isinstance(refusal, SignatureRefused) else 403,
                refusals.text(visit.words, refusal),
            )
        else:
            return visit.go(f"/spc/{head.id}?{_span(visit).query(point=number)}#point")
    span = _span(visit)
    return await run_in_threadpool(
        page, visit, head, span.show, span.last, number, status=status, error=error, form=form
    )


def _act(visit: Visit, head: ChartHead, number: int, cause: str | None, text: str, signing: Signing) -> None:
    desk = visit.desk.chart_desk
    if signing.meaning == "comment":
        desk.annotate(head.ref, number, visit.user, cause, text)
    else:
        desk.exclude(head.ref, number, signing, cause)


def found(visit: Visit, chart_id: str) -> ChartHead:
    head = visit.desk.charts.head(chart_id)
    if head is None:
        raise NotThere
    return head


def _number(visit: Visit, head: ChartHead, at: str) -> int | None:
    """The number of the newest point of this name; None while its subgroup is not closed.

    Reactions and holds do not tell the segment: ``-SUBGROUP``.
    """
    segment, _, subgroup = at.partition("-")
    for point in reversed(visit.desk.charts.points(head.ref, limit=MOST_POINTS)):
        if str(point.subgroup) == subgroup and segment in ("", str(point.segment)):
            return point.number
    return None


def _view(visit: Visit, head: ChartHead, show: int, last: int | None) -> ChartView:
    asked = visit.request.query_params
    return view_of(visit, head, span_of(visit.show.zone, show, last, asked.get("from", ""), asked.get("to", "")))


def _span(visit: Visit) -> Span:
    """The stretch that the address of a form names; nonsense is left out."""
    asked = visit.request.query_params
    show, last = (asked.get(name, "") for name in ("show", "last"))
    return span_of(
        visit.show.zone,
        int(show) if show.isdecimal() else USUAL,
        int(last) if last.isdecimal() else None,
        asked.get("from", ""),
        asked.get("to", ""),
    )


def page(
    visit: Visit,
    head: ChartHead,
    show: int,
    last: int | None,
    picked: int | None,
    *,
    status: int = 200,
    error: str = "",
    form: Mapping[str, str] | None = None,
) -> Response:
    """The page. A point that is picked is in the stretch that is shown, unless that is asked for by times."""
    if picked is not None and last is None:
        newest = head.points - show < picked
        last = None if newest else min(picked + show // 4, head.points)
    view = _view(visit, head, show, last)
    words = visit.words
    link = {
        row.point.number: f"/spc/{head.id}?{view.span.query(point=row.point.number)}#point" for row in view.flagged
    }
    plot = plot_of(head, view.points, words, key="chart", book=view.book, link=link)
    paired = head.chart in plots.SPREADS
    spread = plots.spread_name(words, head.chart)
    capability_points = visit.desk.charts.points(head.ref, limit=200)
    return visit.page(
        "spc_chart.html",
        status=status,
        head=head,
        view=view,
        rows=view.rows[: -MOST_ROWS - 1 : -1],
        picked=_picked(visit, view, picked),
        svg=draw(plot, words, width=WIDTH, height=440 if paired else 300, told=view.book.told(words)),
        key_text=stream_text(head.ref.stream),
        sizes=SIZES,
        decimals=decimals_of(view.points),
        unit=plots.chart_unit(head.chart, head.unit),
        what=plots.location_name(words, head.chart),
        spread=spread,
        spec_drawn=head.chart in plots.SINGLE_VALUES,
        versions=visit.desk.charts.versions(head.ref),
        provisional=boards.provisional(words, head),
        progress=boards.progress(
            words,
            head,
            boards.wanted_points(visit.desk.configurations()).get((head.ref.agent, head.ref.characteristic)),
        ),
        capable=capable.capable(words, head, capability_points),
        causes=visit.desk.charts.causes(head.ref.characteristic),
        may=visit.user.may(Capability.CHART),
        told_points=told_points,
        error=error,
        form={"act": "", "cause": "", "text": "", "reason": "", "user": visit.user.id} | dict(form or {}),
    )


def _picked(visit: Visit, view: ChartView, number: int | None) -> Picked | None:
    if number is None:
        return None
    point = visit.desk.charts.point(view.head.ref, number)
    if point is None:
        raise NotThere
    before, after = view.neighbours(number)
    return Picked(point, point_hash(view.head.ref, point), before, after)
