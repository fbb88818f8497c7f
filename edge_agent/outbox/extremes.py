"""What of telemetry a chart cannot do without: chunks of one series as one chunk that keeps their extremes.

Pure, and made to be repeated: what was thinned may be merged with what came later and thinned again, and keeps
what it would keep had it all come at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from records.clock import MICROSECONDS
from records.telemetry import BAD, Chunk

HOLE = 3.0
"""Nothing for longer than so many poll intervals is a hole; it stays visible."""
ENTRY_BYTES = 16
"""What a reading takes beside its value: whose it is, its times or status, and how many were left out."""

Values = NDArray[Any] | list[JsonValue]
Mask = NDArray[np.bool_]


def merged(chunks: Sequence[Chunk]) -> Chunk:
    """Chunks of one series as one, in the order given."""
    if len(chunks) == 1:
        return chunks[0]
    width = chunks[0].series.width
    counts = [c.counts if c.counts is not None else np.full(len(c.edge_us), width, np.int64) for c in chunks]
    return replace(
        chunks[0],
        edge_us=np.concatenate([c.edge_us for c in chunks]),
        counts=np.concatenate(counts),
        tags=np.concatenate([c.numbers for c in chunks]),
        source_us=np.concatenate([c.source_us for c in chunks]),
        status=np.concatenate([c.status for c in chunks]),
        values=tuple(_joined(columns) for columns in zip(*(c.values for c in chunks), strict=True)),
        left_out=np.concatenate([_left_out(c) for c in chunks]),
    )


def _joined(columns: Sequence[Values]) -> Values:
    arrays = [values for values in columns if isinstance(values, np.ndarray)]
    if len(arrays) == len(columns):
        return np.concatenate(arrays)
    return [value for values in columns for value in values]


def _left_out(chunk: Chunk) -> NDArray[np.int64]:
    return np.zeros(len(chunk.status), np.int64) if chunk.left_out is None else chunk.left_out


def extremes(chunk: Chunk, bucket_us: int) -> Chunk:
    """What of a chunk is kept; see ``records.telemetry.Thinned``. ``left_out`` tells what is not."""
    hole_us = None if chunk.series.interval_s is None else HOLE * chunk.series.interval_s * MICROSECONDS
    before = _left_out(chunk)
    kept, left_out = np.zeros(len(before), np.bool_), np.zeros(len(before), np.int64)
    columns: list[Values] = []
    for at, values in _of_column(chunk):
        order = np.argsort(chunk.numbers[at], kind="stable")  # tag by tag, each as it came
        entries = at[order]
        track = _Track(
            chunk.numbers[entries], chunk.times_us[entries], chunk.status[entries], before[entries], bucket_us
        )
        keep = track.keeps(hole_us) | track.values(_ordered(values, order))
        kept[entries], left_out[entries] = keep, track.left_out(keep)
        columns.append(_taken(values, kept[at]))
    return _of(chunk, kept, left_out, columns)


def _of_column(chunk: Chunk) -> Iterator[tuple[NDArray[np.intp], Values]]:
    """Entries and values of each column."""
    first = 0
    for column, values in zip(chunk.series.columns, chunk.values, strict=True):
        last = first + len(column.tags)
        yield np.flatnonzero((chunk.numbers >= first) & (chunk.numbers < last)), values
        first = last


def _of(chunk: Chunk, kept: Mask, left_out: NDArray[np.int64], columns: Sequence[Values]) -> Chunk:
    """The rows of which anything is kept."""
    each = chunk.counts if chunk.counts is not None else chunk.series.width
    rows = np.repeat(np.arange(len(chunk.edge_us)), each)[kept]
    counts = np.bincount(rows, minlength=len(chunk.edge_us))
    return Chunk(
        chunk.series,
        chunk.edge_us[counts > 0],
        counts[counts > 0].astype(np.int64),
        chunk.numbers[kept],
        chunk.source_us[kept],
        chunk.status[kept],
        tuple(columns),
        left_out=left_out[kept],
    )


def _ordered(values: Values, order: NDArray[np.intp]) -> Values:
    return values[order] if isinstance(values, np.ndarray) else [values[at] for at in order.tolist()]


def _taken(values: Values, kept: Mask) -> Values:
    if isinstance(values, np.ndarray):
        return values[kept]
    return [value for value, keep in zip(values, kept.tolist(), strict=True) if keep]


class _Track:
    """Readings of the tags of one column, tag by tag, each in the order in which they came."""

    def __init__(
        self,
        tags: NDArray[np.int64],
        times_us: NDArray[np.int64],
        status: NDArray[np.uint32],
        before: NDArray[np.int64],
        bucket_us: int,
    ) -> None:
        self._times_us, self._status, self._before = times_us, status, before
        self._same = tags[1:] == tags[:-1]
        bucket = times_us // bucket_us
        self._starts = np.ones(len(tags), np.bool_)
        self._starts[1:] = ~(self._same & (bucket[1:] == bucket[:-1]))

    def keeps(self, hole_us: float | None) -> Mask:
        """The first and the last of each tag's buckets, and both sides of what changed between two readings."""
        kept = self._starts.copy()
        kept[:-1] |= self._starts[1:]
        kept[-1:] = True
        step_us = np.diff(self._times_us)
        torn = (self._status[1:] != self._status[:-1]) | (step_us < 0)
        if hole_us is not None:
            torn |= (step_us > hole_us) & (self._before[1:] == 0)
        torn &= self._same
        kept[1:] |= torn
        kept[:-1] |= torn
        return kept

    def values(self, values: Values) -> Mask:
        """The lowest and the highest good value of each bucket; of values without an order, each change."""
        kept = np.zeros(len(self._status), np.bool_)
        if not isinstance(values, np.ndarray):
            told = [repr(value) for value in values]  # 1 and true are two values
            changed = [one != other for one, other in zip(told[1:], told[:-1], strict=True)]
            kept[1:] = np.array(changed, np.bool_)
            return kept
        good = self._status < BAD
        if values.dtype.kind == "f":
            good &= ~np.isnan(values)
        order = np.lexsort((values, ~good, np.cumsum(self._starts)))
        begins = np.flatnonzero(self._starts)
        count = np.add.reduceat(good.astype(np.int64), begins) if len(begins) else begins
        begins, count = begins[count > 0], count[count > 0]
        kept[order[begins]] = True
        kept[order[begins + count - 1]] = True
        return kept

    def left_out(self, kept: Mask) -> NDArray[np.int64]:
        """For each that is kept, how many of its tag were left out since the one before; 0 for all others."""
        through = np.cumsum(self._before + 1)
        at = np.flatnonzero(kept)
        found = np.zeros(len(kept), np.int64)
        found[at] = np.diff(through[at], prepend=0) - 1
        return found


