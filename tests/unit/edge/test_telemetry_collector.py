"""From blocks to committed chunks: nothing missing, nothing twice, thinned only where a tag says so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.base import BlockBuilder, Group
from drivers.status import BAD_NO_DATA, BAD_STALE, BAD_TYPE_MISMATCH
from edge_agent import telemetry
from edge_agent.counters import Counters
from edge_agent.feed import Feed
from edge_agent.lanes import typed
from edge_agent.outbox import GivenUp, Outbox, verify
from edge_agent.telemetry import Context, Telemetry
from records import durable
from records.clock import SystemClock
from records.errors import Refused
from records.model import EpochOpened, decode
from records.telemetry import KIND, Chunk, decode_chunk
from tests.rigs.fake_device import FakeDevice, opcua
from tests.rigs.outboxes import AGENT, header, held, mark

CLOCK = SystemClock()
CONTEXT = Context(AGENT, "suzhou", "valve-1", "lotkeeper-edge/test", "sha256:00")
Scene = Callable[[Telemetry], Any]


@contextmanager
def buffer(folder: Path, **more: Any) -> Iterator[Outbox]:
    outbox = Outbox(folder, AGENT, CLOCK, context=lambda: header(CLOCK), stream="telemetry", **more)
    try:
        yield outbox
    finally:
        outbox.close()


def collect(
    outbox: Outbox, scene: Scene, *, live: bool = False, interval_s: float = 60.0
) -> tuple[Counters, list[Any]]:
    """Run a scene in a loop; what was counted and told."""
    counters, told = Counters(), list[Any]()

    async def all_of_it() -> None:
        made = Telemetry(
            outbox,
            CLOCK,
            counters,
            lambda: CONTEXT,
            lambda code, params: told.append((code, params)),
            live=lambda: live,
            interval_s=interval_s,
        )
        async with asyncio.timeout(20):
            outcome = scene(made)
            if outcome is not None:
                await outcome
            await made.close()

    asyncio.run(all_of_it())
    return counters, told


def chunks(outbox: Outbox) -> list[Chunk]:
    return [decode_chunk(row.body) for row in held(outbox) if row.kind == KIND and row.body is not None]


def told_of(outbox: Outbox, tag: str) -> list[tuple[int, Any]]:
    """Status and value of every reading of a tag, in order."""
    return [(status, value) for chunk in chunks(outbox) for _, _, status, value in chunk.readings(tag)]


def test_polls_of_mixed_types_become_one_chunk_with_a_column_for_each_type(tmp_path: Path) -> None:
    tags = [
        {"name": "a", "unit": "mm"},
        {"name": "on", "data_type": "bool"},
        {"name": "text", "data_type": "string"},
        {"name": "b"},
        {"name": "kept", "role": "record"},
    ]
    device = FakeDevice("plc", opcua(tags, poll_interval="250ms"), CLOCK)
    device.source_off_us = -7

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        assert feed.tags == ("a", "on", "text", "b"), "what a run keeps is in its record"
        for n in range(3):
            device.values = {"a": n + 0.5, "on": n == 1, "text": f"C-{n}", "b": -float(n)}
            device.status = {"text": BAD_NO_DATA} if n == 2 else {}
            feed.take(device.block(feed.tags))

    with buffer(tmp_path) as outbox:
        counters, _ = collect(outbox, scene)
        (chunk,) = chunks(outbox)
        assert [(c.type, [t.name for t in c.tags]) for c in chunk.series.columns] == [
            ("float64", ["a", "b"]),
            ("bool", ["on"]),
            ("string", ["text"]),
        ]
        assert (chunk.series.device, chunk.series.interval_s, chunk.series.configuration) == (
            "plc",
            0.25,
            "sha256:00",
        )
        assert chunk.series.columns[0].tags[0].unit == "mm"
        assert told_of(outbox, "a") == [(0, 0.5), (0, 1.5), (0, 2.5)]
        assert told_of(outbox, "b") == [(0, 0.0), (0, -1.0), (0, -2.0)]
        assert told_of(outbox, "on") == [(0, False), (0, True), (0, False)]
        assert told_of(outbox, "text") == [(0, "C-0"), (0, "C-1"), (BAD_NO_DATA, None)]
        assert (chunk.source_us == chunk.times_us - 7).all()
        opened = held(outbox)[0]
        assert isinstance(decode(opened.kind, opened.body or b"").data, EpochOpened)
    counts = counters.snapshot()
    assert (counts.telemetry_values, counts.telemetry_committed, counts.telemetry_lost) == (12, 12, 0)
    assert counts.chunks_committed == 1
    assert verify(tmp_path / "telemetry.db").ok


def test_what_a_tag_says_thins_its_telemetry_and_nothing_else(tmp_path: Path) -> None:
    tags: list[dict[str, Any]] = [
        {"name": "every"},
        {"name": "change", "on_change": True},
        {"name": "band", "deadband": 1.0, "heartbeat": "1h"},
        {"name": "word", "on_change": True, "data_type": "string"},
    ]
    device = FakeDevice("plc", opcua(tags), CLOCK)
    given = [(1.0, 0), (1.0, 0), (1.5, 0), (2.0, 0), (2.0, BAD_NO_DATA), (2.0, BAD_NO_DATA), (2.0, 0), (2.5, 0)]

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for value, status in given:
            device.values = dict.fromkeys(("every", "change", "band"), value) | {"word": str(value)}
            device.status = dict.fromkeys(feed.tags, status)
            feed.take(device.block(feed.tags))

    with buffer(tmp_path) as outbox:
        counters, _ = collect(outbox, scene)
        kept = [(status, None if status else value) for value, status in given]
        assert told_of(outbox, "every") == kept
        changed = [(0, 1.0), (0, 1.5), (0, 2.0), (BAD_NO_DATA, None), (0, 2.0), (0, 2.5)]
        assert told_of(outbox, "change") == changed
        assert told_of(outbox, "word") == [(status, value and str(value)) for status, value in changed]
        assert told_of(outbox, "band") == [(0, 1.0), (0, 2.0), (BAD_NO_DATA, None), (0, 2.0)]
        described = {tag.name: tag for chunk in chunks(outbox) for tag in chunk.series.tags}
        assert described["band"].deadband == 1.0
        assert described["band"].heartbeat_s == 3600.0
        assert described["change"].on_change
        assert not described["every"].on_change
    counts = counters.snapshot()
    assert counts.telemetry_values == counts.telemetry_committed + counts.telemetry_thinned == 32


def feed_at(feed: Feed, device: FakeDevice, edge_us: int) -> None:
    """One block of the feed's tags, taken at this time."""
    block = device.block(feed.tags)
    builder = BlockBuilder(block.group)
    for at, tag in enumerate(feed.tags):
        builder.add(block.values[at], device.status.get(tag, 0))
    feed.take(builder.block(edge_us))


