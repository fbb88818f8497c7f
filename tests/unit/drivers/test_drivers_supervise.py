"""The supervisor ends when it is told to, whatever the library under it does with a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from drivers.supervise import Supervisor
from drivers.tags import ModbusTcpDevice
from records.clock import SystemClock


class Deaf:
    """A device whose library swallows a cancellation while it connects."""

    name = "deaf"
    settings = ModbusTcpDevice(driver="modbus_tcp", host="127.0.0.1")
    seen_us = 0

    def __init__(self) -> None:
        self.connecting = asyncio.Event()
        self.closed = False

    async def connect(self) -> None:
        self.connecting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


def test_a_cancellation_that_the_library_swallows_still_ends_the_supervisor() -> None:
    async def scenario() -> Deaf:
        device = Deaf()
        supervisor = Supervisor(device, SystemClock(), lambda _: None)  # type: ignore[arg-type]
        task = asyncio.create_task(supervisor.run())
        await device.connecting.wait()
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done, "the supervisor goes on"
        return device

    assert asyncio.run(scenario()).closed
