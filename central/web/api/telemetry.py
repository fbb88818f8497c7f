"""Readings of telemetry tags under ``/api/v1``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import JsonValue

from central.telemetry import Point, TagTrend, require
from central.trend import Floats
from central.web.api.calls import Caller, Items, Moment, Paged, cut
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from records.clock import from_us, iso_z, to_us
from records.errors import Invalid

MOST, MOST_BUCKETS = 10_000, 2_000

Agent = Annotated[str, Query(max_length=63)]
Tag = Annotated[str, Query(pattern=r"^[^.]{1,63}\.[^.]{1,63}$", description="DEVICE.TAG")]
From = Annotated[Moment, Query(alias="from", description="from this time on, with Z or an offset")]
To = Annotated[Moment, Query(alias="to", description="to before this time")]

router = APIRouter(responses=RESPONSES)


class TelemetryItem(Item):
    """``time`` is the agent's clock, ``source_time`` the device's own; the value is null when it is bad.

    ``left_out``: where the agent had to thin its trend data, how many readings there were since the one before.
    """

    time: str | None
    source_time: str | None
    value: JsonValue
    unit: str | None
    quality: str
    status: str
    left_out: int | None = None

    @classmethod
    def of(cls, point: Point) -> TelemetryItem:
        return cls.model_validate(point.to_json())


class TelemetryItems(Items[TelemetryItem]):
    """``given_up``: how many chunks of the device in the span are past their retention, ``unreadable`` damaged,
    which began from ``unreadable_from`` to ``unreadable_to``: lotkeeper-central verify names them, and a backup of
    before that is restored has the line send them again.
    """

    given_up: int = 0
    unreadable: int = 0
    unreadable_from: str | None = None
    unreadable_to: str | None = None


class TrendBucket(Item):
    """Readings from ``time`` on, of so many microseconds: how many of which quality, and of those that are not bad
    the lowest, highest, first and last. ``silent_us``: how much of it lies between readings too far apart.
    """

    time: str | None
    low: float | None
    high: float | None
    first: float | None
    last: float | None
    good: int
    uncertain: int
    bad: int
    silent_us: int


class TelemetryTrend(Item):
    """``units``: all that the readings have. ``left_out``: how many more there were, which the agent thinned out.
    ``chunks``: how many were looked into; ``given_up`` of them are past their retention, ``unreadable`` damaged.
    ``next``: ask from there on for the rest; null: it is all.
    """

    bucket_us: int
    buckets: list[TrendBucket]
    units: list[str]
    readings: int
    left_out: int
    chunks: int
    given_up: int
    unreadable: int
    next: str | None

    @classmethod
    def of(cls, found: TagTrend) -> TelemetryTrend:
        made = found.trend
        numbers = [_numbers(values) for values in (made.low, made.high, made.first, made.last)]
        counts = [values.tolist() for values in (made.good, made.uncertain, made.bad, made.silent_us)]
        times = [iso_z(made.from_us + n * made.width_us) for n in range(len(made.low))]
        names = tuple(TrendBucket.model_fields)
        rows = zip(times, *numbers, *counts, strict=True)
        return cls(
            bucket_us=made.width_us,
            buckets=[TrendBucket(**dict(zip(names, row, strict=True))) for row in rows],
            units=[unit for unit in found.units if unit],
            readings=made.readings,
            left_out=found.left_out,
            chunks=found.chunks,
            given_up=found.given_up,
            unreadable=found.unreadable.count,
            next=_z(found.next_us),
        )


class TelemetryTag(Item):
    """A tag that a device had at last. ``last_chunk``: when its newest chunk began, by the agent's clock."""

    agent: str
    tag: str
    unit: str | None
    data_type: str
    last_chunk: str | None


def _numbers(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _z(at_us: int | None) -> str | None:
    return None if at_us is None else from_us(at_us).isoformat().replace("+00:00", "Z")


@router.get("/telemetry", tags=["telemetry"])
def telemetry(
    call: Caller,
    agent: Agent,
    tag: Tag,
    begin: From,
    end: To,
    cursor: Annotated[Moment | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 1000,
) -> TelemetryItems:
    """Readings of one telemetry tag over a span of its agent's clock, oldest first; 404 when nobody sends it, 409
    when nobody can tell, since the newest chunks of its device are damaged.
    """
    if end <= begin:
        raise Problem(422, "`to` is not after `from`")
    found = call.desk.telemetry(agent, tag, to_us(cursor or begin), to_us(end), limit)
    damaged = found.unreadable
    if not (found.points or found.given_up or damaged):
        require(call.desk.telemetry_devices(), agent, tag)
    items = [TelemetryItem.of(point) for point in found.points]
    return TelemetryItems(
        items=items,
        next=_z(found.next_us),
        given_up=found.given_up,
        unreadable=damaged.count,
        unreadable_from=_z(damaged.first_us) if damaged else None,
        unreadable_to=_z(damaged.last_us) if damaged else None,
    )


@router.get("/telemetry/tags", tags=["telemetry"])
def telemetry_tags(call: Caller, page: Paged) -> Items[TelemetryTag]:
    """The telemetry tags of all devices, as they were at last."""
    tags = [
        TelemetryTag.model_validate(told) for found in call.desk.telemetry_devices() for told in found.to_json()
    ]
    shown, after = cut(tags, lambda tag: f"{tag.agent}/{tag.tag}", page)
    return Items(items=shown, next=after)


@router.get("/telemetry/trend", tags=["telemetry"])
def telemetry_trend(
    call: Caller,
    agent: Agent,
    tag: Tag,
    begin: From,
    end: To,
    buckets: Annotated[int, Query(ge=1, le=MOST_BUCKETS, description="at most so many")] = 500,
) -> TelemetryTrend:
    """A numeric telemetry tag for a chart: the lowest and the highest reading of each bucket, none hidden."""
    if end <= begin:
        raise Problem(422, "`to` is not after `from`")
    try:
        found = call.desk.trend(agent, tag, to_us(begin), to_us(end), buckets)
    except Invalid as error:
        raise Problem(422, str(error)) from error
    if found.tag is None and not (found.given_up or found.unreadable):
        require(call.desk.telemetry_devices(), agent, tag)
    return TelemetryTrend.of(found)