def test_a_mean_is_kept_for_each_span_and_says_when_something_was_bad(tmp_path: Path) -> None:
    device = FakeDevice("plc", opcua([{"name": "m", "average": "1s", "data_type": "int32"}]), CLOCK)
    given = [
        (0, 1, 0),
        (300, 2, 0),
        (900, 6, 0),
        (1100, 5, 0),
        (1500, 9, BAD_NO_DATA),
        (2100, 1, BAD_NO_DATA),
        (3000, 4, 0),
    ]

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for at_ms, value, status in given:
            device.values, device.status = {"m": value}, {"m": status}
            feed_at(feed, device, 1_000_000_000_000 + 1000 * at_ms)

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert told_of(outbox, "m") == [(0, 3.0), (0x40000000, 5.0), (BAD_NO_DATA, None)]
        (chunk,) = chunks(outbox)
        assert chunk.series.columns[0].type == "float64"
        assert chunk.series.tags[0].average_s == 1.0


def test_a_heartbeat_keeps_a_value_that_does_not_change(tmp_path: Path) -> None:
    device = FakeDevice("plc", opcua([{"name": "a", "on_change": True, "heartbeat": "1s"}]), CLOCK)
    device.values = {"a": 1.0}

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for at_ms in range(0, 3000, 100):
            feed_at(feed, device, 1_000_000_000_000 + 1000 * at_ms)

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert len(told_of(outbox, "a")) == 3


def test_a_stale_reading_is_in_the_trend_and_so_is_the_first_value_after_it(tmp_path: Path) -> None:
    settings = opcua([{"name": "a", "on_change": True}, {"name": "b", "mode": "subscribe"}])
    device = FakeDevice("plc", settings, CLOCK)
    device.values = {"a": 1.0, "b": 2.0}

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for _ in range(2):
            feed.take(device.block(["a"]))
            feed.take(device.block(["b"]))
        for tag in ("a", "b"):
            stale = BlockBuilder(Group.of("plc", [t for t in settings.tags if t.name == tag]))
            stale.add(None, BAD_STALE)
            feed.take(stale.block(CLOCK.now_us()))
        feed.take(device.block(["a"]))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert told_of(outbox, "a") == [(0, 1.0), (BAD_STALE, None), (0, 1.0)]
        assert told_of(outbox, "b") == [(0, 2.0), (0, 2.0), (BAD_STALE, None)], "all that its server told"


