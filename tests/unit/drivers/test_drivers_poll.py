"""The grid of polls, one poll for many who want of it, and what is told of bad, stale and late readings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Notice, ReadingBlock
from drivers.doubts import LATE_SPAN_S, Doubts, Lateness
from drivers.poll import Grid, PollMeter
from drivers.stale import Freshness
from drivers.status import BAD_NO_DATA, BAD_STALE
from drivers.supervise import Supervisor
from records.clock import FakeClock, SystemClock
from tests.rigs.fake_device import FakeDevice, opcua

FAST = {"poll_interval": "10ms"}


def test_polls_that_keep_up_are_on_the_grid_however_long_they_run() -> None:
    meter = PollMeter()
    grid = Grid(5.0, 0.1, meter)
    for n in range(50_000):
        assert grid.due_s == pytest.approx(5.0 + n * 0.1, abs=1e-6)
        grid.began(grid.due_s + 0.001)
        grid.ended(grid.due_s + 0.05)
    assert (meter.polls, meter.late, meter.skipped) == (50_000, 0, 0)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=200))
def test_every_grid_point_is_polled_or_counted_as_skipped_and_no_two_polls_share_one(
    durations: list[float],
) -> None:
    meter = PollMeter()
    grid = Grid(0.0, 1.0, meter)
    now_s, points = 0.0, []
    for duration_s in durations:
        now_s = max(now_s, grid.due_s)
        points.append(round(grid.due_s))
        late = meter.late
        grid.began(now_s)
        assert (meter.late > late) is (now_s - grid.due_s > 0.25)
        now_s += duration_s
        grid.ended(now_s)
    assert points == sorted(set(points))
    assert meter.polls == len(points)
    assert meter.skipped == round(grid.due_s) - len(points)


def run(device: FakeDevice, scene: Callable[[Supervisor], Awaitable[None]], notices: list[Notice]) -> None:
    async def all_of_it() -> None:
        supervisor = Supervisor(device, device.clock, lambda _: None, notices.append, longest_pause_s=0.02)
        task = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(20):
            await scene(supervisor)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(all_of_it())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_one_poll_serves_all_who_want_its_tags() -> None:
    device = FakeDevice("plc", opcua([{"name": "a"}, {"name": "b"}, {"name": "c"}], **FAST), SystemClock())
    device.values = {"a": 1.0, "b": 1.0}
    trend: list[ReadingBlock] = []
    station: list[ReadingBlock] = []

    async def scene(supervisor: Supervisor) -> None:
        supervisor.watch(["b", "c"], trend.append, every=True, name="telemetry")
        supervisor.watch(["b", "a"], station.append, name="stations")
        await until(lambda: len(trend) > 3)
        device.values["a"] = 2.0
        await until(lambda: len(station) > 1)

    run(device, scene, [])
    assert set(device.reads) == {("b", "c", "a")}, "one read of all three tags"
    assert {block.tags for block in trend} == {("b", "c")}
    assert len({block.value("c") for block in trend}) == len(trend), "every poll, each once"
    assert [block.listed() for block in station] == [(1.0, 1.0), (1.0, 2.0)], "what changed of its own tags"
    assert station[0].tags == ("b", "a")


def test_tags_are_polled_at_their_own_interval() -> None:
    tags = [{"name": "quick"}, {"name": "slow", "poll_interval": "1h"}, {"name": "swift"}]
    device = FakeDevice("plc", opcua(tags, **FAST), SystemClock())
    seen: list[ReadingBlock] = []

    async def scene(supervisor: Supervisor) -> None:
        supervisor.watch(["quick", "slow", "swift"], seen.append, every=True)
        await until(lambda: len([block for block in seen if "quick" in block.tags]) > 5)

    run(device, scene, [])
    assert set(device.reads) <= {("quick", "swift"), ("slow",)}
    assert device.reads.count(("slow",)) <= 1


def test_a_watch_that_is_added_or_ended_while_the_device_runs_takes_effect_at_once() -> None:
    device = FakeDevice("plc", opcua([{"name": "a"}, {"name": "b"}], **FAST), SystemClock())
    seen: list[ReadingBlock] = []

    async def scene(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.connected)
        supervisor.watch(["a"], seen.append, every=True, name="telemetry")
        await until(lambda: len(seen) > 2)
        supervisor.watch(["b"], lambda _: None, name="stations")
        supervisor.watch([], seen.append, name="telemetry")
        await until(lambda: ("b",) in device.reads)
        told = len(seen)
        reads = len(device.reads)
        await until(lambda: len(device.reads) > reads + 3)
        assert len(seen) == told

    run(device, scene, [])


def test_a_node_that_turns_bad_is_told_once_and_many_make_one_notice() -> None:
    device = FakeDevice("plc", opcua([{"name": f"t{n}"} for n in range(8)], **FAST), SystemClock())
    notices: list[Notice] = []

    async def scene(supervisor: Supervisor) -> None:
        supervisor.watch([f"t{n}" for n in range(8)], lambda _: None, every=True)
        device.status["t0"] = BAD_NO_DATA
        await until(lambda: len(device.reads) > 5)
        device.status = {f"t{n}": BAD_NO_DATA for n in range(8)}
        reads = len(device.reads)
        await until(lambda: len(device.reads) > reads + 5)
        device.status = {}
        reads = len(device.reads)
        await until(lambda: len(device.reads) > reads + 5)
        device.status["t0"] = BAD_NO_DATA  # it flaps
        reads = len(device.reads)
        await until(lambda: len(device.reads) > reads + 5)

    run(device, scene, notices)
    assert notices == [
        Notice("reading-bad", {"tag": "plc.t0", "status": "BadNoData"}),
        Notice("reading-bad", {"tag": "plc.t1", "status": "BadNoData", "count": 7}),
    ]


def test_values_of_a_device_that_is_lost_become_stale_and_are_told_as_bad() -> None:
    settings = opcua(
        [{"name": "a", "stale_after": "100ms"}, {"name": "b", "mode": "subscribe"}], timeout="50ms", **FAST
    )
    device = FakeDevice("plc", settings, SystemClock())
    seen: list[ReadingBlock] = []
    notices: list[Notice] = []

    async def scene(supervisor: Supervisor) -> None:
        supervisor.watch(["a", "b"], seen.append)
        await until(lambda: len(seen) > 1 and supervisor.connected)
        ticks = device.ticks
        await until(lambda: device.ticks > ticks + 40)  # meanwhile a subscribed tag without a limit may be silent
        assert not [block for block in seen if BAD_STALE in block.status]
        device.away = True
        await until(lambda: {t for block in seen if BAD_STALE in block.status for t in block.tags} == {"a", "b"})
        latest = supervisor.latest()
        assert {(r.status, r.value) for r in latest.values()} == {("BadStale", None)}
        device.away = False
        await until(lambda: [reading.status for reading in supervisor.latest().values()] == ["Good", "Good"])

    run(device, scene, notices)
    assert notices == [], "that the device is lost has been told"


def test_a_subscription_that_falls_silent_is_found_told_and_begun_anew() -> None:
    device = FakeDevice("plc", opcua([{"name": "a", "mode": "subscribe", "stale_after": "200ms"}]), SystemClock())
    device.values["a"] = 1.0
    seen: list[ReadingBlock] = []
    notices: list[Notice] = []

    async def scene(supervisor: Supervisor) -> None:
        supervisor.watch(["a"], seen.append)
        await until(lambda: seen)
        reads = len(device.reads)
        await until(lambda: len(device.reads) > reads + 2)
        assert (device.watches, len(seen)) == (1, 1), "a value that does not change is quiet, not stale"
        device.values["a"] = 2.0  # and the server does not tell it
        await until(lambda: device.watches == 2 and len(seen) == 3)

    run(device, scene, notices)
    assert [block.listed() for block in seen] == [(1.0,), (None,), (2.0,)]
    assert seen[1].words() == ("BadStale",)
    assert [(notice.code, notice.params["tag"]) for notice in notices] == [("reading-stale", "plc.a")]


def test_a_clock_in_2000_is_told_once_and_the_reading_keeps_its_time() -> None:
    clock = FakeClock()
    device = FakeDevice("plc", opcua([{"name": "a"}]), clock)
    notices: list[Notice] = []
    doubts = Doubts("plc", clock, notices.append)
    device.source_off_us = -26 * 366 * 86_400_000_000
    for _ in range(3):
        block = device.block(["a"])
        doubts.look(block)
        clock.advance(60)
    assert block.status[0] == 0
    assert block.source_us[0] == block.edge_us + device.source_off_us
    assert [notice.code for notice in notices] == ["clock-skew"]
    assert notices[0].params == {"device": "plc", "offset_s": -26 * 366 * 86_400}
    device.source_off_us = -86_400_000_000  # a value that has not changed since yesterday
    doubts.look(device.block(["a"]))
    assert len(notices) == 1


def test_a_server_time_that_stands_still_is_no_slow_clock_one_that_moves_is() -> None:
    clock = FakeClock()
    device = FakeDevice("plc", opcua([{"name": "a"}]), clock)
    notices: list[Notice] = []
    doubts = Doubts("plc", clock, notices.append)
    began = device.block(["a"])
    stands = np.full(1, began.edge_us - 3_600_000_000)  # stamped an hour ago, when the value came
    for _ in range(3):
        doubts.look(replace(device.block(["a"]), server_us=stands))
        clock.advance(60)
    assert notices == []
    for _ in range(3):
        stands = stands + 60_000_000  # a clock that runs, an hour behind
        doubts.look(replace(device.block(["a"]), server_us=stands))
        clock.advance(60)
    assert [notice.code for notice in notices] == ["clock-skew"]
    assert notices[0].params["offset_s"] == -3_720


def test_a_device_that_cannot_be_read_as_often_as_asked_is_told_once_and_again_when_it_can() -> None:
    meter, notices = PollMeter(), list[Notice]()
    lateness = Lateness("plc", meter, notices.append)
    for minute in range(5):
        lateness.look(minute * LATE_SPAN_S)
        meter.polls += 90
        meter.skipped += 10 if minute in (1, 2) else 0
        meter.late += 5 if minute in (1, 2) else 1
    assert [notice.code for notice in notices] == ["polls-late", "polls-on-time"]
    assert notices[0].params == {"device": "plc", "polls": 90, "late": 5, "skipped": 10, "span_s": 60}


def test_ages_survive_a_new_plan() -> None:
    freshness = Freshness()
    freshness.expect(["a", "b"], 1.0, 0.0)
    freshness.refreshed("a", 5.0)
    freshness.clear()
    freshness.expect(["b"], 1.0, 5.5)
    assert freshness.overdue(5.9, connected=True) == []
    assert [each.tags for each in freshness.overdue(6.1, connected=True)] == [("b",)]
    assert freshness.overdue(9.0, connected=True) == [], "told once"


def test_what_stays_bad_is_not_told_again_and_what_flaps_at_most_once_a_minute() -> None:
    clock = FakeClock()
    device = FakeDevice("plc", opcua([{"name": "a"}]), clock)
    notices: list[Notice] = []
    doubts = Doubts("plc", clock, notices.append)
    device.status["a"] = BAD_NO_DATA
    for _ in range(10):
        doubts.look(device.block(["a"]))
        clock.advance(30)
    assert len(notices) == 1
    for _ in range(100):  # two a second
        device.status["a"] = 0
        doubts.look(device.block(["a"]))
        device.status["a"] = BAD_NO_DATA
        doubts.look(device.block(["a"]))
        clock.advance(1.0)
    assert len(notices) == 3
