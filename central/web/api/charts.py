"""Control charts under ``/api/v1``: what they are, their points and limits, and notes on points."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, StringConstraints

from central.access import Capability
from central.chart_capability import ChartCapability
from central.charts import ChartHead, ChartPoint, LimitVersion, Note, point_hash
from central.web.api.acts import Reason, once
from central.web.api.calls import Call, Caller, Items, Key, Moment, Page, Paged, cut
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from central.web.api.writes import Person, carried_out, needs_sign, visitor_of
from central.web.desk import Signing
from records.clock import iso_z, to_us

router = APIRouter(responses=RESPONSES, prefix="/charts", tags=["charts"])

MOST = 5000
Word = Annotated[str | None, Query(max_length=200)]


class NoteItem(Item):
    """What a person said of a point: act is comment, exclude or include."""

    act: str
    cause: str | None
    text: str
    user: str
    at: str | None
    hash: str

    @classmethod
    def of(cls, note: Note) -> NoteItem:
        return cls(
            act=note.act,
            cause=note.cause,
            text=note.text,
            user=note.user,
            at=iso_z(note.at_us),
            hash=note.hash,
        )


class PointItem(Item):
    """A closed subgroup or single value, as its agent judged it. ``content_hash``: what a signature covers."""

    number: int
    at: str | None
    segment: int
    subgroup: int
    state: str
    statistic: float | None
    range_statistic: float | None
    sample: float | None
    centre: float | None
    lower: float | None
    upper: float | None
    range_centre: float | None
    range_lower: float | None
    range_upper: float | None
    rules: list[str]
    range_rules: list[str]
    limit_version: str | None
    provisional: bool
    closed_by: str
    subjects: list[str]
    subjects_total: int
    readings: list[list[float | None]]
    record: str
    cause: str | None
    excluded: bool
    notes: list[NoteItem]
    content_hash: str

    @classmethod
    def of(cls, head: ChartHead, point: ChartPoint) -> PointItem:
        same = {name: getattr(point, name) for name in cls.model_fields if name in _OF_POINT}
        return cls(
            **same,
            at=iso_z(point.at_us),
            rules=list(point.rules),
            range_rules=list(point.range_rules),
            subjects=list(point.subjects),
            readings=[list(values) for values in point.readings],
            record=point.ref.hash,
            notes=[NoteItem.of(note) for note in point.notes],
            content_hash=point_hash(head.ref, point),
        )


_OF_POINT = frozenset(
    [
        "number",
        "segment",
        "subgroup",
        "state",
        "statistic",
        "range_statistic",
        "sample",
        "centre",
        "lower",
        "upper",
        "range_centre",
        "range_lower",
        "range_upper",
        "limit_version",
        "provisional",
        "closed_by",
        "subjects_total",
        "cause",
        "excluded",
    ]
)


class SpecificationItem(Item):
    lower: float | None
    upper: float | None
    target: float | None
    source: str


class ChartItem(Item):
    """A chart with its last point. ``stream`` tells it from others of its characteristic, ``key`` in parts."""

    id: str
    agent: str
    line: str | None
    station: str
    operation: str | None
    characteristic: str
    stream: str
    key: dict[str, str]
    product: str | None
    chart: str
    subgroup: int
    unit: str | None
    state: str
    limit_version: str | None
    provisional: bool
    points: int
    signals_open: int
    specification: SpecificationItem | None
    last: PointItem | None
    causes: list[str]

    @classmethod
    def of(cls, head: ChartHead, causes: tuple[str, ...]) -> ChartItem:
        ref, spec = head.ref, head.specification
        return cls(
            id=head.id,
            agent=ref.agent,
            line=head.line,
            station=ref.station,
            operation=head.operation,
            characteristic=ref.characteristic,
            stream=ref.stream,
            key=ref.key,
            product=head.product,
            chart=head.chart,
            subgroup=head.subgroup,
            unit=head.unit,
            state=head.state,
            limit_version=head.limit_version,
            provisional=head.provisional,
            points=head.points,
            signals_open=head.signals_open,
            specification=None
            if spec is None
            else SpecificationItem(lower=spec.lower, upper=spec.upper, target=spec.target, source=spec.source),
            last=None if head.last is None else PointItem.of(head, head.last),
            causes=list(causes),
        )


class LimitVersionItem(Item):
    """Limits by which points ``first`` to ``last`` were judged; the lines are those of the first."""

    version: str
    provisional: bool
    points: int
    first: int
    last: int
    from_time: str | None
    to_time: str | None
    centre: float | None
    lower: float | None
    upper: float | None
    range_centre: float | None
    range_lower: float | None
    range_upper: float | None

    @classmethod
    def of(cls, version: LimitVersion) -> LimitVersionItem:
        told = {name: getattr(version, name) for name in cls.model_fields if not name.endswith("_time")}
        return cls(**told, from_time=iso_z(version.from_us), to_time=iso_z(version.to_us))


class CapabilityItem(Item):
    """``figures`` by the names that people know (Cp, Cpk, Ppk, ..., ``_ci``: the interval, ``cautions``).

    They are null where ``why`` says so: other-chart, no-specification, short-run, few-values, no-variation.
    """

    n: int
    first: int | None
    last: int | None
    limit_version: str | None
    why: str | None
    figures: dict[str, JsonValue] | None

    @classmethod
    def of(cls, found: ChartCapability) -> CapabilityItem:
        return cls.model_validate(
            {
                "n": found.n,
                "first": found.first,
                "last": found.last,
                "limit_version": found.version,
                "why": found.why,
                "figures": None if found.found is None else found.found.figures(),
            }
        )


class AnnotationBody(BaseModel):
    """A cause of the chart's list, a comment, or both. A program brings ``user`` and ``password``."""

    model_config = ConfigDict(extra="forbid")

    cause: Annotated[str | None, Field(max_length=100)] = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    user: Annotated[str | None, Field(max_length=200)] = None
    password: SecretStr | None = None