def test_a_type_that_the_server_decides_may_change(tmp_path: Path) -> None:
    settings = opcua([{"name": "a", "data_type": None}, {"name": "b", "data_type": None, "mode": "subscribe"}])
    groups = {tag.name: Group.of("plc", [tag]) for tag in settings.tags}

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", settings)
        for value, data_type in ((7, "int32"), (1.5, "float64"), ("x", "string"), (8, "int32")):
            for group in groups.values():
                builder = BlockBuilder(group)
                builder.add(value, data_type=data_type)
                feed.take(builder.block(CLOCK.now_us()))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert sorted(map(str, told_of(outbox, "a"))) == sorted(map(str, [(0, 7), (0, 8), (0, 1.5), (0, "x")]))
        assert told_of(outbox, "b") == [(0, 7), (0, 1.5), (0, "x"), (0, 8)]


def test_a_type_that_changed_in_other_company_alters_no_value(tmp_path: Path) -> None:
    """Notifications with other sets of tags are other groups: 2.7 was kept as the good whole number 2."""
    settings = opcua([{"name": tag, "data_type": None, "mode": "subscribe"} for tag in "ab"])
    a, b = settings.tags
    alone, both = Group.of("plc", [a]), Group.of("plc", [a, b])

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", settings)
        told: list[tuple[Group, str, tuple[Any, ...]]] = [
            (alone, "float64", (1.5,)),
            (both, "int64", (2, 7)),
            (alone, "float64", (2.7,)),
        ]
        for group, data_type, values in told:
            builder = BlockBuilder(group)
            for value in values:
                builder.add(value, data_type=data_type)
            feed.take(builder.block(CLOCK.now_us()))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert told_of(outbox, "a") == [(0, 1.5), (0, 2), (0, 2.7)]
        assert told_of(outbox, "b") == [(0, 7)]


@pytest.mark.parametrize(
    ("data_type", "given", "kept"),
    [
        ("int64", [1.5, 2.0, "5", -(2**63)], [None, 2, None, -(2**63)]),
        ("uint8", [1.7, 256, 255, -1], [None, None, 255, None]),
        ("float64", ["5", 5, 0.1], [None, 5.0, 0.1]),
        ("float32", [1e39, 1.5, float("inf")], [None, 1.5, float("inf")]),
    ],
)
def test_no_value_is_made_to_fit(data_type: str, given: list[object], kept: list[object]) -> None:
    values = np.empty(len(given), object)
    values[:] = given
    column, status = typed(values, np.zeros(len(given), np.uint32), data_type)
    assert [
        None if bad else value for bad, value in zip(status.tolist(), np.asarray(column).tolist(), strict=True)
    ] == kept
    assert set(status[status != 0].tolist()) <= {BAD_TYPE_MISMATCH}


