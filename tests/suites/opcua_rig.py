"""node-opcua, and devices of our driver that read it: for the suites of OPC UA nodes and subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from driver_rigs import LineFile

from drivers.base import Notice, ReadingBlock
from drivers.opcua import OpcUa
from records.clock import SystemClock
from records.yaml import parse
from tests.rigs.opcua_server import SECURED, NodeOpcUaServer, ServerSettings

OPEN = "policy: None, allow_insecure: true"
Job = Callable[[OpcUa], Coroutine[Any, Any, None]]


class Rig:
    """A server, and devices that read these tags of it."""

    def __init__(self, folder: Path, settings: ServerSettings = SECURED) -> None:
        self.folder = folder
        self.server = NodeOpcUaServer(folder / "server", settings)
        self.told: list[Notice] = []

    def device(
        self, tags: str, *, security: str = OPEN, timeout: str = "5s", publish: str = "50ms", poll: str = "20ms"
    ) -> OpcUa:
        text = f"""
devices:
  plc:
    driver: opcua
    endpoint: {self.server.url}
    timeout: {timeout}
    poll_interval: {poll}
    publish_interval: {publish}
    security: {{{security}}}
    tags:
"""
        lines = "".join(f"      - {{{line.strip()}}}\n" for line in tags.strip().splitlines())
        settings: Any = parse((text + lines).encode(), LineFile).value.devices["plc"]
        self.told.clear()
        return OpcUa("plc", settings, SystemClock(), self.told.append, "sealing-1")

    def run(self, tags: str, job: Job, **how: str) -> None:
        """The job with a connected device."""

        async def whole() -> None:
            device = self.device(tags, **how)
            await device.connect()
            try:
                await job(device)
            finally:
                await device.close()

        asyncio.run(whole())

    def read(self, tags: str, **how: str) -> ReadingBlock:
        """All these tags, once."""
        found: list[ReadingBlock] = []

        async def job(device: OpcUa) -> None:
            found.append(await device.read([tag.name for tag in device.settings.tags]))

        self.run(tags, job, **how)
        return found[0]

    def codes(self, code: str) -> list[Any]:
        return [notice.params for notice in self.told if notice.code == code]
