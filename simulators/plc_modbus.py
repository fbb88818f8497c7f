"""The PLCs of OP30 and OP40: a Modbus TCP server, unit 1, addresses from 0, 32-bit values low word first.

Holding registers 0-17 hold the handshake and the carrier, 100-105 the process values; all of 0-127 can be read
in one request, as in a PLC's mapped memory. Only Ack (1) and Permit (5) can be written. Input register 7 is the
status word, bit 3 says that the last test passed. A request is answered from one state of the memory: no value
in it can be torn.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from records.errors import Unreachable
from simulators.plant import Value
from simulators.plc import ACK, PERMIT, RESULT, Plc
from simulators.sockets import free_port

UNIT_ID = 1
HOLDING_COUNT = 128
INPUT_COUNT = 16
STATUS_WORD, PASS_BIT = 7, 3
WRITABLE = {1: ACK, 5: PERMIT}

Kind = Literal["uint16", "uint32", "float32", "string"]

BLOCK: dict[str, tuple[int, Kind]] = {
    "Cycle.Done": (0, "uint16"),
    "Cycle.Ack": (1, "uint16"),
    "Cycle.Count": (2, "uint32"),
    "Cycle.Running": (4, "uint16"),
    "Station.Permit": (5, "uint16"),
    "Station.Mode": (6, "uint16"),
    "Cycle.Result": (7, "uint16"),
    "Parts.Total": (8, "uint32"),
    "Carrier.Id": (10, "string"),
}
LEAK_TESTER: dict[str, tuple[int, Kind]] = {
    **BLOCK,
    "Process.LeakRate": (100, "float32"),
    "Process.Pressure": (102, "float32"),
}
WASHER: dict[str, tuple[int, Kind]] = {
    **BLOCK,
    "Process.Temperature": (100, "float32"),
    "Process.Conductivity": (102, "float32"),
    "Process.WashTime": (104, "float32"),
}
STRING_REGISTERS = 8


class ModbusPlc(Plc):
    """A Modbus TCP server over the PLC's memory."""

    def __init__(
        self, name: str, layout: Mapping[str, tuple[int, Kind]], *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        values: dict[str, Value] = {tag: 0.0 for tag in layout if tag.startswith("Process.")}
        super().__init__(name, values, host, port)
        self._layout = layout
        self._holding = [0] * HOLDING_COUNT
        self._input = [0] * INPUT_COUNT
        self._server: ModbusTcpServer | None = None
        self._unseen: dict[str, asyncio.Event] = {}

    @property
    def url(self) -> str:
        return f"modbus://{self.host}:{self.port}"

    async def start(self) -> None:
        self.port = self.port or free_port(self.host)
        self._encode(self._layout)
        nothing = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        device = SimDevice(
            UNIT_ID,
            (
                nothing,
                list(nothing),
                [SimData(0, count=HOLDING_COUNT, datatype=DataType.REGISTERS)],
                [SimData(0, count=INPUT_COUNT, datatype=DataType.REGISTERS)],
            ),
            action=self._on_request,
        )
        server = ModbusTcpServer(device, address=(self.host, self.port))
        try:
            await server.serve_forever(background=True)
        except (OSError, RuntimeError) as error:
            raise Unreachable(
                f"{self.name}: cannot listen on {self.url}: {error}", hint="choose another port"
            ) from error
        self._server = server

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus leaves it so

    async def seen(self, tag: str) -> None:
        """Return once a client has read the tag's registers as they are now."""
        await self._unseen.setdefault(tag, asyncio.Event()).wait()
        del self._unseen[tag]

    async def _publish(self, tags: Iterable[str]) -> None:
        self._encode(tags)

    # -- registers -----------------------------------------------------------------------------------------

    def _encode(self, tags: Iterable[str]) -> None:
        for tag in tags:
            address, kind = self._layout[tag]
            words = registers(kind, self.memory[tag])
            self._holding[address : address + len(words)] = words
        passed = self.memory[RESULT] == 1
        self._input[STATUS_WORD] = passed << PASS_BIT

    async def _on_request(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current: list[int],
        values: Sequence[int | bool] | None,
    ) -> ExcCodes | None:
        """Called by the server for each request: gives reads the memory, takes writes into it."""
        if function_code not in (3, 4, 6, 16):
            return ExcCodes.ILLEGAL_FUNCTION
        image = self._input if function_code == 4 else self._holding
        if values is None:
            end = address + count
            current[address - start_address : end - start_address] = image[address:end]
            if function_code == 3:
                self._note_seen(address, end)
            return None
        targets = [WRITABLE.get(address + offset) for offset in range(len(values))]
        if any(target is None for target in targets):
            return ExcCodes.ILLEGAL_ADDRESS
        for offset, (target, value) in enumerate(zip(targets, values, strict=True)):
            if target is not None:
                self._holding[address + offset] = int(value)
                self.written(target, bool(value))
        return None

    def _note_seen(self, first: int, end: int) -> None:
        for tag, event in self._unseen.items():
            address, kind = self._layout[tag]
            if first <= address and address + words_of(kind) <= end:
                event.set()


def words_of(kind: Kind) -> int:
    """Registers that a value of this kind takes."""
    return {"uint16": 1, "uint32": 2, "float32": 2, "string": STRING_REGISTERS}[kind]


def registers(kind: Kind, value: Value) -> list[int]:
    """A value as registers: 32-bit values low word first, text two characters a register, padded with NUL."""
    if kind == "string":
        raw = str(value).encode("ascii")[: 2 * STRING_REGISTERS].ljust(2 * STRING_REGISTERS, b"\x00")
        return list(struct.unpack(f">{STRING_REGISTERS}H", raw))
    if isinstance(value, str | tuple):
        raise TypeError(f"{value!r} is no number")
    if kind == "uint16":
        return [int(value)]
    raw = struct.pack(">f", value) if kind == "float32" else struct.pack(">I", int(value))
    high, low = struct.unpack(">HH", raw)
    return [low, high]
