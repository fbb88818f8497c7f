"""The least that reading can cost: the same tags, read at the same rate, and nothing done with them.

Run as a process of its own, so that its CPU is counted like the agent's::

    python -m benchmarks.rig.floor library|drivers ENDPOINT PORT INTERVAL_S

``library``: what asyncua and pymodbus offer, as their manuals say: ``read_values`` of all nodes, registers in
blocks of 125. ``drivers``: ours, through the supervisor as in the agent, without anybody who keeps what they tell.
After each read it says when and how many values were read so far, until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from asyncua.client.client import Client
from pymodbus.client import AsyncModbusTcpClient

from benchmarks.rig.edge import both_devices
from benchmarks.rig.plant import VALUES
from drivers.base import ReadingBlock
from drivers.factory import build_device
from drivers.supervise import Supervisor
from drivers.tags import Devices, SerialScannerDevice
from records.clock import SystemClock
from records.yaml import Settings, parse

BLOCK = 125


class _LineFile(Settings):
    devices: Devices


class Counter:
    """How many values were read."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._values = 0

    def took(self, block: ReadingBlock) -> None:
        self.add(len(block.tags))

    def add(self, values: int) -> None:
        self._values += values
        print(f"{self._clock.now_us()} {self._values}", flush=True)


async def _every(interval_s: float, job: Callable[[], Awaitable[int]], counter: Counter) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        counter.add(await job())
        due = max(due + interval_s, loop.time())
        await asyncio.sleep(due - loop.time())


async def library(endpoint: str, port: int, interval_s: float, counter: Counter) -> None:
    """Both libraries, with one connection each."""
    client = Client(endpoint)
    modbus = AsyncModbusTcpClient("127.0.0.1", port=port)
    await modbus.connect()
    async with client:
        index = await client.get_namespace_index("urn:test")
        nodes = [client.get_node(f"ns={index};s=Tick.{n}") for n in range(VALUES)]

        async def opcua_values() -> int:
            return len(await client.read_values(nodes))

        async def modbus_values() -> int:
            for address in range(0, 2 * VALUES, BLOCK):
                answer = await modbus.read_holding_registers(address, count=BLOCK)
                assert len(answer.registers) == BLOCK
            return VALUES

        await asyncio.gather(_every(interval_s, opcua_values, counter), _every(interval_s, modbus_values, counter))


async def drivers(endpoint: str, port: int, interval_s: float, counter: Counter) -> None:
    """Our drivers, kept connected and watched as in the agent."""
    text = "devices:\n" + both_devices(endpoint, port, f"{interval_s}s")
    clock = SystemClock()
    supervisors = []
    for name, settings in parse(text.encode(), _LineFile).value.devices.items():
        assert not isinstance(settings, SerialScannerDevice)
        supervisor = Supervisor(build_device(name, settings, clock, lambda _: None), clock, lambda _: None)
        supervisor.watch([tag.name for tag in settings.tags], counter.took, every=True)
        supervisors.append(supervisor)
    await asyncio.gather(*(supervisor.run() for supervisor in supervisors))


async def main(kind: str, endpoint: str, port: int, interval_s: float) -> None:
    job = library if kind == "library" else drivers
    await job(endpoint, port, interval_s, Counter())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
