"""Tasks are ended though a library swallows a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from drivers import ending
from drivers.ending import end_tasks


async def deaf(times: int) -> None:
    """Goes on though it was cancelled, so many times: as ``wait_for`` of Python 3.11 lets a loop go on."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def begun(*times: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(deaf(each)) for each in times]
    await asyncio.sleep(0)
    return tasks


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "CANCEL_AGAIN_S", 0.01)


def test_who_swallows_a_cancellation_is_cancelled_again() -> None:
    """Bug: a device whose subscription ended in that very moment was never connected again."""

    async def job() -> None:
        tasks = await begun(0, 1, 3)
        await end_tasks(tasks)
        assert [task.cancelled() for task in tasks] == [True, True, True]

    asyncio.run(job())


def test_what_one_raises_at_its_end_is_left_with_it() -> None:
    async def fails() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("at the end")

    async def job() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await end_tasks([task])
        with pytest.raises(ValueError, match="at the end"):
            task.result()

    asyncio.run(job())


def test_who_waits_may_be_cancelled_in_turn() -> None:
    async def job() -> None:
        tasks = await begun(2)
        waiting = asyncio.create_task(end_tasks(tasks))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await end_tasks(tasks)

    asyncio.run(job())
