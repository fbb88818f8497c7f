"""Telemetry at rest and as a trend: compressed and proven, read by span, no extreme hidden, no silence bridged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central import telemetry
from central.store.packed import MAGIC, pack, unpack
from central.telemetry import read_trend
from central.trend import Stretch, patience_us, trend
from central.verify import Verification, verify
from records.errors import Invalid
from records.keys import PublicKey
from records.telemetry import Series, SeriesTag
from records.wire import CENTRAL
from tests.rigs import stores
from tests.rigs.trends import BAD, UNCERTAIN, TrendAgent, polled, spoil
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

START_US = 1_795_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def proved(rig: Rig) -> Verification:
    keys = [PublicKey(CENTRAL, rig.key.public.hex())]
    return verify(stores.place(rig.folder), rig.folder / "anchors.jsonl", keys)


# -- at rest -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(0, 3))
def test_what_is_packed_is_read_back_whatever_it_begins_with(body: bytes, repeat: int) -> None:
    for each in (body, MAGIC + body, body * (repeat * 50 + 1)):
        assert unpack(pack(each)) == each


def test_every_bit_that_turns_over_in_a_packed_chunk_is_seen() -> None:
    body = TrendAgent().body(polled(START_US, 600, lambda n: n % 7))
    packed = pack(body)
    assert len(packed) < len(body) / 4
    for at in range(len(packed) * 8):
        turned = bytearray(packed)
        turned[at // 8] ^= 1 << at % 8
        assert unpack(bytes(turned)) != body


@pytest.mark.both_stores
def test_chunks_lie_compressed_and_are_proven_beside_those_stored_as_they_came(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = TrendAgent().enrol(rig.store, rig.clock.now_us())
    bodies = [agent.body(polled(START_US + n * HOUR, 600, lambda n: n % 7)) for n in range(3)]
    with monkeypatch.context() as before:
        before.setattr("central.store.envelopes.pack", bytes)  # as versions before this one did
        agent.send(rig.ingest, bodies[0])
    agent.send(rig.ingest, bodies[1], bodies[2], b"no chunk at all")
    held = stores.by_hand(rig.folder, "SELECT length(body) FROM telemetry_body ORDER BY envelope_id")
    assert held[0] == (len(bodies[0]),)
    assert max(size for (size,) in held[1:3]) < len(bodies[0]) / 4
    with rig.store.read() as connection:
        found = telemetry.read(connection, agent.name, "welder.force", START_US, START_US + 3 * HOUR, 9999)
    assert [p.value for p in found.points] == [float(n % 7) for _ in range(3) for n in range(600)]
    outcome = proved(rig)
    assert (outcome.ok, outcome.reason) == (True, None)


def test_a_changed_packed_chunk_is_found_by_verify_and_told_by_a_trend(rig: Rig) -> None:
    agent = TrendAgent().enrol(rig.store, rig.clock.now_us())
    agent.send(rig.ingest, *(agent.body(polled(START_US + n * 60 * SECOND, 60, float)) for n in range(3)))
    packed = pack(agent.body(polled(START_US, 60, lambda n: -1.0)))
    spoil(partial(stores.by_hand, rig.folder), 2, packed[:-1] + bytes([packed[-1] ^ 1]))
    with rig.store.read() as connection:
        found = read_trend(connection, agent.name, "welder.force", START_US, START_US + HOUR, 60, START_US + HOUR)
        listed = telemetry.read(connection, agent.name, "welder.force", START_US, START_US + HOUR, 999)
    damaged = telemetry.Unreadable(1, START_US + 60 * SECOND, START_US + 60 * SECOND)
    assert (found.unreadable, found.trend.readings) == (damaged, 120)
    assert (listed.unreadable, len(listed.points), listed.next_us) == (damaged, 120, None)
    outcome = proved(rig)
    assert not outcome.ok
    assert outcome.first_bad is not None
    assert (outcome.first_bad.stream, outcome.first_bad.seq) == ("telemetry", 2)


# -- as a trend ----------------------------------------------------------------------------------------------


def of(times_s: list[float], values: list[float], statuses: list[int] | None = None) -> Stretch:
    times = np.array([START_US + round(t * SECOND) for t in times_s], np.int64)
    status = np.array(statuses or [0] * len(values), np.uint32)
    return Stretch(times, np.zeros_like(times), status, np.array(values, np.float64), 2_750_000)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 99_999), st.floats(-1e9, 1e9), st.sampled_from([0, UNCERTAIN, BAD]))),
    st.lists(st.integers(0, 20)),
    st.integers(1, 50),
)
def test_no_extreme_is_hidden_and_every_reading_counted(
    rows: list[tuple[int, float, int]], again: list[int], buckets: int
) -> None:
    def chunk(rows: list[tuple[int, float, int]]) -> Stretch:
        return Stretch(
            np.array([at for at, _, _ in rows], np.int64),
            np.zeros(len(rows), np.int64),
            np.array([status for _, _, status in rows], np.uint32),
            np.array([value for _, value, _ in rows], np.float64),
            None,
        )

    twice = [rows[n] for n in again if n < len(rows)]
    made = trend([chunk(rows), chunk(twice)], 0, 100_000, buckets, 100_000)
    assert len(made.low) <= buckets
    assert made.readings == len(rows)
    in_order = sorted(rows, key=lambda row: row[0])
    for n in range(len(made.low)):
        inside = [row[1:] for row in in_order if n * made.width_us <= row[0] < (n + 1) * made.width_us]
        numbers = [value for value, status in inside if status != BAD]
        if numbers:
            told = made.low[n], made.high[n], made.first[n], made.last[n]
            assert told == (min(numbers), max(numbers), numbers[0], numbers[-1])
        else:
            assert np.isnan([made.low[n], made.high[n], made.first[n], made.last[n]]).all()
        counts = made.good[n], made.uncertain[n], made.bad[n]
        assert counts == tuple(sum(s == wanted for _, s in inside) for wanted in (0, UNCERTAIN, BAD))


def test_a_chunk_that_is_there_twice_counts_once_and_what_is_no_number_is_bad() -> None:
    once = of([0, 1, 2, 3], [1.0, float("nan"), float("inf"), 2.0])
    made = trend([once, once], START_US, START_US + 4 * SECOND, 1, START_US + 4 * SECOND)
    assert (made.good[0], made.bad[0], made.low[0], made.high[0]) == (2, 2, 1.0, 2.0)


def test_silence_is_told_where_it_is_also_at_both_ends_but_not_in_the_future() -> None:
    made = trend(
        [of([10, 11, 12, 30, 31], [1.0] * 5)], START_US, START_US + 60 * SECOND, 6, START_US + 41 * SECOND
    )
    assert (made.silent_us // SECOND).tolist() == [10, 8, 10, 9, 1, 0]
    nothing = trend([], START_US, START_US + 60 * SECOND, 2, START_US + 45 * SECOND)
    assert (nothing.silent_us // SECOND).tolist() == [30, 15]


def test_what_an_agent_thinned_out_is_no_silence_and_gives_way_to_what_was_read() -> None:
    times = np.array([0, 20, 40, 70], np.int64) * SECOND
    none, good, values = np.zeros(4, np.int64), np.zeros(4, np.uint32), np.array([1.0, 9.0, 3.0, 4.0])
    thin = Stretch(times, none, good, values, 2_750_000, np.array([0, 19, 19, 0]))
    made = trend([thin], 0, 71 * SECOND, 71, 71 * SECOND)
    assert np.flatnonzero(made.silent_us).tolist() == list(range(40, 70)), "a hole that was there before"
    whole = Stretch(times[:1], none[:1], good[:1], values[:1], 2_750_000)
    made = trend([thin, whole], 0, 71 * SECOND, 71, 71 * SECOND)
    assert made.readings == 4
    assert np.flatnonzero(made.silent_us).tolist() == list(range(40, 70))
    apart = [
        Stretch(times[at], none[at], good[at], values[at], 2_750_000, np.array(left))
        for at, left in ((slice(0, 2), [0, 19]), (slice(2, 4), [19, 0]))
    ]
    made = trend(apart, 0, 71 * SECOND, 71, 71 * SECOND)
    assert np.flatnonzero(made.silent_us).tolist() == list(range(40, 70)), "two pieces of what was left"


def test_how_long_a_tag_may_say_nothing() -> None:
    def told(interval_s: float | None, **settings: float | bool) -> int | None:
        series = Series("a", "s", "l", "d", interval_s, "test", "sha256:0", ())
        return patience_us(series, SeriesTag("t", **settings))  # type: ignore[arg-type]

    assert told(1.0) == 2_750_000
    assert told(None) is None  # subscribed: told when it changes
    assert told(1.0, on_change=True) is None
    assert told(1.0, deadband=0.5, heartbeat_s=60.0) == 150_250_000
    assert told(1.0, average_s=10.0) == 25_250_000


def test_a_trend_opens_only_chunks_that_overlap_and_says_where_it_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = TrendAgent().enrol(rig.store, rig.clock.now_us())
    agent.send(rig.ingest, *(agent.body(polled(START_US + n * 60 * SECOND, 60, float)) for n in range(60)))
    span = START_US + 600 * SECOND, START_US + 900 * SECOND
    with rig.store.read() as connection:

        def asked(tag: str, from_us: int = span[0], to_us: int = span[1]) -> telemetry.TagTrend:
            return read_trend(connection, agent.name, tag, from_us, to_us, 100, START_US + HOUR)

        found = asked("welder.force")
        assert (found.chunks, found.trend.readings, found.next_us, found.units) == (5, 300, None, ("N",))
        assert not found.trend.silent_us.any()
        assert asked("welder.none").tag is None
        with pytest.raises(Invalid, match=r"welder\.word are no numbers"):
            asked("welder.word")
        monkeypatch.setattr(telemetry, "MOST_TREND_CHUNKS", 3)
        part = asked("welder.force")
        assert (part.next_us, part.trend.readings) == (START_US + 780 * SECOND, 180)
        assert part.next_us is not None
        rest = asked("welder.force", part.next_us)
        assert (rest.next_us, rest.trend.readings) == (None, 120)


def test_readings_of_one_moment_are_all_told_in_their_order(rig: Rig) -> None:
    """An OPC UA server tells at once what it had queued: one answer, many readings."""
    agent = TrendAgent(interval_s=None).enrol(rig.store, rig.clock.now_us())
    first = [(START_US, value, 0) for value in (1.0, 9.0, 1.0, -3.0)]
    later = [(START_US + SECOND, value, 0) for value in (2.0, 2.0, 5.0)]
    agent.send(rig.ingest, agent.body(first), agent.body(later), agent.body(first))
    with rig.store.read() as connection:
        found = read_trend(connection, agent.name, "welder.force", START_US, START_US + HOUR, 1, START_US + HOUR)
        shown = found.trend
        assert (shown.readings, shown.low[0], shown.high[0], shown.first[0], shown.last[0]) == (7, -3, 9, 1, 5)
        for limit, pages in ((1000, [7]), (5, [4, 3]), (3, [4, 3]), (1, [4, 3])):
            told: list[list[object]] = []
            at_us: int | None = START_US
            while at_us is not None:
                page = telemetry.read(connection, agent.name, "welder.force", at_us, START_US + HOUR, limit)
                told.append([point.value for point in page.points])
                at_us = page.next_us
            assert [value for values in told for value in values] == [value for _, value, _ in first + later]
            assert [len(values) for values in told] == pages


def test_devices_tell_the_tags_of_their_newest_chunks(rig: Rig) -> None:
    agents = [TrendAgent(name).enrol(rig.store, rig.clock.now_us()) for name in ("trend-2", "trend-1")]
    for agent in agents:
        agent.send(
            rig.ingest, agent.body(polled(START_US, 3, float)), agent.body(polled(START_US + HOUR, 3, float))
        )
    with rig.store.read() as connection:
        found = telemetry.devices(connection)
        assert telemetry.agents(connection) == {"trend-1", "trend-2"}
    assert [(d.agent, d.device, d.last_us) for d in found] == [
        ("trend-1", "welder", START_US + HOUR), ("trend-2", "welder", START_US + HOUR)
    ]  # fmt: skip
    assert [(tag.name, tag.unit, data_type) for tag, data_type in found[0].tags] == [
        ("force", "N", "float64"), ("word", None, "string")
    ]  # fmt: skip
