"""Reading again and again on a fixed grid, telling what changed or everything.

The n-th poll is due at ``phase + n x interval``, whatever the polls before it took, so a rate is kept for years
and two devices with one rate stay apart. A poll that cannot begin in time is late; grid points that passed
meanwhile are skipped, never made up for: polls never pile up. Both are counted, so that overload is seen.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drivers.base import OnBlock, ReadingBlock

_BREATH_S = 0.001
_TIMER_S = 0.010
"""What timers and a busy loop may cost: a poll that begins so much behind its grid point is not late."""


@dataclass(slots=True)
class PollMeter:
    """What was polled; every number only ever grows.

    ``late``: polls that began more than a quarter of their interval behind their grid point. ``skipped``: grid
    points without a poll. ``values``: readings that polls gave, bad ones too.
    """

    polls: int = 0
    late: int = 0
    skipped: int = 0
    values: int = 0


class Grid:
    """Which grid point is next. Pure: seconds come in, seconds go out."""

    def __init__(self, origin_s: float, interval_s: float, meter: PollMeter) -> None:
        self._origin_s, self._interval_s, self._meter = origin_s, interval_s, meter
        self._late_s = max(interval_s / 4, _TIMER_S)
        self._next = 0

    @property
    def due_s(self) -> float:
        """When the next poll is to begin."""
        return self._origin_s + self._next * self._interval_s

    def began(self, now_s: float) -> None:
        """The poll of this grid point begins now."""
        self._meter.polls += 1
        if now_s - self.due_s > self._late_s:
            self._meter.late += 1

    def ended(self, now_s: float) -> None:
        """The poll is over: the next is that of the last grid point that has passed, or of the coming one."""
        self._next += 1
        passed = math.floor((now_s - self._origin_s) / self._interval_s)
        if passed > self._next:
            self._meter.skipped += passed - self._next
            self._next = passed


async def poll(
    read: Callable[[], Awaitable[ReadingBlock]],
    interval_s: float,
    on_block: OnBlock,
    *,
    every: bool = False,
    phase_s: float = 0.0,
    meter: PollMeter | None = None,
) -> None:
    """Read on a grid for ever, first after ``phase_s``.

    Raises:
        whatever ``read`` raises.
    """
    loop = asyncio.get_running_loop()
    counted = PollMeter() if meter is None else meter
    grid = Grid(loop.time() + phase_s, interval_s, counted)
    previous: ReadingBlock | None = None
    while True:
        await asyncio.sleep(max(grid.due_s - loop.time(), _BREATH_S))
        grid.began(loop.time())
        block = await read()
        counted.values += len(block.status)
        if every or not block.same_as(previous):
            previous = block
            on_block(block)
        grid.ended(loop.time())
