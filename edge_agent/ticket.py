"""Who decides on a scan: the station by its commit, or the desk that has told the operator no meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Ticket:
    """Of one scan at one station. Exactly one of both decides: while the station tries to, the desk waits."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._decided = False
        self.withdrawn = False
        """The desk decided: the station may only refuse the scan."""

    async def withdraw(self) -> bool:
        """Wait no longer for the station; False: it has decided, and its answer comes at once."""
        async with self._turn:
            self.withdrawn = not self._decided
        return self.withdrawn

    def decide(self) -> None:
        """The station decided, unless the desk had."""
        self._decided = not self.withdrawn

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[bool]:
        """Round what decides; what raises has decided nothing. Gives whether the station still may."""
        async with self._turn:
            yield not self.withdrawn
            self.decide()
