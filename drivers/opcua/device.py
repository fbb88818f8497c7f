"""OPC UA over asyncua: one session, a whole group in one read, subscriptions, writes that are read back.

``session`` opens and closes; ``nodes`` finds the tags after every connect; ``reading`` reads groups, with
``codec`` and ``columns`` on the way there and back; ``subscription`` watches; ``writing`` writes and calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from pydantic import JsonValue

from drivers.base import OnBlock, OnNotice, ReadingBlock
from drivers.ending import end_tasks
from drivers.opcua.publishing import Publisher
from drivers.opcua.reading import Reader
from drivers.opcua.session import Session
from drivers.opcua.subscription import Subscriber
from drivers.opcua.writing import Writer
from drivers.poll import poll
from drivers.tags import OpcUaDevice, OpcUaTag
from records.clock import Clock
from records.errors import Invalid


class OpcUa:
    """A ``Device`` that speaks OPC UA."""

    def __init__(
        self, name: str, settings: OpcUaDevice, clock: Clock, tell: OnNotice, agent: str = "edge"
    ) -> None:
        self.name = name
        self.settings = settings
        self.seen_us = 0
        self._clock = clock
        self._tell = tell
        self._session = Session(name, settings, clock, tell, agent)
        self._tags = {tag.name: tag for tag in settings.tags}
        self._reader = Reader(self._session, settings.tags, clock, settings.timeout)
        self._publisher = Publisher(self._session)
        self._writer = Writer(self._session, self._reader, tell, settings.timeout)

    async def connect(self) -> None:
        await self._end()
        await self._session.connect()
        await self._reader.begin()

    async def close(self) -> None:
        await self._end()
        await self._session.close()

    async def read(self, tags: Sequence[str], *, urgent: bool = False) -> ReadingBlock:
        _ = self._session.client  # says at once that there is no session
        block = await self._reader.read(tuple(tags))
        self.seen_us = block.edge_us
        return block

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        await self._writer.write(self._tag(tag), value)

    async def call(self, tag: str, arguments: Sequence[bool | int | float | str]) -> tuple[JsonValue, ...]:
        """Call the method of a tag of ``access: write``; its output values. ``write`` calls it too, with the value
        as its one argument, and then expects the tag to hold that value.

        Raises:
            Unreachable: no answer; the machine may or may not have done it.
            Refused: the machine says no. Invalid: no method, or arguments that do not fit it.
        """
        return await self._writer.call(self._tag(tag), arguments)

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        polled = [name for name in tags if self._tag(name).mode == "poll"]
        subscribed = [name for name in tags if name not in polled]
        jobs: list[Coroutine[Any, Any, None]] = []
        if polled:
            read = tuple(polled)
            jobs.append(poll(lambda: self.read(read), self.settings.poll_interval, on_block, every=every))
        if subscribed:
            _ = self._session.client
            jobs.append(self._subscriber().run(subscribed, on_block, self._seen))
        await _until_first_error(jobs)

    # -- inside ----------------------------------------------------------------------------------------------

    def _tag(self, name: str) -> OpcUaTag:
        if name not in self._tags:
            raise Invalid(f"{self.name} has no tag {name!r}")
        return self._tags[name]

    def _seen(self, edge_us: int) -> None:
        self.seen_us = edge_us

    def _subscriber(self) -> Subscriber:
        return Subscriber(self._session, self._reader, self._publisher, self.settings, self._clock, self._tell)

    async def _end(self) -> None:
        await self._publisher.end()
        await self._reader.end()


async def _until_first_error(jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one ends; what it raised is raised, the others are cancelled."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(tasks)
