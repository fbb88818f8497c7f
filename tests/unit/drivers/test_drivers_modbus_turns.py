"""Whose turn it is on a shared line."""

from __future__ import annotations

import asyncio

from drivers.modbus.turns import Turns


def order_of(waiting: list[tuple[int, bool]], cancelled: frozenset[int] = frozenset()) -> list[int]:
    """In which order requests (unit, urgent) that all wait get the line; numbers of the requests."""

    async def job() -> list[int]:
        turns, got = Turns(), list[int]()

        async def one(number: int, unit: int, urgent: bool) -> None:
            async with turns.of(unit, urgent=urgent):
                got.append(number)
                await asyncio.sleep(0)

        async with turns.of(99):
            tasks = [asyncio.ensure_future(one(n, *each)) for n, each in enumerate(waiting)]
            await asyncio.sleep(0)
            for n in cancelled:
                tasks[n].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with turns.of(1):
            pass
        return got

    return asyncio.run(asyncio.wait_for(job(), 10))


def test_units_take_turns_however_many_requests_one_has() -> None:
    assert order_of([(1, False), (1, False), (1, False), (2, False), (3, False)]) == [0, 3, 4, 1, 2]


def test_urgent_requests_come_first() -> None:
    assert order_of([(1, False), (2, False), (2, True), (3, True), (2, True)]) == [2, 3, 4, 0, 1]


def test_who_gives_up_does_not_hold_the_line() -> None:
    assert order_of([(1, False), (2, False), (1, False)], frozenset({0, 1})) == [2]


def test_who_is_cancelled_as_the_line_comes_passes_it_on() -> None:
    async def job() -> None:
        turns = Turns()

        async def one(unit: int) -> int:
            async with turns.of(unit):
                return unit

        async with turns.of(1):
            first, second = asyncio.ensure_future(one(2)), asyncio.ensure_future(one(3))
            await asyncio.sleep(0)
        first.cancel()  # the line was given to it just now
        assert await asyncio.wait_for(second, 10) == 3

    asyncio.run(job())
