"""The PLCs of OP10 and OP20: an OPC UA server with string node ids in a namespace of its own.

Open on loopback (no security policy): it stands in for a plant in tests and demos. Clients may write the two
inputs and nothing else, as at a real PLC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds

from records.clock import Clock, from_us
from records.errors import Unreachable
from simulators import standard_nodes
from simulators.plant import PROFILE_POINTS, Value
from simulators.plc import INPUTS, ORDER, Plc
from simulators.sockets import free_port

NAMESPACE = "urn:lotkeeper:sim:{name}"

_TYPES = {
    "Cycle.Running": ua.VariantType.Boolean,
    "Cycle.Done": ua.VariantType.Boolean,
    "Cycle.Count": ua.VariantType.UInt32,
    "Cycle.Ack": ua.VariantType.Boolean,
    "Cycle.Result": ua.VariantType.UInt16,
    "Station.Permit": ua.VariantType.Boolean,
    "Station.Mode": ua.VariantType.UInt16,
    "Carrier.Id": ua.VariantType.String,
    "Order.Id": ua.VariantType.String,
    "Parts.Total": ua.VariantType.UInt32,
}

ASSEMBLER: dict[str, Value] = {"Process.Torque": 0.0, "Process.Angle": 0.0}
WELDER: dict[str, Value] = {
    "Process.Energy": 0.0,
    "Process.Collapse": 0.0,
    "Process.ForceProfile": (0.0,) * PROFILE_POINTS,
    ORDER: "",
}


class OpcUaPlc(Plc):
    """An OPC UA server over the PLC's memory."""

    def __init__(
        self, name: str, initial: Mapping[str, Value], *, clock: Clock, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(name, initial, host, port)
        self._clock = clock
        self._server: Server | None = None
        self._nodes: dict[str, ua.NodeId] = {}

    @property
    def url(self) -> str:
        return f"opc.tcp://{self.host}:{self.port}"

    async def start(self) -> None:
        self.port = self.port or free_port(self.host)
        # a new server each time: sessions of the one before are gone, as after a real restart
        server = await _bare_server()
        await self._fill(server)
        try:
            await server.start()
        except OSError as error:
            raise Unreachable(
                f"{self.name}: cannot listen on {self.url}: {error.strerror}", hint="choose another port"
            ) from error
        self._server = server

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _publish(self, tags: Iterable[str]) -> None:
        if self._server is None:
            return
        for tag in tags:
            await self._server.write_attribute_value(self._nodes[tag], self._data_value(tag))

    async def _fill(self, server: Server) -> None:
        server.set_endpoint(self.url)
        server.set_server_name(f"Lotkeeper simulated PLC {self.name}")
        index = await server.register_namespace(NAMESPACE.format(name=self.name))
        self._nodes = {tag: ua.NodeId.from_string(f"ns={index};s={tag}") for tag in self.memory}
        machine = await server.nodes.objects.add_object(
            ua.NodeId.from_string(f"ns={index};s={self.name}"), self.name
        )
        for tag, node_id in self._nodes.items():
            first = self._data_value(tag)
            node = await machine.add_variable(node_id, tag, first.Value)
            await node.write_value(first)
            if tag in INPUTS:
                await node.set_writable()
                server.iserver.aspace.add_datachange_callback(node_id, AttributeIds.Value, self._input(tag))

    def _input(self, tag: str) -> _OnWrite:
        return _OnWrite(self, tag)

    def _data_value(self, tag: str) -> ua.DataValue:
        value = self.memory[tag]
        now = cast(ua.DateTime, from_us(self._clock.now_us()))
        if isinstance(value, tuple):
            variant = ua.Variant(list(value), ua.VariantType.Double, is_array=True)
        else:
            variant = ua.Variant(value, _TYPES.get(tag, ua.VariantType.Double))
        return ua.DataValue(variant, SourceTimestamp=now, ServerTimestamp=now)


class _OnWrite:
    """What the server calls when a client has written one input."""

    def __init__(self, plc: OpcUaPlc, tag: str) -> None:
        self._plc = plc
        self._tag = tag

    async def __call__(self, handle: int, value: ua.DataValue) -> None:
        if value.Value is not None:
            self._plc.written(self._tag, bool(value.Value.Value))


async def _bare_server() -> Server:
    """A server with the standard address space alone."""
    server = Server()
    await standard_nodes.load_into(server)
    server.disable_clock()
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    return server