class ExclusionBody(BaseModel):
    """Leave a point out of what limits are computed from, or take it in again: a signature."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["exclude", "include"] = "exclude"
    reason: Reason
    cause: Annotated[str | None, Field(max_length=100)] = None
    user: Annotated[str, Field(min_length=1, max_length=200)]
    password: SecretStr
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@router.get("")
def charts(
    call: Caller, page: Paged, line: Word = None, product: Word = None, characteristic: Word = None
) -> Items[ChartItem]:
    """Every chart of the lines with its last point, by line, station, characteristic and stream."""
    found = call.desk.charts.heads(line, product, characteristic)
    shown, after = cut(found, _order, page)
    return Items(items=[_item(call, head) for head in shown], next=after)


@router.get("/{chart_id}")
def chart(call: Caller, chart_id: str) -> ChartItem:
    return _item(call, found_chart(call, chart_id))


@router.get("/{chart_id}/points")
def points(
    call: Caller,
    chart_id: str,
    begin: Annotated[Moment | None, Query(alias="from", description="from this time on")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="to before this time")] = None,
    cursor: Annotated[str | None, Query(max_length=20, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 1000,
) -> Items[PointItem]:
    """The newest points, oldest first; ``next`` leads to older ones."""
    head = found_chart(call, chart_id)
    found = call.desk.charts.points(
        head.ref,
        None if begin is None else to_us(begin),
        None if end is None else to_us(end),
        limit,
        last=Page(cursor, limit).after,
    )
    more = len(found) == limit and found[0].number > 1
    return Items(
        items=[PointItem.of(head, point) for point in found], next=str(found[0].number - 1) if more else None
    )


@router.get("/{chart_id}/limits")
def limits(call: Caller, chart_id: str) -> Items[LimitVersionItem]:
    """The limits by which the chart's points were judged, in the order of their first."""
    head = found_chart(call, chart_id)
    return Items(items=[LimitVersionItem.of(version) for version in call.desk.charts.versions(head.ref)])


@router.get("/{chart_id}/capability")
def capability(
    call: Caller,
    chart_id: str,
    begin: Annotated[Moment | None, Query(alias="from", description="from this time on")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="to before this time")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
) -> CapabilityItem:
    """What the newest points under one version of limits can hold of the specification, or why that is unknown."""
    head = found_chart(call, chart_id)
    found = call.desk.charts.capability(
        head.ref, None if begin is None else to_us(begin), None if end is None else to_us(end), limit
    )
    return CapabilityItem.of(found)


@router.post("/{chart_id}/points/{number}/annotations", status_code=201, response_model=PointItem)
def annotate(
    request: Request, call: Caller, chart_id: str, number: int, body: AnnotationBody, key: Key = None
) -> JSONResponse:
    """Give a point a cause, a comment, or both."""
    head = _found_point(call, chart_id, number)

    def work() -> object:
        person = Person(body.user, None if body.password is None else body.password.get_secret_value())
        visitor = visitor_of(call, person, f"chart-point {chart_id} {number}")
        noted = call.desk.chart_desk.annotate(head.ref, number, visitor, body.cause, body.text)
        return PointItem.of(head, noted).model_dump(mode="json")

    asked = [chart_id, number, body.model_dump(exclude={"password"})]
    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))


@router.post("/{chart_id}/points/{number}/exclusions", status_code=201, response_model=PointItem)
def exclude(
    request: Request, call: Caller, chart_id: str, number: int, body: ExclusionBody, key: Key = None
) -> JSONResponse:
    """Leave a point out of limits or take it in again; 409 when it is not as it was shown, 403 when refused."""
    needs_sign(call)
    head = _found_point(call, chart_id, number)
    secret = body.password.get_secret_value()

    def work() -> object:
        signing = Signing(body.user, secret, body.act, body.reason, body.content_hash, call.visitor.origin)
        noted = call.desk.chart_desk.exclude(head.ref, number, signing, body.cause)
        return PointItem.of(head, noted).model_dump(mode="json")

    asked = [chart_id, number, body.model_dump(exclude={"password"})]
    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))


def found_chart(call: Call, chart_id: str) -> ChartHead:
    """Raises Problem 404."""
    call.need(Capability.VIEW)
    found = call.desk.charts.head(chart_id)
    if found is None:
        raise Problem(404, f"no chart {chart_id}")
    return found


def _found_point(call: Call, chart_id: str, number: int) -> ChartHead:
    head = found_chart(call, chart_id)
    if call.desk.charts.point(head.ref, number) is None:
        raise Problem(404, f"the chart {chart_id} has no point {number}")
    return head


def _item(call: Call, head: ChartHead) -> ChartItem:
    return ChartItem.of(head, call.desk.charts.causes(head.ref.characteristic))


def _order(head: ChartHead) -> str:
    ref = head.ref
    return "\0".join((head.line or "", ref.station, ref.characteristic, ref.stream, head.id))
