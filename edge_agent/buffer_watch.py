"""Watches the buffer's room: warns long before it ends, stops the line when it does, and lets it go on by itself.

By level, once a second: nothing here is remembered over a start. The line is stopped while central lacks nearly
all that the buffer may hold, so that runs that are under way still find room, and while the volume is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pydantic import JsonValue

from edge_agent.outbox import Outbox
from edge_agent.outbox.fill import Fill
from edge_agent.sizes import MIB
from edge_agent.space import LOW_ROOM, Space
from records.clock import Clock

EVERY_S = 1.0
MARGIN_SHARE, MARGIN_MOST = 20, 64 * MIB
"""The line is stopped this part of the cap before it, at most so many bytes: what is under way must fit."""
BACK = 1.25
"""A warning ends when the hours left are so many times those at which it began."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands now. ``full``: central lacks all that the buffer may hold; ``disk``: the volume is full."""

    full: bool = False
    disk: bool = False
    low: bool = False
    fill: Fill | None = None

    @property
    def stopped(self) -> bool:
        """Whether the line must not begin anything."""
        return self.full or self.disk


class BufferWatch:
    """``warn_below_h``: hours left that are worth a warning. ``tell`` records an event, whatever room there is."""

    def __init__(
        self,
        outbox: Outbox,
        space: Space,
        clock: Clock,
        warn_below_h: float,
        tell: Callable[[str, dict[str, JsonValue]], None],
    ) -> None:
        self._outbox, self._space, self._clock = outbox, space, clock
        self._warn_below_h, self._tell = warn_below_h, tell
        self.standing = Standing()

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(EVERY_S)

    def look(self) -> Standing:
        """Look once, and say what has changed."""
        before, free = self.standing, self._space.free()
        fill = self._outbox.fill(free)
        now = Standing(self._full(before, fill), self._disk(before, free), self._low(before, fill), fill)
        self.standing = now
        told: dict[str, JsonValue] = {"pending": fill.pending, "bytes": fill.waiting, "cap": fill.cap}
        if now.full and not before.full:
            self._say("buffer-full", told)
        if now.disk and not before.disk:
            self._say("disk-full", {"free": free, "path": str(self._space.folder)})
        if now.low and not before.low and not now.full:
            self._say("buffer-low", {"hours": round(fill.hours or 0.0, 1), **told})
        for ended, why in ((before.full and not now.full, "records"), (before.disk and not now.disk, "disk")):
            if ended:
                self._say("buffer-room", {"why": why, "free": free, **told})
        return now

    def _say(self, code: str, params: dict[str, JsonValue]) -> None:
        (log.info if code == "buffer-room" else log.error)(code, **params)
        self._tell(code, params)

    def _full(self, before: Standing, fill: Fill) -> bool:
        if fill.cap is None:
            return False
        margin = min(fill.cap // MARGIN_SHARE, MARGIN_MOST)
        return fill.waiting >= fill.cap - margin * (2 if before.full else 1)

    def _disk(self, before: Standing, free: int) -> bool:
        if free < LOW_ROOM:
            return True
        if self._space.released and not before.disk:
            return True  # it was full between two looks: that is told, however short it was
        stands = self._space.restore()
        return before.disk and not stands

    def _low(self, before: Standing, fill: Fill) -> bool:
        if fill.hours is None:
            return before.low and fill.room is not None and fill.room < (fill.cap or 0) // 2
        return fill.hours < self._warn_below_h * (BACK if before.low else 1.0)
