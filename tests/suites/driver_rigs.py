"""Real protocol servers with the same six tags, so that one suite runs over every device driver."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from asyncua import Server, ua
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.base import Device, Notice, OnNotice
from drivers.factory import build_device
from drivers.tags import Devices
from records.clock import SystemClock
from records.yaml import Settings, parse
from simulators import standard_nodes
from simulators.sockets import free_port

DEADLINE_S = 30.0
TAGS = ("torque", "count", "done", "ack", "carrier")


class LineFile(Settings):
    devices: Devices


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, with a deadline that says what did not come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"did not happen: {what}")
        await asyncio.sleep(0.005)


class Rig(Protocol):
    """``address``: how messages name the device."""

    address: str
    yaml: str
    values: dict[str, Any]

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def set(self, tag: str, value: Any) -> None: ...
    async def get(self, tag: str) -> Any: ...


class Bench:
    """A rig whose server stays up for many tests (asyncua takes a second or two to start), and its event loop."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.told: list[Notice] = []
        self._runner = asyncio.Runner()
        self._first = dict(rig.values)
        self._runner.run(rig.start())

    def run(self, job: Callable[[Any, Device], Coroutine[Any, Any, None]]) -> None:
        """Run a test with a connected driver on a server that has its first values."""

        async def whole() -> None:
            for tag, value in self._first.items():
                await self.rig.set(tag, value)
            self.told.clear()
            device = device_of(self.rig, tell=self.told.append)
            await device.connect()
            try:
                await job(self.rig, device)
            finally:
                await device.close()

        self._runner.run(whole())

    def close(self) -> None:
        self._runner.run(self.rig.stop())
        self._runner.close()


def device_of(rig: Rig, text: str | None = None, tell: OnNotice = lambda _: None) -> Device:
    """The driver for a rig, from YAML as a line engineer writes it."""
    settings = parse((text or rig.yaml).encode(), LineFile).value.devices["plc"]
    return build_device("plc", settings, SystemClock(), tell)  # type: ignore[arg-type]


_UA_TYPES = {
    "torque": (2.2, ua.VariantType.Double),
    "count": (7, ua.VariantType.UInt32),
    "done": (False, ua.VariantType.Boolean),
    "ack": (False, ua.VariantType.Boolean),
    "carrier": ("C-017", ua.VariantType.String),
    "profile": ([1.5, 2.5, 3.5], ua.VariantType.Double),
}


class OpcUaRig:
    """asyncua's own server; ``other_namespaces`` come before ours, as after a change of the PLC's program."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.other_namespaces: tuple[str, ...] = ()
        self.server: Server | None = None
        self.values = {tag: value for tag, (value, _) in _UA_TYPES.items()}
        self.nodes: dict[str, Any] = {}
        self.yaml = f"""
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:{self.port}/
    security: {{policy: None, allow_insecure: true}}
    poll_interval: 20ms
    publish_interval: 20ms
    timeout: 5s
    tags:
      - {{name: torque, namespace_uri: "urn:test", identifier: s=torque, data_type: float64, unit: N.m,
         role: characteristic}}
      - {{name: count, namespace_uri: "urn:test", identifier: s=count, data_type: uint32, role: counter}}
      - {{name: done, namespace_uri: "urn:test", identifier: s=done, data_type: bool, role: trigger}}
      - {{name: ack, namespace_uri: "urn:test", identifier: s=ack, data_type: bool, access: write}}
      - {{name: carrier, namespace_uri: "urn:test", identifier: s=carrier, data_type: string, access: write}}
      - {{name: missing, namespace_uri: "urn:test", identifier: s=nothing, data_type: float64}}
      - {{name: foreign, namespace_uri: "urn:other", identifier: s=nothing, data_type: float64}}
      - {{name: profile, namespace_uri: "urn:test", identifier: s=profile, data_type: "float64[]", unit: N}}
      - {{name: mistyped, namespace_uri: "urn:test", identifier: s=carrier, data_type: float64}}
      - {{name: untyped, namespace_uri: "urn:test", identifier: s=count}}
      - {{name: told, namespace_uri: "urn:test", identifier: s=count, mode: subscribe, sampling_interval: 10ms,
         queue_size: 10}}
      - {{name: doomed, namespace_uri: "urn:test", identifier: s=doomed, data_type: int32}}
      - {{name: told_missing, namespace_uri: "urn:test", identifier: s=nothing, mode: subscribe}}
