"""Readings out of telemetry chunks: a tag's values over a span of time, as the agents kept them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central.store import telemetry
from central.store.engine import Connection
from records.telemetry import Chunk, decode_chunk

LONGEST_US = 3600 * 1_000_000
"""No chunk lasts longer, since an agent closes one at least once a minute; one during which the agent's clock was
set by more is found by its first row.
"""
MOST_CHUNKS = 2000
"""Most chunks that one question opens."""


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


@dataclass(frozen=True, slots=True)
class Points:
    """Readings in the order of the agent's clock. ``next_us``: ask again from there for more; None at the end."""

    points: tuple[Point, ...]
    next_us: int | None


def span_of(chunk: Chunk) -> telemetry.Span:
    """What the index says of a chunk."""
    return telemetry.Span(chunk.series.device, int(chunk.edge_us.min()), int(chunk.edge_us.max()))


def read(connection: Connection, agent: str, tag: str, from_us: int, to_us: int, limit: int) -> Points:
    """Readings of ``DEVICE.TAG`` from ``from_us`` to before ``to_us``, at most ``limit``.

    A chunk that was stored again after a disk was rolled back is there twice, and one that was on its way when its
    agent thinned it is there beside what was left of it; each reading is told once, as it was read where possible.
    """
    device, _, name = tag.partition(".")
    found: dict[int, Point] = {}
    next_us: int | None = None
    rows = telemetry.chunks(connection, agent, device, from_us, to_us, LONGEST_US)
    for opened, (first_us, body) in enumerate(rows):
        # what begins later cannot hold anything before this
        if opened >= MOST_CHUNKS or (len(found) > limit and sum(at < first_us for at in found) > limit):
            next_us = max(first_us, from_us)
            break
        for point in _points(body, name):
            if from_us <= point.edge_us < to_us and (point.left_out is None or point.edge_us not in found):
                found[point.edge_us] = point
    told = [found[at] for at in sorted(found) if next_us is None or at < next_us]
    if len(told) > limit:
        return Points(tuple(told[:limit]), told[limit].edge_us)
    return Points(tuple(told), next_us)


def _points(body: bytes, name: str) -> list[Point]:
    chunk = decode_chunk(body)
    unit = next((tag.unit for tag in chunk.series.tags if tag.name == name), None)
    readings = chunk.readings(name)
    left_out: Sequence[int | None] = chunk.skipped(name) or [None] * len(readings)
    return [Point(*reading, unit, left) for reading, left in zip(readings, left_out, strict=True)]
