"""One control chart: its drawing and points, what people say of a point, and the same as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response

from central.access import Capability
from central.charts import ChartHead, ChartPoint, point_hash
from central.web import boards, capable, plots
from central.web.chart_view import SIZES, ChartView, chart_json, points_csv, span_of, told_points, view_of
from central.web.params import stream_text
from central.web.plots import draw
from central.web.points import decimals_of, plot_of
from central.web.visit import Enter, NotThere, Visit

router = APIRouter(include_in_schema=False)

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
) -> Response:
    return page(visit, found(visit, chart_id), show, last, point)


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


def found(visit: Visit, chart_id: str) -> ChartHead:
    head = visit.desk.charts.head(chart_id)
    if head is None:
        raise NotThere
    return head


def _view(visit: Visit, head: ChartHead, show: int, last: int | None) -> ChartView:
    asked = visit.request.query_params
    return view_of(visit, head, span_of(visit.show.zone, show, last, asked.get("from", ""), asked.get("to", "")))


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
        rows=view.rows[::-1],
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
