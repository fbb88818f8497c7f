"""The supervisor ends when it is told to, and forgets no failure, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from drivers.base import ReadingBlock
from drivers.supervise import Supervisor
from drivers.tags import ModbusTcpDevice
from records.clock import SystemClock
from records.errors import Unreachable
from tests.rigs.fake_device import FakeDevice


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


class OneUnanswered(FakeDevice):
    """Polls take until ``go_on``; the first write is not answered."""

    def __init__(self, settings: ModbusTcpDevice) -> None:
        super().__init__("plc", settings, SystemClock())
        self.polling, self.go_on = asyncio.Event(), asyncio.Event()
        self.connects = 0

    async def connect(self) -> None:
        self.connects += 1

    async def read(self, tags: Sequence[str], *, urgent: bool = False) -> ReadingBlock:
        self.polling.set()
        await self.go_on.wait()
        return await super().read(tags, urgent=urgent)

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        raise Unreachable("plc: no answer")


def test_a_device_that_fails_while_a_new_watch_waits_for_a_poll_is_connected_again_and_polled() -> None:
    """It was taken for connected and never polled again, since the failure was forgotten and its alarm was not."""
    settings = ModbusTcpDevice.model_validate(
        {
            "driver": "modbus_tcp",
            "host": "127.0.0.1",
            "poll_interval": "20ms",
            "tags": [{"name": "done", "address": 0}, {"name": "ack", "address": 1, "access": "write"}],
        }
    )

    async def scenario() -> list[str]:
        device, events = OneUnanswered(settings), list[str]()
        supervisor = Supervisor(device, SystemClock(), lambda event: events.append(event.state))
        supervisor.watch(("done",), lambda _: None, name="stations")
        task = asyncio.create_task(supervisor.run())
        await device.polling.wait()
        supervisor.watch(("done",), lambda _: None, name="stations")  # as a reload does
        for _ in range(10):
            await asyncio.sleep(0)  # it has heard of the watch, and waits for the poll
        with pytest.raises(Unreachable):
            await supervisor.write("ack", True)
        device.go_on.set()
        polled = asyncio.Event()
        async with asyncio.timeout(5):
            while device.connects < 2:
                await asyncio.sleep(0.01)
            supervisor.watch(("done",), lambda _: polled.set(), every=True, name="telemetry")
            await polled.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return events

    assert asyncio.run(scenario()) == ["connected", "lost", "connected"]
