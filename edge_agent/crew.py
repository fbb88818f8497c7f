"""Tasks that come and go while others run; the first one that ends by itself ends them all.

A part of the agent (a device, a desk, a station) runs for ever. When one ends, it failed, and the agent ends with
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from drivers.ending import end_tasks

log = structlog.get_logger()

Part = asyncio.Task[Any]


class Crew:
    """The running parts. Use it in one event loop."""

    def __init__(self) -> None:
        self._parts: set[Part] = set()
        self._ended = asyncio.Event()

    def start(self, part: Coroutine[Any, Any, object]) -> Part:
        """Run a part until it is dismissed or everything ends."""
        task = asyncio.ensure_future(part)
        self._parts.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: Part) -> None:
        if task in self._parts:
            self._ended.set()

    def release(self, task: Part) -> None:
        """From now on this part may end without ending the others."""
        self._parts.discard(task)

    async def dismiss(self, task: Part) -> None:
        """End one part; what it raises at its end is said and costs the others nothing."""
        self._parts.discard(task)
        await end_tasks({task})
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("part-ended-badly", error=repr(error))

    async def run(self) -> None:
        """Until one part ends by itself; then end the others.

        Raises:
            what a part raised.
        """
        try:
            await self._ended.wait()
        finally:
            parts, self._parts = self._parts, set()
            await end_tasks(parts)
        for task in parts:
            if not task.cancelled():
                task.result()
