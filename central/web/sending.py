"""Requests that write: counted before they take a thread, refused before they begin while a write is held up.

All writes go one after the other, so one that waits itself, for a lock in the database or a disk that hangs, holds
up all that come after it. Nobody should wait behind it for minutes, nor in the dark, and it must not keep pages
from those who only read: each request that is answered has one of the server's threads, of which there are 40.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import Request

from central.web.desk import Desk
from records.errors import Busy

HELD_UP_S = 20.0
"""So long a write may have been under way before people are told at once, and do not wait behind it."""
CROWDED_S = 1.0
"""The same where all places are taken."""
PLACES = 30
"""So many requests that write have threads at a time; the other threads are for who reads."""
STORING_NOTHING = ("/preferences", "/api/v1/recompute")
"""Sent as a form is, and only read."""


class HeldUp(Busy):
    """A write has been under way for ``since_s``. Of what is refused by this nothing was begun."""

    def __init__(self, since_s: float) -> None:
        super().__init__(
            f"nothing is stored: a write has been under way for {since_s:.0f} s, and all others wait for it",
            hint="lotkeeper-central doctor says what it may wait for",
        )
        self.since_s = since_s


def refuse_while_held_up(desk: Desk, *, crowded: bool = False) -> None:
    """
    Raises:
        HeldUp: a write has been under way for longer than ``HELD_UP_S``; than ``CROWDED_S`` where it is crowded.
    """
    since_s = desk.write_under_way_s()
    if since_s > (CROWDED_S if crowded else HELD_UP_S):
        raise HeldUp(since_s)


def places() -> asyncio.Semaphore:
    """Those of one application, for ``place``: its ``app.state.places``."""
    return asyncio.Semaphore(PLACES)


async def place(request: Request) -> AsyncIterator[None]:
    """Dependency of every request, on the loop: what may write gets a place before it takes a thread.

    Raises:
        HeldUp: of what may write, also while it waits for a place.
    """
    if request.method in ("GET", "HEAD") or request.url.path in STORING_NOTHING:
        yield
        return
    taken: asyncio.Semaphore = request.app.state.places
    await _take(taken, request.app.state.desk)
    try:
        yield
    finally:
        taken.release()


async def _take(taken: asyncio.Semaphore, desk: Desk) -> None:
    while True:
        refuse_while_held_up(desk, crowded=taken.locked())
        with suppress(TimeoutError):
            async with asyncio.timeout(CROWDED_S):
                await taken.acquire()
                return
