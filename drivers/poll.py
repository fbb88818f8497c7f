"""Reading again and again, telling what changed or everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from drivers.base import OnBlock, ReadingBlock

_BREATH_S = 0.001


async def poll(
    read: Callable[[], Awaitable[ReadingBlock]], interval_s: float, on_block: OnBlock, *, every: bool = False
) -> None:
    """Read at a steady rate for ever; a read that takes longer than the interval delays, it never piles up.

    Raises:
        whatever ``read`` raises.
    """
    loop = asyncio.get_running_loop()
    previous: ReadingBlock | None = None
    due = loop.time()
    while True:
        block = await read()
        if every or not block.same_as(previous):
            previous = block
            on_block(block)
        due = max(due + interval_s, loop.time() + _BREATH_S)
        await asyncio.sleep(due - loop.time())