def pieces(chunk: Chunk, most_bytes: int) -> Iterator[Chunk]:
    """The same readings as chunks of about so many bytes, cut between rows. They say which tags each row has."""
    counts = chunk.counts if chunk.counts is not None else np.zeros(0, np.int64)
    ends = np.cumsum(counts)  # in entries
    bytes_ = np.cumsum(_entry_bytes(chunk))
    piece = bytes_[ends - 1] // most_bytes
    cuts = np.flatnonzero(np.diff(piece)) + 1  # in rows
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(counts)], strict=True):
        begin, end = int(ends[first - 1]) if first else 0, int(ends[last - 1])
        inside = np.zeros(len(chunk.status), np.bool_)
        inside[begin:end] = True
        yield replace(
            chunk,
            edge_us=chunk.edge_us[first:last],
            counts=counts[first:last],
            tags=chunk.numbers[begin:end],
            source_us=chunk.source_us[begin:end],
            status=chunk.status[begin:end],
            values=tuple(_taken(values, inside[at]) for at, values in _of_column(chunk)),
            left_out=None if chunk.left_out is None else chunk.left_out[begin:end],
        )


def _entry_bytes(chunk: Chunk) -> NDArray[np.int64]:
    """About what each reading takes in a body."""
    found = np.full(len(chunk.status), ENTRY_BYTES, np.int64)
    for at, values in _of_column(chunk):
        if isinstance(values, np.ndarray):
            found[at] += values.itemsize
        else:
            found[at] += np.array([len(repr(value)) for value in values], np.int64)
    return found
