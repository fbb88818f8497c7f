"""Single devices for trying a connection: a PLC that runs by itself, a scanner without a line around it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from pathlib import Path

from records.clock import Clock
from simulators.jobs import GS, carrier_id
from simulators.line import PLC_TAG, Say
from simulators.plant import Physics, Value, Values
from simulators.plc import ACK, CARRIER, COUNT, DONE, ORDER, RESULT, RUNNING, TOTAL, Plc
from simulators.plc_modbus import LEAK_TESTER, WASHER, ModbusPlc
from simulators.plc_opcua import ASSEMBLER, WELDER, OpcUaPlc
from simulators.scanner import PtyScanner

PIECES = 200
"""After so many pieces a lone PLC begins the same series again."""


class OpcUaKind(StrEnum):
    ASSEMBLER = "assembler"
    WELDER = "welder"


class ModbusKind(StrEnum):
    LEAK_TESTER = "leak-tester"
    WASHER = "washer"


def opcua_plc(kind: OpcUaKind, host: str, port: int, clock: Clock) -> OpcUaPlc:
    initial = ASSEMBLER if kind is OpcUaKind.ASSEMBLER else WELDER
    return OpcUaPlc(kind.value, initial, clock=clock, host=host, port=port)


def modbus_plc(kind: ModbusKind, host: str, port: int) -> ModbusPlc:
    layout = LEAK_TESTER if kind is ModbusKind.LEAK_TESTER else WASHER
    return ModbusPlc(kind.value.replace("-", "_"), layout, host=host, port=port)


def measures(kind: OpcUaKind | ModbusKind, seed: int) -> Callable[[int], Values]:
    """What the machine of this kind measures at piece n (from 0)."""
    physics = Physics(seed, 1, PIECES, ())
    if kind is OpcUaKind.ASSEMBLER:
        return lambda piece: physics.assemble(piece % PIECES, 1)
    if kind is OpcUaKind.WELDER:
        return lambda piece: physics.weld(piece % PIECES, 1)
    if kind is ModbusKind.LEAK_TESTER:
        return lambda piece: physics.leak_test(piece % PIECES, 1)
    return lambda piece: Physics(seed, piece + 1, 1, ()).wash()


async def cycle_for_ever(plc: Plc, measured: Callable[[int], Values], every_s: float, *, handshake: bool) -> None:
    """Run cycle after cycle. Without ``handshake`` Done falls by itself, so that nothing need answer."""
    piece = 0
    while True:
        arrived: dict[str, Value] = {RUNNING: True, CARRIER: carrier_id(piece % PIECES)}
        if ORDER in plc.memory:
            arrived[ORDER] = "WO-1000"
        await plc.show(arrived)
        await asyncio.sleep(every_s / 2)
        values = {PLC_TAG[tag]: value for tag, value in measured(piece).items() if tag in PLC_TAG}
        count: dict[str, Value] = {RESULT: 1, COUNT: piece + 1, TOTAL: piece + 1}
        await plc.show({**values, **count, RUNNING: False, DONE: True})
        if handshake:
            await plc.wait_for(ACK, True)
        else:
            await asyncio.sleep(every_s / 2)
        await plc.show({DONE: False})
        if handshake:
            await plc.wait_for(ACK, False)
        piece += 1


async def typed_lines() -> AsyncIterator[str]:
    """The lines of stdin until its end; leaving early does not wait for the next one."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        while True:
            line = sys.stdin.readline()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(lines.put_nowait, line)
            if not line:
                return

    threading.Thread(target=read, daemon=True, name="stdin").start()
    while line := await lines.get():
        yield line.rstrip("\r\n")


async def _given(texts: Sequence[str]) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def scan_texts(link: Path, texts: Sequence[str], timeout_s: float, say: Say) -> bool:
    """Read these labels, or each line of stdin; true when the host took them all. ``<GS>`` is the separator."""
    scanner = PtyScanner("scanner", link)
    scanner.open()
    say(f"the scanner is at {link}")
    taken = True
    try:
        async for text in _given(texts) if texts else typed_lines():
            answer = await scanner.scan(text.replace("<GS>", GS), timeout_s)
            taken = taken and answer == "ack"
            say(f"{text}: {answer or 'no answer'}")
    finally:
        scanner.close()
    return taken
