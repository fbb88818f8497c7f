"""Readings out of telemetry chunks: a tag's values over a span of time, as the agents kept them."""

from __future__ import annotations

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
    """One reading. ``status`` as in OPC UA; the value is None when it is bad."""

    edge_us: int
    source_us: int | None
    status: int
    value: JsonValue
    unit: str | None


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

    A chunk that was stored again after a disk was rolled back is there twice; each reading is told once.
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
        found.update((point.edge_us, point) for point in _points(body, name) if from_us <= point.edge_us < to_us)
    told = [found[at] for at in sorted(found) if next_us is None or at < next_us]
    if len(told) > limit:
        return Points(tuple(told[:limit]), told[limit].edge_us)
    return Points(tuple(told), next_us)


def _points(body: bytes, name: str) -> list[Point]:
    chunk = decode_chunk(body)
    unit = next((tag.unit for tag in chunk.series.tags if tag.name == name), None)
    return [Point(*reading, unit) for reading in chunk.readings(name)]
