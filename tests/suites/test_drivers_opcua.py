"""What only OPC UA has: namespaces, statuses, times, types, subscriptions, security."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Server, ua
from driver_rigs import Bench, OpcUaRig, device_of, until

from drivers.base import Device, ReadingBlock
from drivers.opcua import codec
from drivers.opcua.session import Session
from drivers.opcua.values import status_text
from records.errors import Refused, Unreachable
from records.model import Quality
from simulators import standard_nodes


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench(OpcUaRig())
    yield found
    found.close()


def test_values_are_told_as_they_are_or_not_at_all(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        block = await device.read(["profile", "mistyped", "untyped", "foreign", "torque"])
        assert block.listed() == ([1.5, 2.5, 3.5], None, 7, None, 2.2)
        assert block.types == ("float64[]", "string", "uint32", "float64", "float64")
        assert block.words() == ("Good", "BadTypeMismatch", "Good", "BadNamespaceUnknown", "Good")
        # a scalar as a binary Variant: type 11 (Double), then the value, least significant byte first
        assert block.reading("torque").raw == "0b9a99999999990140"
        assert block.reading("profile").raw is None
        assert block.reading("mistyped").raw == "0c05000000432d303137"

        await rig.set("torque", float("nan"))
        await rig.set("profile", [1.0, float("inf")])
        block = await device.read(["torque", "profile"])
        assert block.listed() == (None, None)
        assert block.words() == ("BadNotFinite", "BadNotFinite")

    bench.run(job)


def test_statuses_and_times_come_from_the_server(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        measured = datetime(2026, 11, 20, 8, 30, 0, 123456, UTC)
        for code, quality, value, status in (
            (0x40930000, Quality.UNCERTAIN, 1.25, "UncertainSensorNotAccurate"),
            (0x808C0000, Quality.BAD, None, "BadSensorFailure"),
            (0x00960000, Quality.GOOD, 1.25, "GoodLocalOverride"),
            (0x40900000, Quality.UNCERTAIN, 1.25, "UncertainLastUsableValue"),
        ):
            await rig.tell("torque", ua.DataValue(ua.Variant(1.25), ua.StatusCode(code), measured))
            reading = (await device.read(["torque"])).reading("torque")
            assert (reading.quality, reading.value, reading.status) == (quality, value, status)
            if value is not None:
                assert reading.source_us == 1_795_163_400_123_456
        assert (await device.read(["count"])).listed() == (7,)

    bench.run(job)


def test_words_of_statuses_begin_with_their_quality() -> None:
    for code, word in {
        0: "Good",
        0x00000480: "Good+Overflow",
        0x40930480: "UncertainSensorNotAccurate+Overflow",
        0x80050000: "BadCommunicationError",
        0x80320000: "BadWaitingForInitialData",
        0x8FFF0000: "Bad0x8FFF0000",
        0xC0000000: "Bad",
    }.items():
        assert status_text(code) == word


def test_a_subscription_tells_every_value_with_its_times(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        told: list[ReadingBlock] = []
        watch = asyncio.create_task(device.watch(["told", "told_missing", "done"], told.append))
        await until(
            lambda: {tag for block in told for tag in block.tags} == {"told", "told_missing", "done"}, "all"
        )
        for count in range(20, 26):
            await rig.set("count", count)
        await until(lambda: told[-1].tags == ("told",) and told[-1].value("told") == 25, "the last value")
        values = [block.value("told") for block in told if "told" in block.tags]
        assert values == [7, 20, 21, 22, 23, 24, 25]
        assert told[-1].reading("told").source_us
        # what cannot be subscribed is polled, together with the polled tags
        missing = next(block for block in told if "told_missing" in block.tags)
        assert missing.reading("told_missing").status == "BadNodeIdUnknown"
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    bench.run(job)


def test_a_lost_subscription_is_unreachable() -> None:
    async def job() -> None:
        rig = OpcUaRig()
        await rig.start()
        device = device_of(rig)
        await device.connect()
        told: list[ReadingBlock] = []
        watch = asyncio.create_task(device.watch(["told"], told.append))
        await until(lambda: told, "the first value")
        await rig.stop()
        with pytest.raises(Unreachable, match="subscription"):
            await watch
        await device.close()

    asyncio.run(job())


def test_a_write_that_the_server_refuses_is_told(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        await rig.nodes["ack"].set_read_only()
        with pytest.raises(Refused, match="refused to write ack: Bad") as caught:
            await device.write("ack", True)
        assert f"127.0.0.1:{rig.port}" in str(caught.value)
        await rig.nodes["ack"].set_writable()

    bench.run(job)


def test_a_value_that_does_not_stay_is_told(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        server = rig.server
        assert isinstance(server, Server)
        aspace = server.iserver.aspace
        node = rig.nodes["carrier"].nodeid
        write = aspace.write_attribute_value

        async def stubborn(nodeid: ua.NodeId, attr: Any, value: ua.DataValue) -> ua.StatusCode:
            if nodeid == node:
                value = ua.DataValue(ua.Variant("C-000", ua.VariantType.String))
            return await write(nodeid, attr, value)

        aspace.write_attribute_value = stubborn  # type: ignore[method-assign]
        with pytest.raises(Refused, match="took 'C-99' for carrier, but holds 'C-000'"):
            await device.write("carrier", "C-99")
        aspace.write_attribute_value = write  # type: ignore[method-assign]

    bench.run(job)


def test_a_server_that_speaks_something_else_is_unreachable() -> None:
    async def job() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ready\r\n")
            await reader.read()
            writer.close()

        rig = OpcUaRig()
        server = await asyncio.start_server(greet, "127.0.0.1", rig.port)
        device = device_of(rig, rig.yaml.replace("timeout: 5s", "timeout: 500ms"))
        with pytest.raises(Unreachable, match=f"127.0.0.1:{rig.port}"):
            await device.connect()
        await device.close()
        server.close()

    asyncio.run(job())


def test_a_server_that_wants_security_says_what_it_offers() -> None:
    async def job() -> None:
        rig = OpcUaRig()
        server = Server()
        await standard_nodes.load_into(server)
        server.set_endpoint(f"opc.tcp://127.0.0.1:{rig.port}/")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.start()
        device = device_of(rig)
        with pytest.raises((Refused, Unreachable)) as caught:
            await device.connect()
        assert f"127.0.0.1:{rig.port}" in str(caught.value)
        await device.close()
        await server.stop()

    asyncio.run(job())


def test_sessions_do_not_pile_up_on_the_server(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        assert rig.server is not None
        for _ in range(5):
            await device.connect()
        await until(lambda: len(rig.server.bserver.clients) == 1, "the old connections' end")  # type: ignore[union-attr]

    bench.run(job)


def test_a_session_with_a_server_that_hangs_leaves_no_socket(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        assert rig.server is not None
        hasty = device_of(rig, rig.yaml.replace("timeout: 5s", "timeout: 500ms"))
        before = set(rig.server.bserver.clients)
        await hasty.connect()
        protocol = hasty._session.client.uaclient.protocol  # type: ignore[attr-defined]
        for client in set(rig.server.bserver.clients) - before:
            client.transport.pause_reading()
        with pytest.raises(Unreachable, match="no answer in time"):
            await hasty.read(["torque"])
        hasty._session.client.uaclient.mark_disconnected()  # type: ignore[attr-defined]  as asyncua's watchdog does
        await hasty.close()
        await until(lambda: protocol.transport is None, "the socket's end")
        for client in set(rig.server.bserver.clients) - before:
            client.transport.resume_reading()

    bench.run(job)


def test_a_group_is_one_request(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        sizes: list[int] = []
        ask = codec.ask

        async def counting(session: Session, request: codec.Request, now_us: int, timeout_s: float) -> bytes:
            sizes.append(len(request.request.Parameters.NodesToRead))
            return await ask(session, request, now_us, timeout_s)

        monkeypatch.setattr(codec, "ask", counting)
        await device.read(["torque", "count", "done", "ack", "carrier", "foreign"])
        assert sizes == [5]

    bench.run(job)


def test_a_browse_path_that_leads_to_two_nodes_is_bad(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        assert rig.server is not None
        objects, index = rig.server.nodes.objects, await rig.server.get_namespace_index("urn:test")
        twins = [await objects.add_variable(ua.NodeId(f"twin{n}", index), "twin", n) for n in (1, 2)]
        text = rig.yaml[: rig.yaml.index("tags:")]
        text += 'tags: [{name: twin, namespace_uri: "urn:test", browse_path: "/Objects/twin"}]'
        reader = device_of(rig, text)
        await reader.connect()
        assert (await reader.read(["twin"])).words() == ("BadNoMatch",)  # a name in the namespace of its node
        await reader.close()
        for twin in twins:
            await twin.write_attribute(ua.AttributeIds.BrowseName, ua.DataValue(ua.QualifiedName("twin", index)))
        await reader.connect()
        assert (await reader.read(["twin"])).words() == ("BadTooManyMatches",)
        await twins[0].delete()
        await reader.connect()
        assert (await reader.read(["twin"])).listed() == (2,)
        await reader.close()

    bench.run(job)


def test_a_namespace_that_comes_later_is_found(bench: Bench) -> None:
    async def job(rig: OpcUaRig, device: Device) -> None:
        assert rig.server is not None
        text = rig.yaml[: rig.yaml.index("tags:")]
        text += 'tags: [{name: late, namespace_uri: "urn:late", identifier: s=late, unit: N}]'
        reader = device_of(rig, text)
        await reader.connect()
        assert (await reader.read(["late"])).words() == ("BadNamespaceUnknown",)
        index = await rig.server.register_namespace("urn:late")
        node = await rig.server.nodes.objects.add_variable(ua.NodeId("late", index), "late", 3)
        await reader._reader.retry()  # type: ignore[attr-defined]
        assert (await reader.read(["late"])).listed() == (3,)
        await reader.close()
        await node.delete()

    bench.run(job)
