"""The threads of a process that is one loop: for what waits for disks, ports and names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from records.process import lacks, look_for_room_for_a_thread

THREADS = 8


def run_with_threads(main: Coroutine[Any, Any, None], count: int = THREADS) -> None:
    """``asyncio.run`` with so many threads for what a loop has done beside it, all of them begun before.

    ``asyncio`` begins them when they are needed, so that a look at a page could end what had run for weeks, where
    no more may be started by then.

    Raises:
        OSError, RuntimeError: they cannot all be started. And what ``main`` raises.
    """
    runner = asyncio.Runner()
    try:
        try:
            runner.get_loop().set_default_executor(_begun(count))
        except (OSError, RuntimeError):
            main.close()
            raise
        runner.run(main)
    finally:
        try:
            runner.close()
        except RuntimeError as error:  # it would end them from one more thread; idle, they end with the process
            if lacks(error) is None:
                raise


def _begun(count: int) -> ThreadPoolExecutor:
    pool, all_there = ThreadPoolExecutor(count, "beside"), threading.Barrier(count + 1)
    try:
        for _ in range(count):
            look_for_room_for_a_thread()
            pool.submit(all_there.wait)
    except (OSError, RuntimeError):
        all_there.abort()
        pool.shutdown()
        raise
    all_there.wait()
    return pool
