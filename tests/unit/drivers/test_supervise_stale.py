"""A value that was told stale is told again when it comes back, though it is the value that it was."""

from __future__ import annotations

import asyncio

from drivers.base import ReadingBlock
from drivers.status import BAD_STALE
from drivers.supervise import Supervisor
from records.clock import Clock, SystemClock
from tests.rigs.fake_device import FakeDevice, opcua

CLOCK = SystemClock()


class Slow(FakeDevice):
    """A device that stays away from an answer until a test lets it go on."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        tag = {"name": "a", "stale_after": "100ms"}
        super().__init__("plc", opcua([tag], poll_interval="20ms"), clock)
        self.values = {"a": 1.0}
        self.free = asyncio.Event()
        self.free.set()

    async def read(self, tags, *, urgent: bool = False) -> ReadingBlock:  # type: ignore[no-untyped-def]
        await self.free.wait()
        return await super().read(tags)


def test_a_polled_value_that_comes_back_is_told() -> None:
    async def scene() -> list[int]:
        device, told = Slow(), list[int]()
        supervisor = Supervisor(device, CLOCK, lambda _: None)
        supervisor.watch(["a"], lambda block: told.append(int(block.status[0])))
        task = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(20):
            while told[-1:] != [0]:
                await asyncio.sleep(0.005)
            device.free.clear()
            while told[-1:] != [BAD_STALE]:
                await asyncio.sleep(0.005)
            device.free.set()
            ticks = device.ticks
            while device.ticks < ticks + 3:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return told

    assert asyncio.run(scene()) == [0, BAD_STALE, 0]


class SetBack(SystemClock):
    """A wall clock that a test sets back."""

    def __init__(self) -> None:
        self.off_us = 0

    def now_us(self) -> int:
        return super().now_us() - self.off_us


def test_the_newest_reading_is_what_came_last_though_the_clock_was_set_back() -> None:
    async def scene() -> None:
        clock = SetBack()
        device = Slow(clock)
        supervisor = Supervisor(device, clock, lambda _: None)
        supervisor.watch(["a"], lambda _: None)
        task = asyncio.create_task(supervisor.run())

        async def until(status: str) -> None:
            while (reading := supervisor.latest().get("a")) is None or reading.status != status:
                await asyncio.sleep(0.005)

        async with asyncio.timeout(20):
            await until("Good")
            device.free.clear()
            await until("BadStale")
            clock.off_us = 3600 * 1_000_000
            device.free.set()
            await until("Good")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
