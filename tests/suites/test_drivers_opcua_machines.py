"""What OPC UA servers do to a driver, tried with one that is not ours: sessions that end, nodes that go (F15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driver_rigs import device_of, until
from driver_scenes import Scene, Server, scene_of
from driver_servers import NodeOpcUaRig, SecuredOpcUaRig

from drivers.opcua import codec, reading
from drivers.opcua.nodes import BAD_NO_MATCH
from drivers.opcua.reading import Reader
from records.errors import Unreachable
from records.model import Quality
from tests.rigs.opcua_server import ServerSettings

pytestmark = pytest.mark.node_opcua

PATIENT = "5s"
"""For scenes in which nothing falls silent: an answer that a busy machine gives late is no loss."""


@pytest.fixture(scope="module", params=[NodeOpcUaRig, SecuredOpcUaRig], ids=["open", "secured"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(request.param(tmp_path_factory.mktemp("server")))
    yield found
    found.close()


def test_a_session_that_the_server_ends_is_opened_again_with_its_subscription(server: Server) -> None:
    async def job(scene: Scene) -> None:
        await until(lambda: scene.shows("told", 7), "the subscribed value")
        assert scene.rig.running.tell("close-sessions") >= 1
        await until(lambda: scene.states[-2:] == ["lost", "connected"], "the next session")
        await scene.rig.set("count", 2001)
        await until(lambda: scene.shows("told", 2001) and scene.shows("count", 2001), "polled and subscribed")
        assert scene.rig.running.tell("sessions") == 1, "no session is left behind"

    server.play(job, tags=["count", "told"])


def test_a_node_that_is_deleted_is_bad_alone_and_good_again_when_it_is_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "RETRY_S", 0.2)

    async def job(scene: Scene) -> None:
        rig = scene.rig
        await until(lambda: scene.shows("doomed", 5), "the node's value")
        rig.running.tell("delete", node="doomed")
        await until(lambda: scene.shows("doomed", None), "the bad reading")
        block = await scene.supervisor.read(["doomed", "count"])
        assert block.words()[0] == "BadNodeIdUnknown"
        assert block.listed() == (None, 7)
        rig.running.tell("add", node="doomed", type="Int32", value=6)
        await until(lambda: scene.shows("doomed", 6), "the node's new value")
        assert scene.states == ["connected"], "one bad node is no loss"
        rig.running.set("doomed", 5)

    server.play(job, timeout=PATIENT, tags=["count", "doomed"])


def test_a_node_that_comes_back_during_a_read_stays_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a read under way did not ask says nothing of it: the node was kept away for ten seconds more."""
    ask, held, free = codec.ask, asyncio.Event(), asyncio.Event()

    async def slow_first(*args: Any) -> bytes:
        first = not held.is_set()
        held.set()
        answer = await ask(*args)
        if first:
            await free.wait()
        return answer

    async def job(scene: Scene) -> None:
        device = device_of(scene.rig, scene.rig.yaml, lambda _notice: None)
        await device.connect()
        try:
            reader: Reader = device._reader
            reader.set_slow("torque", BAD_NO_MATCH)
            monkeypatch.setattr(codec, "ask", slow_first)
            under_way = asyncio.create_task(reader.read(("torque", "count")))
            await held.wait()
            await reader.retry()
            assert reader.slow_status("torque") == 0
            free.set()
            await under_way
            assert reader.slow_status("torque") == 0
        finally:
            monkeypatch.setattr(codec, "ask", ask)
            await device.close()

    server.play(job)


def test_a_retry_that_got_no_answer_is_not_the_last(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RETRY_S", 0.01)

    async def job(scene: Scene) -> None:
        device = device_of(scene.rig, scene.rig.yaml, lambda _notice: None)
        await device.connect()
        try:
            reader: Reader = device._reader
            retry, tried = reader.retry, 0

            async def late_once() -> None:
                nonlocal tried
                tried += 1
                if tried == 1:
                    raise Unreachable("no answer in time")
                await retry()

            monkeypatch.setattr(reader, "retry", late_once)
            reader.set_slow("torque", BAD_NO_MATCH)
            await until(lambda: reader.slow_status("torque") == 0, "the next try")
        finally:
            await device.close()

    server.play(job)


def test_every_word_of_a_server_but_good_keeps_the_value_away(server: Server) -> None:
    async def job(scene: Scene) -> None:
        running = scene.rig.running
        for status, quality, shown in (
            ("BadSensorFailure", Quality.BAD, None),
            ("BadOutOfService", Quality.BAD, None),
            ("BadWaitingForInitialData", Quality.BAD, None),
            ("UncertainLastUsableValue", Quality.UNCERTAIN, 3.5),
            ("UncertainSensorNotAccurate", Quality.UNCERTAIN, 3.5),
            ("GoodLocalOverride", Quality.GOOD, 3.5),
        ):
            running.set("torque", 3.5, status=status)
            reading = (await scene.supervisor.read(["torque"])).reading("torque")
            assert (reading.status, reading.quality, reading.value) == (status, quality, shown)
        for number in ("NaN", "Infinity", "-Infinity"):
            running.set("torque", number)
            block = await scene.supervisor.read(["torque", "count"])
            assert block.words()[0] == "BadNotFinite"
            assert block.listed() == (None, 7)

    server.play(job)


def test_a_clock_that_stands_in_the_year_2000_is_told_and_kept(server: Server) -> None:
    async def job(scene: Scene) -> None:
        scene.rig.running.set("torque", 1.5, source="2000-01-01T00:00:00Z")
        reading = (await scene.supervisor.read(["torque"])).reading("torque")
        assert (reading.value, reading.source_us) == (1.5, 946_684_800_000_000)

    server.play(job)


Made = Callable[[ServerSettings], NodeOpcUaRig]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """Servers of one's own, started by the test and ended with it."""
    rigs: list[NodeOpcUaRig] = []

    def make(settings: ServerSettings) -> NodeOpcUaRig:
        rigs.append(NodeOpcUaRig(tmp_path / str(len(rigs)), settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        asyncio.run(rig.stop())


def test_a_server_without_a_free_session_is_asked_again_until_it_has_one(made: Made) -> None:
    async def job() -> None:
        rig = made(ServerSettings(max_sessions=1))
        await rig.start()
        first = device_of(rig)
        await first.connect()
        async with scene_of(rig) as scene:
            await until(lambda: scene.events, "the refusal")
            assert scene.states == ["lost"]
            assert "BadTooManySessions" in (scene.events[0].error or "")
            await first.close()
            await until(lambda: scene.shows("count", 7), "the values")

    asyncio.run(job())


def test_a_server_that_reads_few_nodes_at_once_is_asked_in_parts(made: Made) -> None:
    async def job() -> None:
        limits = {"maxNodesPerRead": 2, "maxMonitoredItemsPerCall": 2}
        rig = made(ServerSettings(limits=limits))
        await rig.start()
        async with scene_of(
            rig, timeout=PATIENT, tags=["torque", "count", "done", "ack", "carrier", "told", "doomed"]
        ) as scene:
            await until(lambda: scene.shows("told", 7), "the subscribed value")
            await scene.heals(3001)
            assert scene.states == ["connected"]

    asyncio.run(job())
