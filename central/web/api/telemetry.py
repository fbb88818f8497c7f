"""Readings of telemetry tags under ``/api/v1``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, JsonValue

from central.telemetry import Point
from central.web.api.calls import Caller, Items
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from drivers import status as statuses
from records.clock import from_us, iso_z, to_us

MOST = 10_000
QUALITIES = ("good", "uncertain", "bad", "bad")

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
        return cls(
            time=iso_z(point.edge_us),
            source_time=iso_z(point.source_us),
            value=point.value,
            unit=point.unit,
            quality=QUALITIES[point.status >> 30],
            status=statuses.word(point.status),
            left_out=point.left_out,
        )


@router.get("/telemetry", tags=["telemetry"])
def telemetry(
    call: Caller,
    agent: Annotated[str, Query(max_length=63)],
    tag: Annotated[str, Query(pattern=r"^[^.]{1,63}\.[^.]{1,63}$", description="DEVICE.TAG")],
    begin: Annotated[AwareDatetime, Query(alias="from", description="from this time on, with Z or an offset")],
    end: Annotated[AwareDatetime, Query(alias="to", description="to before this time")],
    cursor: Annotated[AwareDatetime | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 1000,
) -> Items[TelemetryItem]:
    """Readings of one telemetry tag over a span of its agent's clock, oldest first."""
    if end <= begin:
        raise Problem(422, "`to` is not after `from`")
    found = call.desk.telemetry(agent, tag, to_us(cursor or begin), to_us(end), limit)
    after = None if found.next_us is None else from_us(found.next_us).isoformat().replace("+00:00", "Z")
    return Items(items=[TelemetryItem.of(point) for point in found.points], next=after)
