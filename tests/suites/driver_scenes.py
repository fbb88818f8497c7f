"""A driver that is kept connected to a rig's server over a network that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from driver_rigs import device_of, until

from drivers.base import Notice, ReadingBlock
from drivers.supervise import DeviceEvent, Supervisor
from records.clock import SystemClock
from records.errors import Unreachable
from simulators.faults.proxy import FaultProxy

TAGS = ["torque", "count", "done", "ack", "carrier"]


@dataclass
class Scene:
    """A rig's server behind a misbehaving network, and a driver that is kept connected to it."""

    rig: Any
    proxy: FaultProxy
    supervisor: Supervisor
    events: list[DeviceEvent] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    blocks: list[ReadingBlock] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.events]

    def shows(self, tag: str, value: object) -> bool:
        """Whether the last block that tells this tag tells this value."""
        last = next((block for block in reversed(self.blocks) if tag in block.tags), None)
        return last is not None and last.value(tag) == value

    async def lost(self) -> None:
        await until(lambda: not self.supervisor.connected, "the loss")
        address = f"127.0.0.1:{self.proxy.port}"
        assert address in (self.events[-1].error or ""), "the loss names the device's address"
        with pytest.raises(Unreachable, match="plc"):
            await self.supervisor.read(["torque"])

    async def heals(self, count: int) -> None:
        """It comes back and shows what is true now."""
        await self.rig.set("count", count)
        await until(lambda: self.shows("count", count), "the value after the fault")
        block = await self.supervisor.read(TAGS)
        assert block.listed() == tuple(self.rig.values[tag] for tag in TAGS)


@asynccontextmanager
async def scene_of(rig: Any, *, timeout: str = "400ms", tags: list[str] | None = None) -> AsyncIterator[Scene]:
    proxy = FaultProxy("127.0.0.1", rig.port)
    await proxy.start()
    text = rig.yaml.replace(f"127.0.0.1:{rig.port}", f"127.0.0.1:{proxy.port}")
    text = text.replace(f"port: {rig.port}", f"port: {proxy.port}").replace("timeout: 5s", f"timeout: {timeout}")
    notices: list[Notice] = []
    events: list[DeviceEvent] = []
    device = device_of(rig, text, notices.append)
    supervisor = Supervisor(device, SystemClock(), events.append, notices.append, longest_pause_s=0.3)
    scene = Scene(rig, proxy, supervisor, events, notices)
    supervisor.watch(tags or TAGS, scene.blocks.append, every=True)
    running = asyncio.create_task(supervisor.run())
    try:
        yield scene
    finally:
        running.cancel()
        await asyncio.wait([running])
        await proxy.stop()


class Server:
    """A rig whose server stays up for many scenes."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self._first = dict(rig.values)
        self._runner = asyncio.Runner()
        self._runner.run(rig.start())

    def play(self, job: Callable[[Scene], Awaitable[None]], **how: Any) -> None:
        """Run a scene that begins with a connected driver and the server's first values."""

        async def whole() -> None:
            for tag, value in self._first.items():
                await self.rig.set(tag, value)
            async with scene_of(self.rig, **how) as scene:
                await until(lambda: scene.shows("count", self._first["count"]), "the first values")
                del scene.events[:-1]  # a busy machine may not answer the first attempt in time
                await job(scene)

        self._runner.run(whole())

    def close(self) -> None:
        self._runner.run(self.rig.stop())
        self._runner.close()