def test_much_is_committed_at_once_while_somebody_waits_and_together_while_nobody_does(tmp_path: Path) -> None:
    device = FakeDevice("plc", opcua([{"name": f"t{n}"} for n in range(1000)]), CLOCK)

    async def each_committed(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for n in range(4):
            feed.take(device.block(feed.tags))
            while made._counters.snapshot().chunks_committed <= n:
                await asyncio.sleep(0.002)

    async def far_apart(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for _ in range(4):
            feed.take(device.block(feed.tags))
            await asyncio.sleep(2 * telemetry.GAP_S)  # the polls are so slow that no gap keeps them together

    with buffer(tmp_path / "live") as outbox:
        collect(outbox, each_committed, live=True)
        assert len(chunks(outbox)) == 4
    with buffer(tmp_path / "away") as outbox:
        collect(outbox, far_apart, live=False)
        assert [len(chunk.edge_us) for chunk in chunks(outbox)] == [4]


def test_what_a_slow_disk_cannot_take_is_lost_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "WAITING_BYTES", 20_000)
    device = FakeDevice("plc", opcua([{"name": f"t{n}"} for n in range(1000)]), CLOCK)

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for _ in range(6):
            feed.take(device.block(feed.tags))

    with buffer(tmp_path) as outbox:
        counters, told = collect(outbox, scene)
    counts = counters.snapshot()
    assert (counts.telemetry_committed, counts.telemetry_lost) == (3000, 3000)
    why = "the disk is too slow"
    assert told == [("telemetry-lost", {"values": count, "why": why}) for count in (1000, 2000)], "first, rest"


def test_what_finds_too_many_writes_waiting_is_lost_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: a queue that was too long was taken for a disk that had failed, and readings were lost in silence."""
    device = FakeDevice("plc", opcua([{"name": f"t{n}"} for n in range(1000)]), CLOCK)

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        feed.take(device.block(feed.tags))
        monkeypatch.setattr(durable, "WAITING_LIMIT", 0)

    with buffer(tmp_path) as outbox:
        counters, told = collect(outbox, scene)
    counts = counters.snapshot()
    assert (counts.telemetry_committed, counts.telemetry_lost) == (0, 1000)
    assert [(code, params["values"]) for code, params in told] == [("telemetry-lost", 1000)]
    assert "0 writes wait" in told[0][1]["why"]


def test_at_its_cap_the_oldest_chunks_give_way_and_that_is_said_before(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, max_bytes=400_000, on_thin=said.append) as outbox:
        for n in range(100):
            outbox.keep([bytes([n]) * 10_000]).result()
        rows = held(outbox)
        gone = [row.seq for row in rows if row.body is None]
        assert gone == list(range(2, gone[-1] + 1)), "oldest first; the record that opened the epoch stays"
        assert 60 < len(gone) < 95, "some of the cap is the empty file"
        assert {row.tombstone.reason for row in rows if row.tombstone} == {"thinned"}
        assert [seq for gap in said for seq in range(gap.first, gap.last + 1)] == gone, "each once"
        assert {(gap.epoch, gap.bucket_s) for gap in said} == {(outbox.head().epoch, None)}
        assert sum(gap.chunks for gap in said) == len(gone)
    assert verify(tmp_path / "telemetry.db").ok


@pytest.mark.parametrize("size", [300, 3000, 6000])
def test_what_is_said_to_have_given_way_has_and_records_are_not_flooded(tmp_path: Path, size: int) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, max_bytes=300_000, on_thin=said.append) as outbox:
        kept = [outbox.keep([bytes([n % 256]) * size]) for n in range(1500)]
        refused = sum(isinstance(one.exception(), Refused) for one in kept)
        gone = [row.seq for row in held(outbox) if row.body is None]
    assert [seq for gap in said for seq in range(gap.first, gap.last + 1)] == gone
    assert 0 < len(said) < 150
    assert refused == 0 or len(gone) > 500, "tombstones take space too"
    assert verify(tmp_path / "telemetry.db").ok


def test_a_gap_that_cannot_be_recorded_is_none_the_newest_is_refused(tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise Refused("the buffer of records is full")

    with buffer(tmp_path, max_bytes=400_000, on_thin=full) as outbox:
        futures = [outbox.keep([b"x" * 10_000]) for _ in range(100)]
        assert isinstance(futures[-1].exception(), Refused)
        assert not [row for row in held(outbox) if row.tombstone]


def test_chunks_that_are_stored_again_name_what_they_were(tmp_path: Path) -> None:
    device = FakeDevice("plc", opcua([{"name": "a"}]), CLOCK)

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        feed.take(device.block(feed.tags))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        row = held(outbox)[-1]
        ahead = mark(row)
        outbox.apply(type(ahead)(AGENT, row.epoch, "telemetry", row.seq + 5, "ab" * 32, 1))
        rows = [again for again in held(outbox) if again.kind == KIND]
        assert len(rows) == 1
        assert rows[0].epoch != row.epoch
        former = decode_chunk(rows[0].body or b"").former
        assert former is not None
        assert (former.epoch, former.seq, former.hash) == (row.epoch, row.seq, row.hash.hex())
        assert told_of(outbox, "a") == [(0, 0.0)]


def test_what_is_no_number_has_no_mean_and_no_deadband_and_ends_nobody(tmp_path: Path) -> None:
    tags = [{"name": "m", "average": "1s", "data_type": None}, {"name": "d", "deadband": 1.0, "data_type": None}]
    settings = opcua(tags)
    group = Group.of("plc", settings.tags)

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", settings)
        for second, value in enumerate((1, "7", [1, 2], {"a": 1}, None, 5, 6)):
            builder = BlockBuilder(group)
            for _ in settings.tags:
                builder.add(value)
            feed.take(builder.block(1_000_000_000_000 + 1_000_000 * second))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        none = (BAD_TYPE_MISMATCH, None)
        assert told_of(outbox, "d") == [(0, 1), none, (0, 5), (0, 6)]
        assert told_of(outbox, "m") == [(0, 1.0), none, none, none, none, (0, 5.0)]


def test_a_heartbeat_goes_on_when_the_clock_was_set_back(tmp_path: Path) -> None:
    device = FakeDevice("plc", opcua([{"name": "a", "on_change": True, "heartbeat": "1s"}]), CLOCK)
    device.values = {"a": 1.0}

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", device.settings)
        for at_s in (1_000_000, 1_000_001, 0, 1):
            feed_at(feed, device, 1_000_000 * at_s)

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert len(told_of(outbox, "a")) == 4


def test_a_device_that_reconnects_for_weeks_takes_no_more_memory(tmp_path: Path) -> None:
    settings = opcua([{"name": "a"}, {"name": "b", "on_change": True}])

    async def scene(made: Telemetry) -> None:
        feed = made.feed("weeks", settings)
        for _ in range(50):  # each session has groups of its own
            builder = BlockBuilder(Group.of("weeks", settings.tags))
            for _ in settings.tags:
                builder.add(1.0)
            feed.take(builder.block(CLOCK.now_us()))
        del builder
        await made.close()
        gc.collect()
        assert sum(isinstance(one, Group) and one.device == "weeks" for one in gc.get_objects()) == 1
        assert len(feed.tags) == 2

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert len(told_of(outbox, "a")) == 50


def test_a_lane_that_cannot_be_written_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = opcua([{"name": "a"}])
    near, far = FakeDevice("near", settings, CLOCK), FakeDevice("far", settings, CLOCK)

    def scene(made: Telemetry) -> None:
        feeds = [(made.feed(device.name, settings), device) for device in (near, far)]
        for feed, device in feeds:
            feed.take(device.block(feed.tags))
        broken = next(iter(made._open))
        monkeypatch.setattr(broken, "_describe", lambda _: 1 / 0)

    with buffer(tmp_path) as outbox:
        counters, told = collect(outbox, scene)
        assert [chunk.series.device for chunk in chunks(outbox)] == ["far"]
    assert counters.snapshot().telemetry_lost == 1
    assert [code for code, _ in told] == ["telemetry-lost"]


def test_what_waits_for_a_slow_disk_becomes_chunks_of_the_usual_size(tmp_path: Path) -> None:
    texts = FakeDevice("texts", opcua([{"name": "big", "data_type": "string"}]), CLOCK)
    told = FakeDevice("told", opcua([{"name": "news", "data_type": "string", "mode": "subscribe"}]), CLOCK)
    many = FakeDevice("many", opcua([{"name": f"t{n}"} for n in range(2000)]), CLOCK)
    texts.values = {"big": "x" * 60_000}
    told.values = {"news": "y" * 60_000}

    def scene(made: Telemetry) -> None:
        feeds = [(made.feed(one.name, one.settings), one) for one in (texts, told, many)]
        for _ in range(200):
            for feed, one in feeds:
                feed.take(one.block(feed.tags))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        assert [len(told_of(outbox, tag)) for tag in ("big", "news", "t0")] == [124, 123, 123], "16 MiB in all"
        assert max(len(row.body) for row in held(outbox) if row.body is not None) < 128 * 1024


def test_a_unit_that_the_server_tells_is_in_the_trend_though_the_tags_were_stale_before(tmp_path: Path) -> None:
    settings = opcua([{"name": "a"}, {"name": "b", "mode": "subscribe"}])

    def scene(made: Telemetry) -> None:
        feed = made.feed("plc", settings)
        for tag in settings.tags:
            for unit in (None, "bar"):
                builder = BlockBuilder(Group.of("plc", [tag.model_copy(update={"unit": unit})]))
                builder.add(1.0, BAD_STALE if unit is None else 0)
                feed.take(builder.block(CLOCK.now_us()))

    with buffer(tmp_path) as outbox:
        collect(outbox, scene)
        found = {(tag.name, tag.unit) for chunk in chunks(outbox) for tag in chunk.series.tags}
        assert {("a", "bar"), ("b", "bar")} <= found
