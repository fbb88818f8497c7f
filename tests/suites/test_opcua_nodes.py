"""What a node may hold and how it may be named, read from a server that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver_rigs import until
from opcua_rig import Rig

from drivers.base import ReadingBlock
from drivers.opcua import OpcUa, codec, reading
from drivers.opcua.certificates import create
from drivers.tags.opcua_security import CERTIFICATE, KEY
from records.clock import SystemClock
from records.errors import Invalid, Refused, Unreachable
from tests.rigs.opcua_server import ServerSettings

pytestmark = pytest.mark.node_opcua


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    found = Rig(tmp_path_factory.mktemp("nodes"))
    yield found
    found.server.stop()


SCALARS: dict[str, tuple[str, Any]] = {
    "Boolean": ("bool", True),
    "SByte": ("int8", -128),
    "Byte": ("uint8", 255),
    "Int16": ("int16", -32768),
    "UInt16": ("uint16", 65535),
    "Int32": ("int32", -2147483648),
    "UInt32": ("uint32", 4294967295),
    "Int64": ("int64", -9223372036854775808),
    "UInt64": ("uint64", 18446744073709551615),
    "Float": ("float32", 1.5),
    "Double": ("float64", 0.1),
    "String": ("string", "Ünï 测试"),
    "DateTime": ("datetime", "2026-11-25T12:34:56.789000Z"),
    "Guid": ("guid", "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
    "ByteString": ("bytestring", "00ff10"),
    "XmlElement": ("xmlelement", "<a/>"),
    "NodeId": ("node_id", "i=2258"),
    "StatusCode": ("status_code", 0x808C0000),
    "QualifiedName": ("qualified_name", "named"),
    "LocalizedText": ("localized_text", "text"),
}


def test_every_built_in_type_and_arrays_of_it(rig: Rig) -> None:
    place = 'namespace_uri: "urn:test", identifier:'
    lines = [f"name: s{name}, {place} s=Scalar.{name}, data_type: {told}" for name, (told, _) in SCALARS.items()]
    lines += [
        f'name: a{name}, {place} s=Array.{name}, data_type: "{told}[]"' for name, (told, _) in SCALARS.items()
    ]
    lines += [f"name: u{name}, {place} s=Scalar.{name}" for name in SCALARS]
    lines += [f"name: e{name}, {place} s=Array.{name}, array_index: 1" for name in SCALARS]
    block = rig.read("\n".join(lines))
    assert dict(zip(block.tags, block.words(), strict=True)) == dict.fromkeys(block.tags, "Good")
    for name, (told, value) in SCALARS.items():
        assert block.value(f"s{name}") == value
        assert block.value(f"a{name}") == [value, value]
        assert block.value(f"u{name}") == value
        assert block.value(f"e{name}") == value
        assert block.reading(f"u{name}").data_type == block.reading(f"e{name}").data_type == told
        assert block.reading(f"e{name}").raw == block.reading(f"s{name}").raw


def test_the_same_values_by_the_librarys_own_way_and_with_security(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(
        f'name: {kind[0].lower()}{name}, namespace_uri: "urn:test", identifier: s={kind}.{name}'
        for name in SCALARS
        for kind in ("Scalar", "Array")
    )
    block = rig.read(lines)
    create(tmp_path, "sealing-1", ("line-pc",), SystemClock().now_us(), 365)
    own = f"certificate: {tmp_path}/{CERTIFICATE}, private_key: {tmp_path}/{KEY}"
    pin = f'server_fingerprint: "{rig.server.own.fingerprint}"'
    for mode in ("Sign", "SignAndEncrypt"):
        secured = rig.read(lines, security=f"policy: Basic256Sha256, mode: {mode}, {own}, {pin}")
        assert secured.same_as(block)
        assert [secured.raw[n] for n in range(len(block.tags))] == [block.raw[n] for n in range(len(block.tags))]
    monkeypatch.setattr(codec, "FITS", False)
    assert rig.read(lines).same_as(block)
    # and what the library decodes and encodes again is decoded to the same
    decode = reading.Decoder.columns
    calls: list[int] = []

    def refusing(decoder: Any, data: bytes) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise reading.binary.Malformed("on purpose")
        return decode(decoder, data)

    monkeypatch.setattr(reading.Decoder, "columns", refusing)
    assert rig.read(lines).same_as(block)
    assert len(calls) == 2


def test_elements_names_fields_and_matrices(rig: Rig) -> None:
    block = rig.read(
        """
        name: third, namespace_uri: "urn:test", identifier: s=profile, array_index: 2, data_type: float64
        name: fourth, namespace_uri: "urn:test", identifier: s=profile, array_index: 3, data_type: float64
        name: matrix, namespace_uri: "urn:test", identifier: s=Matrix
        name: cell, namespace_uri: "urn:test", identifier: s=Matrix, array_index: 4
        name: mode, namespace_uri: "urn:test", identifier: s=Mode, data_type: enum
        name: own, namespace_uri: "urn:test", identifier: s=Mode, enumeration: {0: idle, 4: going}
        name: other, namespace_uri: "urn:test", identifier: s=Mode, enumeration: {0: idle}
        name: no_enum, namespace_uri: "urn:test", identifier: s=count, data_type: enum
        name: temperature, namespace_uri: "urn:test", identifier: s=Seal, field: Temperature, data_type: float64
        name: label, namespace_uri: "urn:test", identifier: s=Seal, field: Label
        name: mistyped, namespace_uri: "urn:test", identifier: s=Seal, field: Label, data_type: float64
        name: nowhere, namespace_uri: "urn:test", identifier: s=Seal, field: Nest.Deeper
        name: seal, namespace_uri: "urn:test", identifier: s=Seal, data_type: structure, role: record
        name: no_structure, namespace_uri: "urn:test", identifier: s=count, field: Label
        """
    )
    told = dict(zip(block.tags, zip(block.listed(), block.words(), strict=True), strict=True))
    assert told == {
        "third": (3.5, "Good"),
        "fourth": (None, "BadIndexRangeNoData"),
        "matrix": ([1, 2, 3, 4, 5, 6], "Good"),
        "cell": (5, "Good"),
        "mode": ("Running", "Good"),
        "own": ("going", "Good"),
        "other": (None, "BadNotListed"),
        "no_enum": (None, "BadDataTypeIdUnknown"),
        "temperature": (131.4, "Good"),
        "label": ("A", "Good"),
        "mistyped": (None, "BadTypeMismatch"),
        "nowhere": (None, "BadTypeMismatch"),
        "seal": ({"Temperature": 131.4, "Good": True, "Nest": 2, "Label": "A"}, "Good"),
        "no_structure": (None, "BadTypeMismatch"),
    }
    assert block.reading("temperature").data_type == "float64"
    assert block.reading("mode").raw == "0604000000"


def test_browse_paths(rig: Rig) -> None:
    block = rig.read(
        """
        name: by_uri, browse_path: "/Objects/nsu=urn:test;Line/nsu=urn:test;torque"
        name: in_uri, namespace_uri: "urn:test", browse_path: "/Objects/Line/torque"
        name: state, browse_path: "/Objects/Server/ServerStatus/State"
        name: nowhere, namespace_uri: "urn:test", browse_path: "/Objects/Line/nothing"
        name: unknown, namespace_uri: "urn:none", browse_path: "/Objects/Line/torque"
        """
    )
    assert block.listed() == (2.2, 2.2, 0, None, None)
    assert block.words()[3:] == ("BadNoMatch", "BadNamespaceUnknown")


def test_units_and_ranges_of_the_server(rig: Rig) -> None:
    tags = """
        name: told, namespace_uri: "urn:test", identifier: s=Pressure, range: server
        name: own, namespace_uri: "urn:test", identifier: s=Pressure, unit: mbar, range: [0, 5]
        name: free, namespace_uri: "urn:test", identifier: s=Pressure
        name: none, namespace_uri: "urn:test", identifier: s=torque, range: server
    """
    block = rig.read(tags)
    assert [reading.unit for reading in block.readings()] == ["bar", "mbar", "bar", None]
    words = ("Good", "UncertainEngineeringUnitsExceeded", "Good", "Good")
    assert block.words() == words
    rig.server.set("Pressure", 10.5)
    assert rig.read(tags).words() == ("UncertainEngineeringUnitsExceeded",) * 2 + ("Good",) * 2
    rig.server.set("Pressure", 5.5)


def test_a_clock_that_was_never_set_makes_values_uncertain(rig: Rig) -> None:
    tags = 'name: torque, namespace_uri: "urn:test", identifier: s=torque'
    rig.server.set("torque", 2.5, source="2000-01-01T00:00:00Z")
    block = rig.read(tags)
    assert (block.value("torque"), block.words()) == (2.5, ("UncertainClock",))
    assert block.reading("torque").source_us == 946_684_800_000_000
    rig.server.set("torque", 2.2)


def test_a_dead_node_is_asked_for_slowly_and_heals(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = codec.ask

    async def counting(session: Any, request: codec.Request, now_us: int, timeout_s: float) -> bytes:
        asked.append(len(request.request.Parameters.NodesToRead))
        return await ask(session, request, now_us, timeout_s)

    async def job(device: OpcUa) -> None:
        names = ["torque", "missing", "count"]
        for _ in range(3):
            block = await device.read(names)
            assert block.listed() == (2.2, None, 7)
            assert block.words() == ("Good", "BadNodeIdUnknown", "Good")
        assert asked == [3, 2, 2]
        await device._reader.retry()
        assert (await device.read(names)).words()[1] == "BadNodeIdUnknown"
        assert asked[3:] == [1, 2]
        rig.server.tell("add", node="missing", type="Int32", value=5)
        await device._reader.retry()
        assert (await device.read(names)).listed() == (2.2, 5, 7)
        rig.server.tell("delete", node="missing")
        assert (await device.read(names)).listed() == (2.2, None, 7)
        rig.server.tell("add", node="missing", type="Int32", value=6)
        # by itself, as every RETRY_S
        await until_healed(device, names)
        rig.server.tell("delete", node="missing")

    async def until_healed(device: OpcUa, names: list[str]) -> None:
        for _ in range(500):
            if (await device.read(names)).listed() == (2.2, 6, 7):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the node did not heal")

    monkeypatch.setattr(codec, "ask", counting)
    monkeypatch.setattr(reading, "RETRY_S", 0.05)
    tags = "\n".join(
        f'name: {n}, namespace_uri: "urn:test", identifier: s={n}' for n in ("torque", "missing", "count")
    )
    rig.run(tags, job)


def test_one_answer_that_nobody_understands_costs_one_reading(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = reading.decoded

    def strange(decoder: Any, count: int, answer: bytes) -> Any:
        if b"C-017" in answer:
            raise reading.binary.Malformed("on purpose")
        return decode(decoder, count, answer)

    async def job(device: OpcUa) -> None:
        block = await device.read(["torque", "carrier", "count"])
        assert block.listed() == (2.2, None, 7)
        assert block.words() == ("Good", "BadDecodingError", "Good")

    monkeypatch.setattr(reading, "decoded", strange)
    tags = "\n".join(
        f'name: {n}, namespace_uri: "urn:test", identifier: s={n}' for n in ("torque", "carrier", "count")
    )
    rig.run(tags, job)


def test_methods(rig: Rig) -> None:
    tags = """
        name: start, namespace_uri: "urn:test", identifier: s=count, method: s=Station.Start, access: write
        name: count, namespace_uri: "urn:test", identifier: s=count, access: write
        name: lost, namespace_uri: "urn:test", identifier: s=count, method: s=nothing, access: write
    """

    async def job(device: OpcUa) -> None:
        assert await device.call("start", [41]) == (42,)
        with pytest.raises(Refused, match=r"refused to call s=Station.Start of start: BadOutOfRange"):
            await device.call("start", [0])
        with pytest.raises(Invalid, match="takes 1 arguments, not 2"):
            await device.call("start", [1, 2])
        with pytest.raises(Invalid, match="'x' is no uint32"):
            await device.call("start", ["x"])
        with pytest.raises(Invalid, match="has no method"):
            await device.call("count", [1])
        with pytest.raises(Refused, match="belongs to 0 objects"):
            await device.call("lost", [])
        await device.write("start", 7)  # the node holds 7 already: what the method was to bring about
        device._writer._timeout_s = 0.1
        with pytest.raises(Refused, match=r"took 8 for start, but holds 7 \(Good\)"):
            await device.write("start", 8)

    rig.run(tags, job)
    writes = rig.codes("plc-write")
    assert [write.get("error") is None for write in writes] == [
        True,
        False,
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    assert writes[0] == {"tag": "plc.start", "value": "41", "verified": None}
    assert writes[6] == {"tag": "plc.start", "value": 7, "verified": True}
    assert writes[7]["verified"] is False


def test_requests_keep_to_the_servers_limits(tmp_path: Path) -> None:
    limits = {"maxNodesPerRead": 3, "maxMonitoredItemsPerCall": 2, "maxNodesPerTranslateBrowsePathsToNodeIds": 2}
    rig = Rig(tmp_path, ServerSettings(limits=limits))
    names = list(SCALARS)

    async def job(device: OpcUa) -> None:
        told: list[ReadingBlock] = []
        block = await device.read([f"p{name}" for name in names])
        assert block.listed() == tuple(value for _, value in SCALARS.values())
        watch = asyncio.ensure_future(device.watch([f"t{name}" for name in names], told.append))
        await until(lambda: len({block.tags for block in told}) == len(names), "all values")
        assert {block.tags[0][1:]: block.at(0) for block in told} == {n: v for n, (_, v) in SCALARS.items()}
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    try:
        place = 'namespace_uri: "urn:test", browse_path: /Objects/Line/Scalar.'
        lines = [f"name: p{name}, {place}{name}" for name in names]
        lines += [f"name: t{name}, {place}{name}, mode: subscribe" for name in names]
        rig.run("\n".join(lines), job)
    finally:
        rig.server.stop()


def test_writes_by_name_and_by_the_servers_type(rig: Rig) -> None:
    tags = """
        name: mode, namespace_uri: "urn:test", identifier: s=Mode, enumeration: {0: idle, 4: going}, access: write
        name: when, namespace_uri: "urn:test", identifier: s=Scalar.DateTime, data_type: datetime, access: write
        name: small, namespace_uri: "urn:test", identifier: s=Scalar.Int16, access: write
    """

    async def job(device: OpcUa) -> None:
        for tag, value, first in (
            ("mode", "idle", "going"),
            ("when", "2026-01-02T03:04:05.000000Z", SCALARS["DateTime"][1]),
            ("small", 12, -32768),
        ):
            await device.write(tag, value)
            assert (await device.read([tag])).at(0) == value
            await device.write(tag, first)
        with pytest.raises(Invalid, match="'fast' is none of idle, going"):
            await device.write("mode", "fast")
        with pytest.raises(Invalid, match="99999 does not fit into int16"):
            await device.write("small", 99999)

    rig.run(tags, job)


def test_without_a_session_nothing_is_read(rig: Rig) -> None:
    async def job() -> None:
        device = rig.device('name: torque, namespace_uri: "urn:test", identifier: s=torque')
        with pytest.raises(Unreachable, match="not connected"):
            await device.read(["torque"])

    asyncio.run(job())
