"""From telemetry chunks as they arrived to what was missed, and how old each change was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.rig.edge import MODBUS, POLLS
from benchmarks.rig.meter import Window
from benchmarks.rig.plant import VALUES, Ticks
from benchmarks.rig.sink import Arrival
from records.telemetry import decode_chunk


@dataclass(frozen=True, slots=True)
class Polls:
    """Every poll of one machine that arrived, m of them: ``edge_us`` and ``at_us`` (m,), ``ticks`` (m, VALUES),
    ``numbers`` (m,): how often the machine had been read, as it says itself (zeros where it does not)."""

    edge_us: NDArray[np.int64]
    at_us: NDArray[np.int64]
    ticks: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def within(self, window: Window) -> NDArray[np.intp]:
        """Which polls were made in this window."""
        return np.flatnonzero((self.edge_us >= window.began_us) & (self.edge_us < window.ended_us))


def polls_of(device: str, arrivals: Sequence[Arrival]) -> Polls:
    """The polls of one machine in the order in which they were made."""
    edge_us: list[int] = []
    at_us: list[int] = []
    rows: list[NDArray[np.int64]] = []
    numbers: list[int] = []
    for arrival in arrivals:
        assert arrival.envelope.body is not None
        if arrival.envelope.kind != "telemetry":
            continue
        chunk = decode_chunk(arrival.envelope.body)
        if chunk.series.device != device:
            continue
        names = [tag.name for tag in chunk.series.tags]
        flat = np.concatenate([np.asarray(values, np.int64) for values in chunk.values])
        assert chunk.tags is None, "every poll has every value"
        assert not chunk.status.any(), "all are good"
        for at, row in enumerate(flat.reshape(len(chunk.edge_us), len(names))):
            by_name = dict(zip(names, row.tolist(), strict=True))
            edge_us.append(int(chunk.edge_us[at]))
            at_us.append(arrival.at_us)
            numbers.append(by_name.get(POLLS, 0))
            rows.append(np.array([by_name[f"v{n}"] for n in range(VALUES)], np.int64))
    ticks = np.array(rows, np.int64).reshape(-1, VALUES)
    return Polls(np.array(edge_us), np.array(at_us), ticks, np.array(numbers))


@dataclass(frozen=True, slots=True)
class Findings:
    """What one window of one machine shows. Latencies in ms over every change that was seen: from the moment the
    value changed to the subscriber, and from our poll to the subscriber."""

    values: int
    polls_due: int
    polls_missed: int
    polls_lost: int
    doubled: int
    changes_unseen: int
    latency_ms: NDArray[np.float64]
    own_ms: NDArray[np.float64]


def judge(device: str, polls: Polls, ticks: Ticks, window: Window) -> Findings:
    """Count and measure.

    ``polls_missed``: grid points of the period without a poll. ``polls_lost``: polls that the machine answered and
    that never arrived (only Modbus counts them). ``changes_unseen``: a value went on by more than one between two
    polls; at one poll a period this happens without a missed poll when a poll is early or late across a change.
    """
    inside = polls.within(window)
    edge_us, numbers = polls.edge_us[inside], polls.numbers[inside]
    gaps = np.rint(np.diff(edge_us) / ticks.period_us).astype(int)
    steps = np.diff(numbers) if device == MODBUS else np.ones(0, int)
    moved = np.diff(polls.ticks[inside], axis=0)
    began = np.array([ticks.base_of(n) for n in range(VALUES)]) + polls.ticks[inside][1:] * ticks.period_us
    fresh = moved > 0
    age_us = (polls.at_us[inside][1:, None] - began)[fresh]
    return Findings(
        values=len(inside) * VALUES,
        polls_due=round(window.seconds * 1e6 / ticks.period_us),
        polls_missed=int(np.maximum(gaps - 1, 0).sum()),
        polls_lost=int(np.maximum(steps - 1, 0).sum()),
        doubled=int((np.diff(edge_us) <= 0).sum() + (steps == 0).sum()),
        changes_unseen=int(np.maximum(moved - 1, 0).sum()),
        latency_ms=age_us / 1000,
        own_ms=(polls.at_us[inside] - edge_us) / 1000,
    )
