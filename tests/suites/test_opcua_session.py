"""What a session learns of its server: limits, identity, state; and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from asyncua import Server, ua
from driver_rigs import Bench, LineFile, OpcUaRig, until

from drivers.base import Device, Notice
from drivers.opcua import session as sessions
from drivers.opcua.limits import Cap, Limits, parts
from drivers.opcua.session import Session
from drivers.tags import Devices
from records.clock import SystemClock
from records.errors import Unreachable
from records.yaml import parse
from tests.rigs.opcua_server import NodeOpcUaServer, ServerSettings

OPEN = "{policy: None, allow_insecure: true}"


def settings_of(url: str, more: str = "") -> Any:
    text = f"devices: {{plc: {{driver: opcua, endpoint: '{url}', timeout: 5s, security: {OPEN}{more}}}}}"
    devices: Devices = parse(text.encode(), LineFile).value.devices
    return devices["plc"]


def run(url: str, job: Callable[[Session], Coroutine[Any, Any, None]], told: list[Notice], more: str = "") -> None:
    async def whole() -> None:
        session = Session("plc", settings_of(url, more), SystemClock(), told.append)
        await session.connect()
        try:
            await job(session)
        finally:
            await session.close()

    asyncio.run(whole())


def test_requests_are_split_by_the_smallest_limit() -> None:
    assert [list(part) for part in parts([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert [list(part) for part in parts([1, 2], 2)] == [[1, 2]]
    limits = Limits(nodes_per_read=500, nodes_per_write=50, array_length=7).at_most(100)
    assert (limits.nodes_per_read, limits.nodes_per_write, limits.nodes_per_browse) == (100, 50, 100)
    assert limits.array_length == 7


def test_a_profile_and_the_tag_map_cap_what_is_asked_at_once() -> None:
    assert Cap.of(settings_of("opc.tcp://h:1", ", profile: siemens-s7-1500")).nodes == 100
    assert (
        Cap.of(settings_of("opc.tcp://h:1", ", profile: siemens-s7-1500, max_nodes_per_request: 40")).nodes == 40
    )
    cap = Cap.of(settings_of("opc.tcp://h:1"))
    for expected in (1000, 500, 250, 125, 62, 31, 15, 10, 10):
        cap.halve()
        assert cap.nodes == expected


@pytest.mark.node_opcua
class TestNodeOpcUa:
    @pytest.fixture
    def made(self, tmp_path: Any) -> Iterator[Callable[[ServerSettings], NodeOpcUaServer]]:
        servers: list[NodeOpcUaServer] = []

        def make(settings: ServerSettings) -> NodeOpcUaServer:
            servers.append(NodeOpcUaServer(tmp_path / str(len(servers)), settings))
            return servers[-1]

        yield make
        for server in servers:
            server.stop()

    def test_its_limits_are_kept_from_the_first_request_on(self, made: Any) -> None:
        server = made(ServerSettings(limits={"maxNodesPerRead": 3, "maxNodesPerBrowse": 2}))

        async def job(session: Session) -> None:
            assert (session.limits.nodes_per_read, session.limits.nodes_per_browse) == (3, 2)
            assert "urn:test" in session.namespaces

        run(server.url, job, told := [])
        assert [notice.code for notice in told] == ["device-identity"]

    def test_a_request_that_is_too_large_halves_the_next_sessions(self, made: Any) -> None:
        server = made(ServerSettings(limits={"maxNodesPerRead": 3}))

        async def job(session: Session) -> None:
            index = session.namespaces.index("urn:test")
            nodes = [ua.NodeId("torque", index)] * 5
            with pytest.raises(Unreachable, match="BadTooManyOperations; from now on at most 1000 nodes"):
                await session.call(session.client.uaclient.session.read_attributes(nodes, ua.AttributeIds.Value))

        run(server.url, job, [])

    def test_its_identity_comes_from_the_device_and_from_the_server(self, made: Any) -> None:
        server = made(ServerSettings(identity={"serial": "0042", "software": "V2.9.4", "model": "CPU 1516"}))

        async def job(_: Session) -> None: ...

        run(server.url, job, told := [])
        assert told[0].params == {
            "device": "plc",
            "manufacturer": "Maker",
            "model": "CPU 1516",
            "serial": "0042",
            "firmware": "V2.9.4",
            "hardware": None,
        }

    def test_sessions_do_not_pile_up_whatever_ends_them(self, made: Any) -> None:
        server = made(ServerSettings())

        async def job(session: Session) -> None:
            for _ in range(3):
                await session.connect()
                assert server.tell("sessions") == 1
            server.tell("cut")
            with pytest.raises(Unreachable):
                await session.call(session.client.get_namespace_array())
            await session.connect()
            await session.close()
            await session.close()

        run(server.url, job, [])


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench(OpcUaRig())
    yield found
    found.close()


def _state_node(rig: OpcUaRig) -> Any:
    assert isinstance(rig.server, Server)
    return rig.server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State))


def test_a_server_that_stops_running_ends_the_session_and_says_why(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "STATE_S", 0.02)

    async def job(rig: OpcUaRig, device: Device) -> None:
        assert rig.server is not None
        state = _state_node(rig)
        try:
            await device.read(["torque"])
            await state.write_value(ua.ServerState.CommunicationFault, ua.VariantType.Int32)
            await device.read(["torque"])
            await state.write_value(ua.ServerState.Suspended, ua.VariantType.Int32)
            session: Session = device._session  # type: ignore[attr-defined]
            await until(lambda: not session.connected, "the session's end")
            with pytest.raises(Unreachable, match="the server does not run, it says Suspended"):
                await device.read(["torque"])
            with pytest.raises(Unreachable, match=r"plc \(.*\): the server does not run, it says Suspended$"):
                await device.connect()
        finally:
            await state.write_value(ua.ServerState.Running, ua.VariantType.Int32)
        await device.connect()
        assert (await device.read(["torque"])).quality.tolist() == [0]

    bench.run(job)
