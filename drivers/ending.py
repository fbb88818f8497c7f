"""Tasks that are cancelled until they have really ended.

A library may swallow a cancellation: ``wait_for`` of Python 3.11 does when what it waits for is done in the same
moment, and so does pymodbus. Who cancels once and then waits, waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_S = 0.5


async def end_tasks(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel them and wait for their end. What they raise at it is not raised here; each has it still."""
    tasks = list(tasks)
    left = {task for task in tasks if not task.done()}
    try:
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    finally:
        for task in left:  # who waits here is cancelled in turn
            task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # it was looked at
