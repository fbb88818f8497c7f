"""A tag's readings over a span in as many buckets as a chart has room for: pure functions over columns.

Promise: no extreme is hidden. Each bucket has the lowest and the highest of its readings, however many they are;
what was bad, uncertain or not there at all is told beside them and is never a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from records.clock import MICROSECONDS
from records.telemetry import BAD, UNCERTAIN, Series, SeriesTag

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

MISSED = 2.5
"""So many intervals without a reading are a silence: one late poll is none."""
SLACK_US = 250_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """n readings of a tag from one chunk: our own times, source times, statuses, numbers (NaN: no number).

    ``patience_us``: how long the tag may say nothing before that is a silence; None: as long as nothing changes.
    ``left_out``: of a thinned chunk, how many readings there were before each; what was left out is no silence.
    """

    edge_us: Ints
    source_us: Ints
    status: NDArray[np.uint32]
    numbers: Floats
    patience_us: int | None
    left_out: Ints | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """n buckets, each ``width_us`` wide, the first from ``from_us`` on.

    ``low``, ``high``, ``first``, ``last``: (n,), of the readings that are not bad; NaN where there are none.
    ``good``, ``uncertain``, ``bad``: (n,), how many readings. ``silent_us``: (n,), how much of it is silence.
    """

    from_us: int
    width_us: int
    low: Floats
    high: Floats
    first: Floats
    last: Floats
    good: Ints
    uncertain: Ints
    bad: Ints
    silent_us: Ints

    @property
    def readings(self) -> int:
        return int((self.good + self.uncertain + self.bad).sum())


def patience_us(series: Series, tag: SeriesTag) -> int | None:
    """How long after a reading the next is due; None: when the value changes, so never."""
    if tag.on_change or tag.deadband is not None:
        due_s = tag.heartbeat_s
    elif tag.average_s is not None:
        due_s = max(tag.average_s, series.interval_s or 0.0)
    else:
        due_s = series.interval_s
    return None if due_s is None else round(due_s * MISSED * MICROSECONDS) + SLACK_US


def trend(stretches: Sequence[Stretch], from_us: int, to_us: int, buckets: int, now_us: int) -> Trend:
    """Buckets over ``from_us`` to before ``to_us``; silence is told to before ``now_us`` only.

    A reading that two chunks hold, as after a disk was rolled back, counts once.
    """
    width_us = max(1, -(-(to_us - from_us) // max(1, buckets)))
    count = -(-(to_us - from_us) // width_us)
    times, status, numbers, patience_us, thinned = _joined(stretches, from_us, to_us)
    where = (times - from_us) // width_us
    bad = (status >= BAD) | ~np.isfinite(numbers)
    uncertain = ~bad & (status >= UNCERTAIN)
    low, high, first, last = (np.full(count, np.nan) for _ in range(4))
    kept = np.flatnonzero(~bad)
    if kept.size:
        own, values = where[kept], numbers[kept]
        begins = np.concatenate(([0], np.flatnonzero(own[1:] != own[:-1]) + 1))
        at = own[begins]
        low[at], high[at] = np.minimum.reduceat(values, begins), np.maximum.reduceat(values, begins)
        first[at], last[at] = values[begins], values[np.concatenate((begins[1:], [own.size])) - 1]
    good, unsure, none = (
        np.bincount(where[chosen], minlength=count) for chosen in (~bad & ~uncertain, uncertain, bad)
    )
    edges = np.minimum(from_us + np.arange(count + 1, dtype=np.int64) * width_us, to_us)
    silent_us = _silent(times, patience_us, thinned, edges, min(to_us, now_us))
    return Trend(from_us, width_us, low, high, first, last, good, unsure, none, silent_us)


def _joined(
    stretches: Sequence[Stretch], from_us: int, to_us: int
) -> tuple[Ints, NDArray[np.uint32], Floats, Floats, Mask]:
    """All readings of the span by time, those of one moment as they came, each once: times, statuses, numbers, how
    long the next may take to come (infinite where it is never due), and whether some before it were left out.
    """
    if not stretches:
        none = np.zeros(0)
        return np.zeros(0, np.int64), np.zeros(0, np.uint32), none, none, np.zeros(0, np.bool_)
    # as it was read, where possible
    stretches = sorted(stretches, key=lambda stretch: stretch.left_out is not None)
    lengths = [len(s.edge_us) for s in stretches]
    times = np.concatenate([s.edge_us for s in stretches])
    source = np.concatenate([s.source_us for s in stretches])
    status = np.concatenate([s.status for s in stretches])
    numbers = np.concatenate([s.numbers for s in stretches])
    thinned = np.concatenate([_thinned(s) for s in stretches])
    patience = np.repeat([np.inf if s.patience_us is None else float(s.patience_us) for s in stretches], lengths)
    chunk = np.repeat(np.arange(len(stretches)), lengths)
    order = np.argsort(times, kind="stable")
    order = order[(times[order] >= from_us) & (times[order] < to_us)]
    order = order[~_again(times[order], source[order], status[order], numbers[order].view(np.int64), chunk[order])]
    return times[order], status[order], numbers[order], patience[order], thinned[order]


def _thinned(stretch: Stretch) -> Mask:
    """Of each reading: whether there were more between it and the one before, which the agent left out."""
    left_out = stretch.left_out
    return np.zeros(len(stretch.edge_us), np.bool_) if left_out is None else left_out > 0


def _again(times: Ints, source: Ints, status: NDArray[np.uint32], bits: Ints, chunk: Ints) -> Mask:
    """Of readings by time: which an earlier chunk holds, too."""
    again = np.zeros(len(times), np.bool_)
    same = times[1:] == times[:-1]
    at = np.flatnonzero(np.concatenate((same, [False])) | np.concatenate(([False], same)))
    at = at[np.lexsort((chunk[at], bits[at], status[at], source[at], times[at]))]
    if at.size:
        alike = np.ones(at.size - 1, np.bool_)
        for column in (times, source, status, bits):
            alike &= column[at[1:]] == column[at[:-1]]
        begins = np.concatenate(([0], np.flatnonzero(~alike) + 1))
        first = np.repeat(chunk[at[begins]], np.diff(np.concatenate((begins, [at.size]))))
        again[at] = chunk[at] != first
    return again


def _silent(times: Ints, patience_us: Floats, thinned: Mask, edges: Ints, end_us: int) -> Ints:
    """How much of each bucket lies in a silence: after a reading whose next came too late, or never; where some
    between them were left out there is none.
    """
    total = np.zeros(len(edges) - 1, np.int64)
    if end_us <= edges[0]:
        return total
    if not times.size:
        begins, ends = edges[:1], np.array([end_us])
    else:
        marks = np.concatenate((edges[:1], times, [end_us]))
        waits = np.concatenate((patience_us[:1], patience_us))
        late = np.flatnonzero((np.diff(marks) > waits) & ~np.append(thinned, False))
        begins, ends = marks[late], marks[late + 1]
    if not begins.size:
        return total
    turns = np.stack((begins, ends), axis=1).ravel()
    gone = np.repeat(np.concatenate(([0], np.cumsum(ends - begins))), 2)[1:-1]
    through: Ints = np.rint(np.interp(edges, turns, gone)).astype(np.int64)
    return through[1:] - through[:-1]
