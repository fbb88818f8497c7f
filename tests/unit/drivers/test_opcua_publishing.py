"""Messages find their subscription, those that come before it is known too; what nobody wants is not kept."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace

import pytest

from drivers.opcua import codec
from drivers.opcua.publishing import Publisher

FIRST, LATER = 7, 40


def answer(subscription: int, sequence: int) -> bytes:
    """A PublishResponse's body with a notification of no known type."""
    notification = b"\x00\x01\x00"  # a node id of two bytes, no body
    message = struct.pack("<Iqi", sequence, 0, 1) + notification
    return struct.pack("<Ii?", subscription, 0, False) + message


class Server:
    """``asked``: so many requests are under way."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.asked = 0

    async def plain(self, *_: object) -> bytes:
        self.asked += 1
        try:
            return await self.answers.get()
        finally:
            self.asked -= 1


def test_messages_of_subscriptions_that_ended_push_out_no_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    answers = server.answers
    monkeypatch.setattr(codec, "plain", server.plain)

    async def scene() -> tuple[int, int]:
        publisher = Publisher(SimpleNamespace())  # type: ignore[arg-type]
        for number in range(FIRST, LATER):
            publisher.messages(number)
            publisher.forget(number)
        publisher.messages(LATER)
        for number in range(FIRST, LATER):
            for sequence in range(100):  # the server goes on for a while
                answers.put_nowait(answer(number, sequence))
        answers.put_nowait(answer(LATER + 1, 1))
        async with asyncio.timeout(20):
            while not (answers.empty() and server.asked == len(publisher._workers)):  # all are delivered
                await asyncio.sleep(0)
        found = publisher.messages(LATER + 1).qsize()
        kept = sum(map(len, publisher._unknown.values()))
        await publisher.end()
        return found, kept

    assert asyncio.run(scene()) == (1, 0)


def test_messages_that_nobody_ever_asks_for_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    answers = server.answers
    monkeypatch.setattr(codec, "plain", server.plain)

    async def scene() -> int:
        publisher = Publisher(SimpleNamespace())  # type: ignore[arg-type]
        publisher.messages(FIRST)
        for sequence in range(1000):
            answers.put_nowait(answer(LATER, sequence))
        async with asyncio.timeout(20):
            while not (answers.empty() and server.asked == len(publisher._workers)):  # all are delivered
                await asyncio.sleep(0)
        kept = sum(map(len, publisher._unknown.values()))
        await publisher.end()
        return kept

    assert asyncio.run(scene()) <= 16
