"""Telemetry of one device as an agent sends it, handed to an ingest: chunks of a numeric tag and of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from central.ingest import Ingest
from central.store import agents
from central.store.engine import Store
from records import chain
from records.keys import SigningKey
from records.telemetry import KIND, Column, Series, SeriesTag, encode_chunk, encode_series
from records.wire import Envelope, encode_frame, seal, up_topic

Reading = tuple[int, float, int]
"""(microseconds, value, status as in OPC UA)."""
BAD, UNCERTAIN = 0x808C0000, 0x408F0000


@dataclass
class TrendAgent:
    """An agent that sends nothing but telemetry of one ``device``: ``force`` in newtons, and ``word``."""

    name: str = "trend-1"
    key: SigningKey = field(default_factory=SigningKey.generate)
    interval_s: float | None = 1.0
    device: str = "welder"
    force: SeriesTag = field(default_factory=lambda: SeriesTag("force", "N"))
    envelopes: list[Envelope] = field(default_factory=list)

    def enrol(self, store: Store, now_us: int) -> TrendAgent:
        store.write(lambda c: agents.enrol(c, self.name, "p0", self.key.public.hex(), now_us))
        return self

    def body(self, readings: Sequence[Reading]) -> bytes:
        columns = (Column("float64", (self.force,)), Column("string", (SeriesTag("word"),)))
        series = Series(self.name, "suzhou", "valve-1", self.device, self.interval_s, "test", "sha256:0", columns)
        status = np.zeros(2 * len(readings), np.uint32)
        status[::2] = [status for _, _, status in readings]
        return encode_chunk(
            encode_series(series),
            np.array([at for at, _, _ in readings], np.int64),
            np.zeros(2 * len(readings), np.int64),
            status,
            [np.array([value for _, value, _ in readings], np.float64), [f"w{n}" for n in range(len(readings))]],
        )

    def send(self, ingest: Ingest, *bodies: bytes) -> None:
        """One frame with these chunks."""
        start = chain.first_hash(self.name, "e1", "telemetry")
        link = previous = self.envelopes[-1].hash if self.envelopes else start
        rows = []
        for body in bodies:
            rows.append(seal(self.name, "e1", "telemetry", len(self.envelopes) + 1, 1, KIND, body, link))
            self.envelopes.append(rows[-1])
            link = rows[-1].hash
        frame = encode_frame(rows, previous, self.key)
        assert ingest.take(up_topic("p0", self.name, "telemetry"), frame).result == "committed"


def polled(
    begin_us: int, count: int, value: Callable[[int], float], *, every_us: int = 1_000_000, status: int = 0
) -> list[Reading]:
    """So many readings on a grid; ``value`` of the number of each."""
    return [(begin_us + n * every_us, value(n), status) for n in range(count)]


def spoil(by_hand: Callable[[str], list[Any]], seq: int, body: bytes) -> None:
    """Put these bytes in the place of a chunk, as somebody with all rights can. ``by_hand``: does a statement."""
    name = "guard_telemetry_body_update"
    ((guard,),) = by_hand(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")
    by_hand(f"DROP TRIGGER {name}")
    chunk = f"(SELECT id FROM envelope WHERE stream = 'telemetry' AND seq = {seq})"
    by_hand(f"UPDATE telemetry_body SET body = X'{body.hex()}' WHERE envelope_id = {chunk}")
    by_hand(guard)