"""

    async def start(self) -> None:
        server = Server()
        await standard_nodes.load_into(server)
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for uri in self.other_namespaces:
            await server.register_namespace(uri)
        index = await server.register_namespace("urn:test")
        for tag, (_, kind) in _UA_TYPES.items():
            node = await server.nodes.objects.add_variable(ua.NodeId(tag, index), tag, self.values[tag], kind)
            await node.set_writable()
            self.nodes[tag] = node
        await server.start()
        self.server = server

    async def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            await server.stop()

    async def set(self, tag: str, value: Any) -> None:
        self.values[tag] = value
        await self.nodes[tag].write_value(value, _UA_TYPES[tag][1])

    async def tell(self, tag: str, found: ua.DataValue) -> None:
        """A value with its own status and times."""
        await self.nodes[tag].write_value(found)

    async def get(self, tag: str) -> Any:
        return await self.nodes[tag].read_value()


_REGISTERS = {"torque": (100, 2), "count": (2, 2), "done": (0, 1), "ack": (1, 1), "carrier": (10, 8)}
_READ_HOLDING, _WRITE_HOLDING = 3, 16


def _words(raw: bytes) -> list[int]:
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


def registers_of(tag: str) -> tuple[int, int]:
    """First register and count of a tag of the Modbus rigs."""
    return _REGISTERS[tag]


def decode_words(tag: str, words: list[int]) -> Any:
    """What the registers of a tag of the Modbus rigs say."""
    if tag == "carrier":
        return struct.pack(f">{len(words)}H", *words).rstrip(b"\0").decode()
    return bool(words[0]) if tag in ("done", "ack") else words


class ModbusRig:
    """pymodbus' own server: registers 0..17 and 100..107 exist, the others do not; CDAB as so many PLCs."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.server: ModbusTcpServer | None = None
        self.values: dict[str, Any] = {"torque": 2.25, "count": 7, "done": False, "ack": False, "carrier": "C-017"}
        self.requests: list[tuple[int, int, int]] = []
        self.yaml = f"""
devices:
  plc:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {self.port}
    byte_order: CDAB
    poll_interval: 20ms
    timeout: 5s
    tags:
      - {{name: torque, address: 100, data_type: float32, unit: N.m, role: characteristic}}
      - {{name: count, address: 2, data_type: uint32, role: counter}}
      - {{name: done, address: 0, data_type: bool, role: trigger}}
      - {{name: ack, address: 1, data_type: bool, access: write}}
      - {{name: carrier, address: 10, length: 8, data_type: string, access: write}}
      - {{name: missing, address: 20, data_type: float32}}
      - {{name: passed, register: input, address: 7, bit: 3}}
      - {{name: lamp, register: coil, address: 2, access: write}}
      - {{name: door, register: discrete, address: 1}}
      - {{name: level, address: 102, data_type: int16, scale: 0.1, offset: -5, access: write}}
      - {{name: wide, address: 104, data_type: float64, byte_order: ABCD, access: write}}
"""

    async def start(self) -> None:
        async def note(code: int, start: int, address: int, count: int, now: Any, wanted: Any) -> None:
            self.requests.append((code, address, count))

        registers = {table: [SimData(0, values=[0] * 18, datatype=DataType.REGISTERS)] for table in ("hr", "ir")}
        registers["hr"].append(SimData(100, values=[0] * 8, datatype=DataType.REGISTERS))
        bits = [SimData(0, values=[False, True, False, False] * 4, datatype=DataType.BITS)]
        device = SimDevice(1, simdata=(list(bits), list(bits), registers["hr"], registers["ir"]), action=note)
        self.server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self.server.serve_forever(background=True)
        for tag, value in self.values.items():
            await self.set(tag, value)
        await self.poke(4, 7, [0b1010])

    async def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            await server.shutdown()

    async def set(self, tag: str, value: Any) -> None:
        self.values[tag] = value
        address, count = _REGISTERS[tag]
        raw = {
            "torque": lambda: struct.pack(">f", value),
            "count": lambda: struct.pack(">I", value),
            "carrier": lambda: str(value).encode().ljust(2 * count, b"\0"),
        }.get(tag, lambda: struct.pack(">H", value))()
        words = _words(raw)
        await self.poke(_WRITE_HOLDING, address, words[::-1] if tag in ("torque", "count") else words)

    async def poke(self, code: int, address: int, values: list[int]) -> None:
        assert self.server is not None
        await self.server.async_setValues(1, code, address, values)

    async def get(self, tag: str) -> Any:
        assert self.server is not None
        address, count = registers_of(tag)
        return decode_words(tag, await self.server.async_getValues(1, _READ_HOLDING, address, count))
