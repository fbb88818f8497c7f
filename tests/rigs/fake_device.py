"""A device without a wire, for what lies above drivers: its values are numbers that count, or what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.base import Group, OnBlock, RawColumn, ReadingBlock
from drivers.status import GOOD_STATUS
from drivers.tags import ModbusTcpDevice, OpcUaDevice
from records.clock import Clock
from records.errors import Unreachable


def opcua(tags: Sequence[dict[str, Any]], **more: Any) -> OpcUaDevice:
    """Settings whose tags need no more than a name here."""
    whole = [{"node_id": f"s={n}", "data_type": "float64", **tag} for n, tag in enumerate(tags)]
    return OpcUaDevice.model_validate(
        {
            "driver": "opcua",
            "endpoint": "opc.tcp://127.0.0.1:1",
            "security": {"policy": "None", "allow_insecure": True},
            "tags": whole,
            **more,
        }
    )


class FakeDevice:
    """``values`` and ``status`` by tag; every read counts ``ticks`` up, which is the value of all other tags."""

    def __init__(self, name: str, settings: OpcUaDevice | ModbusTcpDevice, clock: Clock) -> None:
        self.name, self.settings, self.seen_us = name, settings, 0
        self.clock = clock
        self.values: dict[str, Any] = {}
        self.status: dict[str, int] = {}
        self.away = False
        self.source_off_us = 0
        self.ticks = 0
        self.reads: list[tuple[str, ...]] = []
        self.watches = 0
        self.on_block: OnBlock | None = None
        self._by_tag = {tag.name: tag for tag in settings.tags}
        self._groups: dict[tuple[str, ...], Group] = {}

    async def connect(self) -> None:
        if self.away:
            raise Unreachable(f"{self.name}: away")

    async def close(self) -> None:
        return None

    def group(self, tags: tuple[str, ...]) -> Group:
        if tags not in self._groups:
            self._groups[tags] = Group.of(self.name, [self._by_tag[tag] for tag in tags])
        return self._groups[tags]

    def block(self, tags: Sequence[str]) -> ReadingBlock:
        """What the tags say now."""
        group, count = self.group(tuple(tags)), len(tags)
        values = np.full(count, self.ticks, group.dtype)
        status = np.full(count, GOOD_STATUS, np.uint32)
        for said, column in ((self.values, values), (self.status, status)):
            for tag, value in said.items():
                if tag in group.index:
                    column[group.index[tag]] = value
        now_us = self.seen_us = self.clock.now_us()
        source = np.full(count, now_us + self.source_off_us, np.int64)
        nothing = RawColumn(b"", np.full(count, -1, np.int64), np.zeros(count, np.int64))
        return ReadingBlock(group, values, status, source, np.zeros(count, np.int64), now_us, group.types, nothing)

    async def read(self, tags: Sequence[str], *, urgent: bool = False) -> ReadingBlock:
        if self.away:
            raise Unreachable(f"{self.name}: away")
        self.ticks += 1
        self.reads.append(tuple(tags))
        return self.block(tags)

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        self.values[tag] = value

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        """Tells once what is, then what ``tell`` is given."""
        self.watches += 1
        self.on_block = on_block
        on_block(self.block(tags))
        await asyncio.Event().wait()

    def tell(self, *tags: str) -> None:
        """As a server does that noticed a change."""
        assert self.on_block is not None
        self.on_block(self.block(tags))
