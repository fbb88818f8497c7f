"""Whose turn it is on a line: one at a time, units in rotation, urgent requests before others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Rotation:
    """Waiting requests of many units; each unit gets one turn, then waits for the others."""

    def __init__(self) -> None:
        self._by_unit: dict[int, deque[asyncio.Future[None]]] = {}
        self._units: deque[int] = deque()

    def add(self, unit: int, waiting: asyncio.Future[None]) -> None:
        if unit not in self._by_unit:
            self._by_unit[unit] = deque()
            self._units.append(unit)
        self._by_unit[unit].append(waiting)

    def next(self) -> asyncio.Future[None] | None:
        """The one whose turn it is; those that were cancelled are left out."""
        while self._units:
            unit = self._units.popleft()
            queue = self._by_unit[unit]
            found = queue.popleft()
            if queue:
                self._units.append(unit)
            else:
                del self._by_unit[unit]
            if not found.done():
                return found
        return None


class Turns:
    """``async with turns.of(unit):`` holds the line."""

    def __init__(self) -> None:
        self._held = False
        self._urgent, self._patient = _Rotation(), _Rotation()

    @asynccontextmanager
    async def of(self, unit: int, *, urgent: bool = False) -> AsyncIterator[None]:
        """The line for one request of this unit."""
        if self._held:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            (self._urgent if urgent else self._patient).add(unit, waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled():
                    self._pass_on()
                raise
        self._held = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        following = self._urgent.next() or self._patient.next()
        if following is None:
            self._held = False
        else:
            following.set_result(None)  # the line stays held: it is handed over
