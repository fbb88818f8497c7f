"""A request that is answered in the moment in which it is cancelled keeps nobody waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from drivers.base import ReadingBlock
from drivers.supervise import Supervisor
from records.clock import SystemClock
from tests.rigs.fake_device import FakeDevice, opcua

CLOCK = SystemClock()


class Deaf(FakeDevice):
    """Swallows one cancellation of a read, as ``wait_for`` of Python 3.11 does when the answer is there."""

    def __init__(self) -> None:
        super().__init__("plc", opcua([{"name": "a"}, {"name": "b"}], poll_interval="20ms"), CLOCK)
        self.holds = False
        self.held = asyncio.Event()

    async def read(self, tags, *, urgent: bool = False) -> ReadingBlock:  # type: ignore[no-untyped-def]
        if self.holds:
            self.holds = False
            self.held.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return await super().read(tags)


def test_new_tags_are_read_though_a_read_before_swallowed_its_end() -> None:
    """Bug: the old poll went on for ever, and what was wanted from then on was never read."""

    async def scene() -> None:
        device, told = Deaf(), list[str]()
        supervisor = Supervisor(device, CLOCK, lambda _: None)
        supervisor.watch(["a"], lambda _: told.append("a"))
        task = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(30):
            while not told:
                await asyncio.sleep(0.005)
            device.holds = True
            await device.held.wait()
            supervisor.watch(["b"], lambda _: told.append("b"))
            while "b" not in told:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
