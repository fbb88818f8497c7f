"""What the page of one control chart shows: which stretch of it, its flagged points, its rows, and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import JsonValue

from central.charts import MOST_POINTS, ChartHead, ChartPoint
from central.sheets import cell
from central.web.points import Fired, RuleBook, fired
from central.web.times import local_us
from central.web.visit import Visit
from records.clock import iso_z

SIZES = (50, 100, 200, 500)
"""How many points a page may show."""
USUAL = 100


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch that is asked for: the newest ``show`` points, held at ``last``, or between two times."""

    show: int = USUAL
    last: int | None = None
    from_us: int | None = None
    to_us: int | None = None
    from_text: str = ""
    to_text: str = ""

    @property
    def timed(self) -> bool:
        return self.from_us is not None or self.to_us is not None

    @property
    def held(self) -> bool:
        """Whether the page stays where it is while new points come."""
        return self.last is not None or self.timed

    def query(self, **changed: object) -> str:
        """The address' query, with other values for some of its parts."""
        values: dict[str, object] = {"show": self.show if self.show != USUAL else None, "last": self.last}
        values |= {"from": self.from_text, "to": self.to_text, **changed}
        return urlencode([(k, v) for k, v in values.items() if v not in (None, "")])


def span_of(zone: str, show: int, last: int | None, from_: str, to: str) -> Span:
    size = min(SIZES, key=lambda s: abs(s - show))
    from_us, to_us = local_us(from_, zone), local_us(to, zone)
    return Span(size, last, from_us, to_us, from_ if from_us is not None else "", to if to_us is not None else "")


@dataclass(frozen=True, slots=True)
class Row:
    """One point with what it met."""

    point: ChartPoint
    fired: tuple[Fired, ...]


@dataclass(frozen=True, slots=True)
class ChartView:
    """One chart over one stretch. ``older``, ``newer``: where the page before and after this one is held."""

    head: ChartHead
    span: Span
    rows: tuple[Row, ...]
    book: RuleBook
    older: int | None
    newer: int | None

    @property
    def points(self) -> list[ChartPoint]:
        return [row.point for row in self.rows]

    @property
    def flagged(self) -> list[Row]:
        """Points that met a rule, that people noted something on, or that are left out; the newest first."""
        return [r for r in self.rows[::-1] if r.fired or r.point.notes or r.point.excluded]

    def neighbours(self, number: int) -> tuple[int | None, int | None]:
        """The flagged points before and after a point."""
        numbers = sorted(row.point.number for row in self.flagged)
        before = [n for n in numbers if n < number]
        after = [n for n in numbers if n > number]
        return (before[-1] if before else None, after[0] if after else None)


def view_of(visit: Visit, head: ChartHead, span: Span) -> ChartView:
    """The points of the stretch, read once."""
    charts = visit.desk.charts
    if span.timed:
        points = charts.points(head.ref, span.from_us, span.to_us, MOST_POINTS, last=span.last)
    else:
        points = charts.points(head.ref, limit=span.show, last=span.last)
    flagged = [p for p in points if p.rules or p.range_rules]
    book = RuleBook(visit.desk.signals(head.ref, flagged[0])) if flagged else RuleBook()
    rows = tuple(Row(p, fired(visit.words, head.chart, points, i, book)) for i, p in enumerate(points))
    first = points[0].number if points else 1
    last = points[-1].number if points else 0
    return ChartView(
        head,
        span,
        rows,
        book,
        older=first - 1 if first > 1 else None,
        newer=min(last + span.show, head.points) if last < head.points else None,
    )


# -- as files ----------------------------------------------------------------------------------------------


def point_json(row: Row) -> dict[str, JsonValue]:
    """Everything that is known of a point; times in ISO with Z, codes as records hold them."""
    point = row.point
    return {
        "number": point.number,
        "at": iso_z(point.at_us),
        "segment": point.segment,
        "subgroup": point.subgroup,
        "state": point.state,
        "statistic": point.statistic,
        "range_statistic": point.range_statistic,
        "sample": point.sample,
        "lower": point.lower,
        "centre": point.centre,
        "upper": point.upper,
        "range_lower": point.range_lower,
        "range_centre": point.range_centre,
        "range_upper": point.range_upper,
        "rules": list(point.rules),
        "range_rules": list(point.range_rules),
        "made_by": [{"rule": one.name, "points": list(one.numbers)} for one in row.fired],
        "limit_version": point.limit_version,
        "provisional": point.provisional,
        "closed_by": point.closed_by or "runs",
        "excluded": point.excluded,
        "cause": point.cause,
        "comments": [
            {"act": n.act, "cause": n.cause, "text": n.text, "user": n.user, "at": iso_z(n.at_us), "hash": n.hash}
            for n in point.notes
        ],
        "subjects": list(point.subjects),
        "subjects_total": point.subjects_total,
        "readings": [list(values) for values in point.readings],
        "record": point.ref.hash,
    }


def chart_json(view: ChartView) -> dict[str, JsonValue]:
    head, spec = view.head, view.head.specification
    told: JsonValue = None
    if spec is not None:
        told = {"lower": spec.lower, "upper": spec.upper, "target": spec.target, "source": spec.source}
    return {
        "chart": {
            "id": head.id,
            "agent": head.ref.agent,
            "station": head.ref.station,
            "characteristic": head.ref.characteristic,
            "stream": head.ref.stream,
            "line": head.line,
            "kind": head.chart,
            "subgroup": head.subgroup,
            "unit": head.unit,
            "specification": told,
            "points": head.points,
        },
        "points": [point_json(row) for row in view.rows],
    }


def points_csv(rows: Iterable[Row]) -> str:
    """One line a point; lists are joined by blanks, so that no cell needs a reader of its own."""
    columns: list[str] = []
    lines: list[Mapping[str, JsonValue]] = []
    for row in rows:
        told = point_json(row)
        told["made_by"] = [f"{one.name}:{'+'.join(map(str, one.numbers))}" for one in row.fired]
        told["comments"] = [f"{n.user}: {_plain(n.text)}" for n in row.point.notes]
        told["readings"] = [
            "/".join("" if v is None else repr(v) for v in values) for values in row.point.readings
        ]
        columns = columns or list(told)
        lines.append({name: cell(value) for name, value in told.items()})
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _plain(text: str) -> str:
    """One line, and nothing that a spreadsheet would take for a formula."""
    return " ".join(text.split())


def told_points(numbers: Sequence[int]) -> str:
    """``52–60`` for neighbours, else ``52, 54, 55``."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return ", ".join(map(str, numbers))
