"""Subscribed tags over a server that is not ours: every value, or a notice of what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby
from typing import Any

import pytest
from driver_rigs import until
from opcua_rig import Rig

from drivers.base import ReadingBlock
from drivers.opcua import OpcUa, publishing, reading, subscription
from drivers.opcua.publishing import Publisher, missing
from records.errors import Unreachable

pytestmark = pytest.mark.node_opcua
SAMPLE_S = 0.06
"""Longer than the shortest sampling interval of the server: what is set once in this time is sampled."""
COUNT = 'name: count, namespace_uri: "urn:test", identifier: s=count, mode: subscribe'


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    found = Rig(tmp_path_factory.mktemp("subscriptions"))
    yield found
    found.server.stop()


@pytest.fixture(autouse=True)
def first_value(rig: Rig) -> None:
    rig.server.set("count", 7)


class Watch:
    """A running watch and what it told."""

    def __init__(self, device: OpcUa, *tags: str) -> None:
        self.blocks: list[ReadingBlock] = []
        self.task = asyncio.ensure_future(device.watch(tags, self.blocks.append, every=True))

    def values(self, tag: str = "count") -> list[Any]:
        return [block.value(tag) for block in self.blocks if tag in block.tags]

    async def value(self, value: Any, tag: str = "count") -> None:
        await until(lambda: self.task.done() or value in self.values(tag), f"{value} of {tag}")

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def watching(rig: Rig, tags: str, job: Callable[[OpcUa, Watch], Awaitable[None]], **how: str) -> None:
    async def whole(device: OpcUa) -> None:
        watch = Watch(device, *[tag.name for tag in device.settings.tags])
        try:
            await job(device, watch)
        finally:
            await watch.end()

    rig.run(tags, whole, **how)


def test_what_the_server_grants_otherwise_is_told(rig: Rig) -> None:
    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)

    watching(rig, f"{COUNT}, sampling_interval: 5ms, queue_size: 10000", job)
    revised = {notice["setting"]: notice for notice in rig.codes("settings-revised")}
    assert revised["sampling_interval_ms"] == {
        "device": "plc",
        "tag": "plc.count",
        "setting": "sampling_interval_ms",
        "asked": 5.0,
        "given": 50.0,
    }
    assert revised["queue_size"]["asked"] == 10_000

    watching(rig, COUNT, job)
    assert rig.codes("settings-revised") == []


def test_a_queue_that_ran_over_is_told_once(rig: Rig) -> None:
    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        for round_ in range(2):
            for n in range(6):
                rig.server.set("count", 100 * (round_ + 1) + n)
                await asyncio.sleep(SAMPLE_S)
            await watch.value(100 * (round_ + 1) + 5)
        assert len(watch.values()) < 13
        word = next(word for block in watch.blocks for word in block.words() if "Overflow" in word)
        assert word == "Good+Overflow"

    watching(rig, f"{COUNT}, sampling_interval: 10ms, queue_size: 2", job, publish="600ms")
    (lost,) = rig.codes("samples-lost")
    assert lost == {"device": "plc", "tag": "plc.count", "why": "overflow", "count": 1}


@pytest.mark.parametrize("kept", [True, False], ids=["the server still has it", "the server has it no more"])
def test_a_message_that_did_not_arrive(rig: Rig, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    dropped: list[int] = []
    deliver = Publisher._deliver

    def losing(publisher: Publisher, data: bytes) -> None:
        body = publishing.notification_message(data, 8 + 4 * max(0, publishing.binary.int32(data, 4)) + 1)
        if dropping and body.parts and not dropped:
            dropped.append(body.sequence)
            return
        deliver(publisher, data)

    async def gone(*_: object) -> None:
        return None

    dropping: list[bool] = []
    monkeypatch.setattr(Publisher, "_deliver", losing)
    if not kept:
        monkeypatch.setattr(subscription, "republish", gone)

    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        dropping.append(True)
        rig.server.set("count", 8)
        await until(lambda: dropped, "the loss")
        rig.server.set("count", 9)
        await watch.value(9)
        assert watch.values() == ([7, 8, 9] if kept else [7, 9])

    watching(rig, COUNT, job)
    lost = [] if kept else [{"device": "plc", "why": "sequence", "count": 1}]
    assert rig.codes("samples-lost") == lost


def test_a_keep_alive_names_the_message_that_is_next(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is lost is missed at the next keep-alive, not only at the next value."""
    monkeypatch.setattr(subscription, "KEEP_ALIVE_S", 0.1)
    deliver = Publisher._deliver
    dropped: list[bytes] = []
    dropping: list[bool] = []

    def losing(publisher: Publisher, data: bytes) -> None:
        has_parts = publishing.notification_message(
            data, 8 + 4 * max(0, publishing.binary.int32(data, 4)) + 1
        ).parts
        if dropping and has_parts and not dropped:
            dropped.append(data)
        else:
            deliver(publisher, data)

    monkeypatch.setattr(Publisher, "_deliver", losing)

    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        dropping.append(True)
        rig.server.set("count", 8)
        await watch.value(8)
        assert dropped

    watching(rig, COUNT, job)
    assert rig.codes("samples-lost") == []


