"""One suite over every device driver, each against every server of its protocol: two of them are not Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_rigs import TAGS, Bench, OpcUaRig, Rig, device_of, until
from driver_servers import NETWORK_SERVERS, SERIAL_SERVERS

from drivers.base import Device, ReadingBlock
from drivers.supervise import DeviceEvent, Supervisor
from records.clock import SystemClock
from records.errors import Invalid, Unreachable
from records.model import Quality


@pytest.fixture(scope="module", params=[*NETWORK_SERVERS, *SERIAL_SERVERS])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = Bench(request.param(tmp_path_factory.mktemp("server")))
    yield found
    found.close()


@pytest.fixture(params=[*NETWORK_SERVERS, *SERIAL_SERVERS])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    """A server of one's own, not yet started."""
    return request.param(tmp_path)  # type: ignore[no-any-return]


def test_a_group_is_read_with_unit_quality_times_and_raw(bench: Bench) -> None:
    async def job(rig: Rig, device: Device) -> None:
        block = await device.read(TAGS)
        assert block.tags == TAGS
        assert block.listed() == (rig.values["torque"], 7, False, False, "C-017")
        assert block.quality.tolist() == [0] * 5
        torque = block.reading("torque")
        assert (torque.tag, torque.unit, torque.quality, torque.status) == ("plc.torque", "N.m", "good", "Good")
        assert torque.raw is not None
        now_us = SystemClock().now_us()
        assert now_us - 60_000_000 < torque.edge_us <= now_us
        assert device.seen_us == torque.edge_us
        if isinstance(rig, OpcUaRig):
            assert torque.data_type == "float64"
            assert abs((torque.source_us or 0) - torque.edge_us) < 60_000_000
            assert torque.server_us is None or abs(torque.server_us - torque.edge_us) < 60_000_000
        else:
            assert torque.data_type == "float32"
            assert (torque.source_us, torque.server_us) == (None, None)

    bench.run(job)


def test_a_bad_tag_is_a_bad_reading_and_leaves_its_neighbours_alone(bench: Bench) -> None:
    async def job(rig: Rig, device: Device) -> None:
        for _ in range(2):  # the second time with what was learned
            block = await device.read(["torque", "missing", "count"])
            assert block.listed() == (rig.values["torque"], None, 7)
            bad = block.reading("missing")
            assert bad.quality is Quality.BAD
            assert bad.value is None
            assert bad.status in ("BadNodeIdUnknown", "BadIllegalAddress")

    bench.run(job)


def test_an_unknown_tag_is_refused(bench: Bench) -> None:
    async def job(rig: Rig, device: Device) -> None:
        with pytest.raises(Invalid, match="plc has no tag 'tork'"):
            await device.read(["tork"])

    bench.run(job)


def test_a_write_arrives_and_is_read_back(bench: Bench) -> None:
    async def job(rig: Rig, device: Device) -> None:
        await device.write("ack", True)
        assert await rig.get("ack") is True
        await device.write("carrier", "C-99")
        assert await rig.get("carrier") == "C-99"
        assert (await device.read(["ack", "carrier"])).listed() == (True, "C-99")
        with pytest.raises(Invalid, match=r"plc\.torque is not writable"):
            await device.write("torque", 1.0)
        with pytest.raises(Invalid, match=r"plc\.ack: 7 is no bool"):
            await device.write("ack", 7)

    bench.run(job)
    # every write that was tried is told once, a refused one with its reason; what may not be written was not tried
    written = [notice.params for notice in bench.told if notice.code == "plc-write"]
    assert [(w["tag"], w["value"], w["verified"]) for w in written] == [
        ("plc.ack", True, True),
        ("plc.carrier", "C-99", True),
        ("plc.ack", 7, False),
    ]
    assert str(written[2]["error"]).startswith("plc.ack: 7 is no bool")


def test_an_unreachable_device_is_named_with_its_address(rig: Rig) -> None:
    async def job() -> None:
        device = device_of(rig)
        for call in (device.connect(), device.read(["torque"]), device.write("ack", True)):
            with pytest.raises(Unreachable) as caught:
                await call
            assert "plc (" in str(caught.value)
            assert rig.address in str(caught.value)
        await device.close()

    asyncio.run(job())


def test_a_lost_server_is_noticed_at_the_next_read(rig: Rig) -> None:
    async def job() -> None:
        await rig.start()
        device = device_of(rig)
        await device.connect()
        await rig.stop()
        with pytest.raises(Unreachable, match=rig.address):
            await device.read(["torque"])
        await device.close()

    asyncio.run(job())


def test_watching_tells_the_first_values_and_then_only_changes(bench: Bench) -> None:
    async def job(rig: Rig, device: Device) -> None:
        told: list[ReadingBlock] = []
        watch = asyncio.create_task(device.watch(["done", "count"], told.append))
        await until(lambda: told, "the first values")
        assert told[0].listed() == (False, 7)
        first_us = device.seen_us
        await until(lambda: device.seen_us > first_us, "another poll")
        assert len(told) == 1
        await rig.set("count", 8)
        await until(lambda: told[-1].value("count") == 8, "the change")
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch

    bench.run(job)


def test_a_restarted_server_heals_by_itself(rig: Rig) -> None:
    async def job() -> None:
        events: list[DeviceEvent] = []
        told: list[ReadingBlock] = []
        supervisor = Supervisor(device_of(rig), SystemClock(), events.append, longest_pause_s=0.3)
        supervisor.watch(["done", "count"], told.append)
        running = asyncio.create_task(supervisor.run())  # before the server: start order does not matter
        await until(lambda: events, "the first failure")
        assert events[0].state == "lost"
        assert rig.address in (events[0].error or "")
        with pytest.raises(Unreachable):
            await supervisor.read(["torque"])
        await rig.start()
        await until(lambda: told, "the first values")
        await rig.stop()
        await until(lambda: not supervisor.connected, "the loss")
        with pytest.raises(Unreachable):
            await supervisor.write("ack", True)
        if isinstance(rig, OpcUaRig):
            rig.other_namespaces = ("urn:newcomer", "urn:another")
        rig.values["count"] = 9
        await rig.start()
        await until(lambda: told[-1].value("count") == 9, "the values after the restart")
        await supervisor.write("ack", True)
        assert (await supervisor.read(["ack"])).listed() == (True,)
        assert [event.state for event in events] == ["lost", "connected", "lost", "connected"]
        assert supervisor.error is None
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await rig.stop()

    asyncio.run(job())
