"""Whatever is thinned away: every extreme, every change of quality, every hole and every count is still there."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.outbox.extremes import extremes, merged, pieces
from records.telemetry import DTYPES, Chunk, Column, Series, SeriesTag
from tests.rigs.examples import FULL

BAD, UNCERTAIN = 0x80010000, 0x40000000
START_US = 1_795_000_000_000_000
BUCKET_US = 60_000_000
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.integers(0, 1),
    "int16": st.integers(-5, 5),
    "uint64": st.integers(2**64 - 4, 2**64 - 1),
    "float64": st.floats(),
    "string": st.sampled_from(["a", "b", ""]),
    "": st.sampled_from([1, True, 1.0, [1], [True], None]),
}
STEPS_US = st.sampled_from([100_000, 1_000_000, 3_000_000, 40_000_000, 200_000_000, -5_000_000])


def column(kind: str, values: list[Any]) -> Any:
    return np.array(values, DTYPES[kind]) if kind in DTYPES else values


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    """Some chunks of one series, one after the other, of grids and of rows that say which tags they have."""
    types = draw(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(1, 2), min_size=1, max_size=3))
    columns = tuple(Column(kind, tuple(SeriesTag(f"{kind}{n}") for n in range(k))) for kind, k in types.items())
    interval_s = draw(st.sampled_from([1.0, None]))
    series = Series("press-1", "suzhou", "valve-1", "plc", interval_s, "test", "sha256:00", columns)
    width, now_us, made = len(series.tags), START_US, []
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(STEPS_US, min_size=1, max_size=12))
        times = now_us + np.cumsum(steps)
        now_us = int(times[-1])
        grid = draw(st.booleans())
        counts = (
            [width] * len(steps)
            if grid
            else draw(st.lists(st.integers(1, width), min_size=len(steps), max_size=len(steps)))
        )
        tags = [n for count in counts for n in sorted(draw(st.permutations(range(width)))[:count])]
        status = draw(
            st.lists(st.sampled_from([0, 0, 0, 0, UNCERTAIN, BAD]), min_size=len(tags), max_size=len(tags))
        )
        values, first = [], 0
        for kind, k in types.items():
            held = sum(first <= tag < first + k for tag in tags)
            values.append(column(kind, draw(st.lists(VALUES[kind], min_size=held, max_size=held))))
            first += k
        made.append(
            Chunk(
                series,
                times,
                None if grid else np.array(counts, np.int64),
                None if grid else np.array(tags, np.int64),
                np.arange(len(tags), dtype=np.int64) + now_us,
                np.array(status, np.uint32),
                tuple(values),
            )
        )
    return made


def told(chunk: Chunk, tag: str) -> list[tuple[Any, ...]]:
    return [(us, source, status, repr(value)) for us, source, status, value in chunk.readings(tag)]


def good_numbers(chunk: Chunk, tag: str) -> dict[int, list[Any]]:
    """Of each bucket."""
    found = defaultdict(list)
    for us, _, _, value in chunk.readings(tag):
        if isinstance(value, int | float) and value == value:
            found[us // BUCKET_US].append(value)
    return found


def kept_of(whole: list[Chunk], way: str) -> Chunk:
    if way == "at once":
        return extremes(merged(whole), BUCKET_US)
    kept = extremes(whole[0], BUCKET_US)
    for more in whole[1:]:
        kept = extremes(merged([kept, more]), BUCKET_US)
    return kept


@settings(max_examples=FULL)
@given(chunks(), st.sampled_from(["at once", "one by one"]))
def test_no_extreme_no_quality_no_hole_and_no_count_is_lost(parts: list[Chunk], way: str) -> None:
    whole, kept = merged(parts), kept_of(parts, way)
    for tag in whole.series.tags:
        was, now = told(whole, tag.name), told(kept, tag.name)
        places = iter(was)
        assert all(reading in places for reading in now), "nothing is made up, and all in its order"
        if not was:
            continue
        _counts(kept, tag.name, was, now)
        _status_goes_on(was, now)
        if tag.name[:-1] in DTYPES:
            before, after = good_numbers(whole, tag.name), good_numbers(kept, tag.name)
            assert {at: (min(v), max(v)) for at, v in before.items()} == {
                at: (min(v), max(v)) for at, v in after.items()
            }
        else:
            assert _changes(was) == _changes(now)
        for one, other in pairwise(was):
            if whole.series.interval_s is not None and not -1 < other[0] - one[0] <= 3_000_000:
                at = now.index(other)
                assert now[at - 1] == one, "both sides of a hole, and nothing was left out in it"
                assert (kept.skipped(tag.name) or [])[at] == 0


def _counts(kept: Chunk, tag: str, was: list[Any], now: list[Any]) -> None:
    left = kept.skipped(tag)
    assert left is not None
    assert len(now) + sum(left) == len(was)
    at = -1
    for reading, gone in zip(now, left, strict=True):
        at += gone + 1
        assert was[at] == reading, "so many were left out before it, and no other"
    for _, bucket in groupby(was, key=lambda reading: reading[0] // BUCKET_US):
        readings = list(bucket)
        assert readings[0] in now
        assert readings[-1] in now


def _status_goes_on(was: list[Any], now: list[Any]) -> None:
    """The status at each moment is that of what was kept last."""
    kept = iter(now)
    following: Any = next(kept)
    status = None
    for reading in was:
        if reading == following:
            status, following = reading[2], next(kept, None)
        assert reading[2] == status


def _changes(readings: list[Any]) -> list[str]:
    return [one[3] for n, one in enumerate(readings) if n == 0 or one[3] != readings[n - 1][3]]


@settings(max_examples=FULL)
@given(chunks(), st.integers(30, 400))
def test_pieces_are_the_same_readings(parts: list[Chunk], size: int) -> None:
    whole = extremes(merged(parts), BUCKET_US)
    cut = list(pieces(whole, size))
    for tag in whole.series.tags:
        assert [r for piece in cut for r in told(piece, tag.name)] == told(whole, tag.name)
        assert [n for piece in cut for n in piece.skipped(tag.name) or []] == whole.skipped(tag.name)


def test_a_long_track_keeps_a_few_readings_of_each_bucket() -> None:
    series = Series("a", "s", "l", "plc", 0.1, "test", "sha256:00", (Column("float64", (SeriesTag("t"),)),))
    count = 36_000
    values = np.sin(np.arange(count) / 7.0)
    values[17_345] = 99.0
    times = START_US + np.arange(count) * 100_000
    whole = Chunk(series, times, None, None, times, np.zeros(count, np.uint32), (values,))
    kept = extremes(whole, BUCKET_US)
    assert len(kept.status) <= 4 * 61
    assert (START_US + 1_734_500_000, START_US + 1_734_500_000, 0, 99.0) in kept.readings("t")