def test_a_subscription_that_falls_silent_is_made_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(subscription, "_SHORTEST_LIFE_S", 0.0)
    deliver = Publisher._deliver
    silent: list[bool] = []

    def maybe(publisher: Publisher, data: bytes) -> None:
        if not silent:
            deliver(publisher, data)

    monkeypatch.setattr(Publisher, "_deliver", maybe)

    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        silent.append(True)
        rig.server.set("count", 8)
        create = subscription.Subscriber._create

        async def heard(subscriber: subscription.Subscriber) -> Any:
            silent.clear()
            return await create(subscriber)

        monkeypatch.setattr(subscription.Subscriber, "_create", heard)
        await watch.value(8)
        assert rig.server.tell("subscriptions") == 1

    watching(rig, COUNT, job, timeout="500ms")
    assert rig.codes("samples-lost") == [{"device": "plc", "why": "subscription"}]


def test_a_session_that_the_server_closes_is_unreachable(rig: Rig) -> None:
    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        rig.server.tell("close-sessions")
        await until(watch.task.done, "the end of the watch")
        with pytest.raises(Unreachable, match="plc"):
            watch.task.result()

    watching(rig, COUNT, job)


def test_a_new_watch_takes_the_place_of_the_old_one(rig: Rig) -> None:
    async def job(device: OpcUa, watch: Watch) -> None:
        for value in range(20, 24):
            await watch.end()
            watch = Watch(device, "count")
            rig.server.set("count", value)
            await watch.value(value)
        assert watch.values()[-1] == 23
        assert rig.server.tell("subscriptions") == 1
        await watch.end()

    watching(rig, COUNT, job)


def test_two_watches_of_one_device_get_their_own_messages(rig: Rig) -> None:
    async def job(device: OpcUa, watch: Watch) -> None:
        other = Watch(device, "torque")
        try:
            await watch.value(7)
            await other.value(2.2, "torque")
            for value in (8, 9):
                rig.server.set("count", value)
                rig.server.set("torque", value / 10)
                await watch.value(value)
                for each in (watch, other):  # each has a sampling of its own
                    await each.value(value / 10, "torque")
            assert other.values("count") == []
            assert watch.values("torque") == [2.2, 0.8, 0.9]
        finally:
            await other.end()

    rig.server.set("torque", 2.2)
    watching(rig, f'{COUNT}\nname: torque, namespace_uri: "urn:test", identifier: s=torque, mode: subscribe', job)


def test_a_node_that_comes_later_is_subscribed_then(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RETRY_S", 0.05)
    late = 'name: late, namespace_uri: "urn:test", identifier: s=late, mode: subscribe'

    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value(7)
        await watch.value(None, "late")
        assert next(b for b in watch.blocks if b.tags == ("late",)).words() == ("BadNodeIdUnknown",)
        rig.server.tell("add", node="late", type="Int32", value=1)
        await watch.value(1, "late")
        await until(lambda: not device._reader.slow_status("late"), "the end of the slow retries")
        for value in range(2, 6):
            rig.server.set("late", value)
            await watch.value(value, "late")
        assert watch.values("late") == [None, 1, 2, 3, 4, 5]
        rig.server.set("count", 8)
        await watch.value(8)
        rig.server.tell("delete", node="late")

    watching(rig, f"{COUNT}\n{late}", job, poll="10m")


def test_numbers_that_are_missing() -> None:
    assert list(missing(5, 5)) == []
    assert list(missing(5, 7)) == [5, 6]
    assert list(missing(5, 4)) == []
    assert list(missing(0xFFFFFFFF, 2)) == [0xFFFFFFFF, 1]
    assert len(missing(1, 0x7FFFFFFF)) == 1000


def test_what_is_subscribed_is_judged_like_what_is_polled(rig: Rig) -> None:
    tags = """
        name: count, namespace_uri: "urn:test", identifier: s=count, mode: subscribe, range: [0, 99]
        name: torque, namespace_uri: "urn:test", identifier: s=torque, mode: subscribe, data_type: float64
        name: wrong, namespace_uri: "urn:test", identifier: s=torque, mode: subscribe, data_type: int16
        name: mode, namespace_uri: "urn:test", identifier: s=Mode, mode: subscribe, data_type: enum
    """

    async def job(device: OpcUa, watch: Watch) -> None:
        await watch.value("Running", "mode")
        await watch.value(7)
        rig.server.set("count", 100)
        await watch.value(100)
        rig.server.set("torque", 2.5, source="2000-01-01T00:00:00Z")
        await watch.value(2.5, "torque")
        rig.server.set("torque", "NaN")
        await until(lambda: watch.values("torque")[-1] is None, "no number")
        words = {
            tag: [b.words()[0] for b in watch.blocks if b.tags == (tag,)] for tag in ("count", "torque", "wrong")
        }
        assert words["count"] == ["Good", "UncertainEngineeringUnitsExceeded"]
        told = [word for word, _ in groupby(words["torque"])]  # NaN is no NaN: the server may say it at each look
        assert told[-2:] == ["UncertainClock", "BadNotFinite"]
        assert set(words["wrong"]) == {"BadTypeMismatch"}
        rig.server.set("torque", 2.2)

    watching(rig, tags, job)
