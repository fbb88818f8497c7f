"""Readings out of telemetry chunks: a tag's values over a span of time, as the agents kept them, or as a trend.

Only chunks that overlap the span are opened, and so many that one question stays bounded: the answer then says
from where to ask again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from central.store import telemetry
from central.store.engine import Connection
from central.trend import Stretch, Trend, patience_us, trend
from drivers import status as statuses
from records.clock import MICROSECONDS, iso_z
from records.errors import Damaged, Invalid, Unknown
from records.telemetry import BAD, DTYPES, Chunk, SeriesTag, Track, decode_chunk, series_of

LONGEST_US = 3600 * 1_000_000
"""No chunk lasts longer, since an agent closes one at least once a minute; one during which the agent's clock was
set by more is found by its first row.
"""
MOST_CHUNKS = 2000
"""Most chunks that one question for readings opens."""
MOST_TREND_CHUNKS = 90_000
"""Most chunks that one trend opens: a day of one a second, some 70 us of CPU each."""
MOST_READINGS = 2_000_000
"""Most readings that one trend holds in memory."""
MOST_NAMED = 50
_Told = tuple[int, int | None, int, str]
"""What tells one reading from another: its two times, status and value."""
QUALITIES = ("good", "uncertain", "bad", "bad")
"""By the two highest bits of a status."""
NEWEST_US, NEWEST = 120 * MICROSECONDS, 200
"""The tags of a device are those of its newest chunks: of its last two minutes, at most so many."""


@dataclass(frozen=True, slots=True)
class Point:
    """One reading. ``status`` as in OPC UA; the value is None when it is bad.

    ``left_out``: where the agent thinned, how many readings there were since the one before; None: it did not.
    """

    edge_us: int
    source_us: int | None
    status: int
    value: JsonValue
    unit: str | None
    left_out: int | None = None

    @property
    def quality(self) -> str:
        """Good, uncertain or bad; a code of the pages' group quality."""
        return QUALITIES[self.status >> 30]

    def to_json(self) -> dict[str, JsonValue]:
        """As programs get it."""
        return {
            "time": iso_z(self.edge_us),
            "source_time": iso_z(self.source_us),
            "value": self.value,
            "unit": self.unit,
            "quality": self.quality,
            "status": statuses.word(self.status),
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Chunks that are here and damaged: how many, and when the first and the last began by the agent's clock."""

    count: int
    first_us: int
    last_us: int

    @classmethod
    def of(cls, began_us: Sequence[int]) -> Unreadable:
        """Those that began at these times."""
        return cls(len(began_us), min(began_us), max(began_us)) if began_us else UNREADABLE_NONE

    def __bool__(self) -> bool:
        return self.count > 0

    def __or__(self, more: Unreadable) -> Unreadable:
        """Both together."""
        if not (self and more):
            return self or more
        first_us, last_us = min(self.first_us, more.first_us), max(self.last_us, more.last_us)
        return Unreadable(self.count + more.count, first_us, last_us)

    def says(self) -> str:
        """For people: how many, and of when; ``MEND`` is what to do."""
        many = f"{self.count} chunk{'s' if self.count > 1 else ''} that began from {iso_z(self.first_us)} to "
        return f"{many}{iso_z(self.last_us)} cannot be read: damaged in the database"


UNREADABLE_NONE = Unreadable(0, 0, 0)
MEND = "run lotkeeper-central verify; restore a backup of before: the line sends again what it lacks"


@dataclass(frozen=True, slots=True)
class Points:
    """Readings in the order of the agent's clock. ``next_us``: ask again from there for more; None at the end.

    ``given_up``, ``unreadable``: of the device's chunks that were looked into, as in ``TagTrend``.
    """

    points: tuple[Point, ...]
    next_us: int | None
    given_up: int = 0
    unreadable: Unreadable = UNREADABLE_NONE


@dataclass(frozen=True, slots=True)
class TagTrend:
    """One tag as a trend. ``tag``, ``type``: as its newest chunk of the span says; None where there is none.

    ``units``: all that its chunks name. ``left_out``: how many readings the agent had to thin out of the span.
    ``chunks``: how many its device has in the span; ``given_up``: how many of them have a tombstone, so that
    nobody can say what was in them. ``unreadable``: damaged ones.
    """

    trend: Trend
    tag: SeriesTag | None
    type: str | None
    interval_s: float | None
    units: tuple[str, ...]
    left_out: int
    chunks: int
    given_up: int
    unreadable: Unreadable
    next_us: int | None

    @property
    def stepped(self) -> bool:
        """Whether a value holds until the next one comes."""
        tag = self.tag
        return tag is not None and (
            tag.on_change or tag.deadband is not None or self.interval_s is None or self.type == "bool"
        )


@dataclass(frozen=True, slots=True)
class DeviceTags:
    """The telemetry tags that a device had at last, and when its newest chunk began by the agent's clock.

    ``unreadable``: of its newest chunks; what tags were in them nobody knows.
    """

    agent: str
    device: str
    last_us: int
    tags: tuple[tuple[SeriesTag, str], ...]
    unreadable: Unreadable = UNREADABLE_NONE

    def to_json(self) -> list[dict[str, JsonValue]]:
        """Each tag as programs get it."""
        return [
            {
                "agent": self.agent,
                "tag": f"{self.device}.{tag.name}",
                "unit": tag.unit,
                "data_type": data_type,
                "last_chunk": iso_z(self.last_us),
            }
            for tag, data_type in self.tags
        ]


def span_of(chunk: Chunk) -> telemetry.Span:
    """What the index says of a chunk."""
    return telemetry.Span(chunk.series.device, int(chunk.edge_us.min()), int(chunk.edge_us.max()))


def read(connection: Connection, agent: str, tag: str, from_us: int, to_us: int, limit: int) -> Points:
    """Readings of ``DEVICE.TAG`` from ``from_us`` to before ``to_us``, at most ``limit``.

    A chunk that was stored again after a disk was rolled back is there twice, and one that was on its way when its
    agent thinned it is there beside what was left of it; each reading is told once, as it was read where possible.
    Readings of one moment, as a server tells what it had queued, are all told, and never on two pages: where there
    are more of them than ``limit`` the page is longer.
    """
    device, _, name = tag.partition(".")
    found = _Once()
    given_up, unreadable = 0, list[int]()
    next_us: int | None = None
    rows = telemetry.chunks(connection, agent, device, from_us, to_us, LONGEST_US)
    for opened, (first_us, body) in enumerate(rows):
        # What begins later cannot hold anything before this. What begins before the span is opened, however much
        # it is: asking again would begin with it.
        if first_us > from_us and (opened >= MOST_CHUNKS or found.are_more_than(limit, first_us)):
            next_us = first_us
            break
        if body is None:
            given_up += 1
            continue
        try:
            points = _points(body, name)
        except Invalid:
            unreadable.append(first_us)
            continue
        found.add([point for point in points if from_us <= point.edge_us < to_us])
    shown, next_us = _page([p for p in found.told() if next_us is None or p.edge_us < next_us], limit, next_us)
    return Points(tuple(shown), next_us, given_up, Unreadable.of(unreadable))


class _Once:
    """Readings of one chunk after the other. What two chunks hold is told once, as it was read where possible."""

    def __init__(self) -> None:
        self._whole, self._thinned = set[_Told](), set[_Told]()
        self._points: list[tuple[_Told, Point]] = []

    def add(self, points: Sequence[Point]) -> None:
        """Those of one chunk, which may hold the same twice."""
        own = [((p.edge_us, p.source_us, p.status, repr(p.value)), p) for p in points]
        known = self._whole if points and points[0].left_out is None else self._thinned
        self._points += [each for each in own if each[0] not in known]
        known.update(told for told, _ in own)

    def are_more_than(self, limit: int, before_us: int) -> bool:
        """Whether there are more readings than that before a time, about."""
        return len(self._points) > limit and len(self.told(before_us)) > limit

    def told(self, before_us: int | None = None) -> list[Point]:
        """By time, those of one moment as they came."""
        points = [
            point
            for told, point in self._points
            if (point.left_out is None or told not in self._whole)
            and (before_us is None or point.edge_us < before_us)
        ]
        return sorted(points, key=lambda point: point.edge_us)


def _page(told: list[Point], limit: int, next_us: int | None) -> tuple[list[Point], int | None]:
    """The first readings of those in order, the moments whole, and from where to ask on."""
    if len(told) <= limit:
        return told, next_us
    times = [point.edge_us for point in told]
    cut = bisect_left(times, times[limit]) or bisect_right(times, times[limit])
    return told[:cut], times[cut] if cut < len(told) else next_us


def read_trend(
    connection: Connection, agent: str, tag: str, from_us: int, to_us: int, buckets: int, now_us: int
) -> TagTrend:
    """``DEVICE.TAG`` from ``from_us`` to before ``to_us`` in ``buckets``, up to ``next_us`` where it ends early.

    Raises:
        Invalid: its values are no numbers.
    """
    device, _, name = tag.partition(".")
    stretches: list[Stretch] = []
    last: tuple[Track, float | None] | None = None
    units: dict[str, None] = {}
    opened = given_up = held = 0
    unreadable: list[int] = []
    next_us: int | None = None
    for first_us, body in telemetry.chunks(connection, agent, device, from_us, to_us, LONGEST_US):
        if (opened >= MOST_TREND_CHUNKS or held >= MOST_READINGS) and first_us > from_us:
            next_us = first_us
            break
        opened += 1
        if body is None:
            given_up += 1
            continue
        try:
            chunk = decode_chunk(body)
        except Invalid:
            unreadable.append(first_us)
            continue
        track = chunk.track(name)
        if track is None:
            continue
        last = track, chunk.series.interval_s
        units[track.tag.unit or ""] = None
        patience = patience_us(chunk.series, track.tag)
        numbers = _numbers(tag, track)
        stretches.append(Stretch(track.edge_us, track.source_us, track.status, numbers, patience, track.left_out))
        held += len(track.edge_us)
    made = trend(stretches, from_us, to_us if next_us is None else next_us, buckets, now_us)
    return TagTrend(
        made,
        None if last is None else last[0].tag,
        None if last is None else last[0].type,
        None if last is None else last[1],
        tuple(units),
        _left_out(stretches, from_us, to_us),
        opened,
        given_up,
        Unreadable.of(unreadable),
        next_us,
    )


def agents(connection: Connection) -> set[str]:
    """Of whom there are chunks."""
    return {agent for agent, _, _ in telemetry.sources(connection)}


def _left_out(stretches: list[Stretch], from_us: int, to_us: int) -> int:
    found = [
        int(s.left_out[(s.edge_us >= from_us) & (s.edge_us < to_us)].sum())
        for s in stretches
        if s.left_out is not None
    ]
    return sum(found)


def devices(connection: Connection) -> list[DeviceTags]:
    """All devices that ever sent telemetry, by agent and name."""
    found: list[DeviceTags] = []
    for agent, device, last_us in telemetry.sources(connection):
        tags: dict[str, tuple[SeriesTag, str]] = {}
        unreadable: list[int] = []
        for first_us, body in telemetry.newest(connection, agent, device, last_us - NEWEST_US, NEWEST):
            try:
                series = series_of(body)
            except Invalid:
                unreadable.append(first_us)
                continue
            for column in series.columns:
                for tag in column.tags:
                    tags.setdefault(tag.name, (tag, column.type))
        named = tuple(tags[name] for name in sorted(tags))
        found.append(DeviceTags(agent, device, last_us, named, Unreadable.of(unreadable)))
    return found


def require(known: Sequence[DeviceTags], agent: str, tag: str | None = None) -> None:
    """Return quietly where telemetry of the agent, and of ``DEVICE.TAG``, is here.

    Raises:
        Unknown: names what is here. Damaged: chunks of the device are here that may hold the tag.
    """
    agents = dict.fromkeys(found.agent for found in known)
    if agent not in agents:
        raise Unknown(f"no telemetry is here of an agent {agent!r}", hint=_named("agents", [*agents]))
    tags = [f"{found.device}.{name.name}" for found in known if found.agent == agent for name, _ in found.tags]
    if tag is not None and tag not in tags:
        for one in known:
            if one.agent == agent and one.unreadable and tag.startswith(f"{one.device}."):
                say = f"no readings of {tag} can be told: of the newest of {agent} {one.device}, "
                raise Damaged(f"{say}{one.unreadable.says()}", hint=MEND)
        raise Unknown(f"{agent} sends no telemetry of a tag {tag!r}", hint=_named("tags", tags))


def _named(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{what}: {', '.join(names[:MOST_NAMED]) or 'none'}{more}"


def _points(body: bytes, name: str) -> list[Point]:
    chunk = decode_chunk(body)
    unit = next((tag.unit for tag in chunk.series.tags if tag.name == name), None)
    readings = chunk.readings(name)
    left_out: Sequence[int | None] = chunk.skipped(name) or [None] * len(readings)
    return [Point(*reading, unit, left) for reading, left in zip(readings, left_out, strict=True)]


def _numbers(tag: str, track: Track) -> NDArray[np.float64]:
    """The values as numbers, NaN where a value is none."""
    if isinstance(track.values, np.ndarray):
        return track.values.astype(np.float64)
    numbers = [_number(value) for value in track.values]
    good = track.status < BAD
    if track.type not in DTYPES and good.any() and not any(number == number for number in numbers):
        raise Invalid(
            f"the values of {tag} are no numbers: they cannot be drawn",
            hint="ask for its readings instead: /api/v1/telemetry",
        )
    return np.array(numbers, np.float64)


def _number(value: JsonValue) -> float:
    return float(value) if isinstance(value, bool | int | float) else float("nan")
