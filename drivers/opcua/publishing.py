"""Publish requests of one session, and the notification messages of its subscriptions.

asyncua has a publish loop too: with one request under way at a time, which drops a message that it cannot decode.
Here two are under way, each message goes to its subscription as bytes, and what is missing is the subscription's
to find.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.ending import end_tasks
from drivers.opcua import binary, codec
from drivers.opcua.failures import reason
from drivers.opcua.session import Session

_UNDER_WAY = 2
_EARLY = 16
"""Most messages that wait for the answer to the request that created their subscription."""
_BAD_TIMEOUT, _BAD_TOO_MANY_PUBLISH_REQUESTS = 0x800A0000, 0x80780000


@dataclass(frozen=True, slots=True)
class Message:
    """One notification message: its number, and its notifications as (type id as text, body)."""

    sequence: int
    parts: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """No message comes any more."""

    why: str


def notification_message(data: bytes, at: int) -> Message:
    """The NotificationMessage at this place (OPC 10000-4, 7.26).

    Raises:
        Malformed.
    """
    sequence = binary.int32(data, at) & 0xFFFFFFFF
    count = binary.int32(data, at + 12)
    at += 16
    parts = []
    for _ in range(max(0, count)):
        type_id, begin, end, at = binary.extension_object(data, at)
        parts.append((binary.node_id_text(type_id, 0), data[begin:end]))
    return Message(sequence, tuple(parts))


class Publisher:
    """Gives every subscription of a session its messages, in the order in which they came."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queues: dict[int, asyncio.Queue[Message | Ended]] = {}
        self._unknown: dict[int, list[Message]] = {}
        self._gone: set[int] = set()
        self._acknowledge: list[ua.SubscriptionAcknowledgement] = []
        self._workers: list[asyncio.Task[None]] = []

    def messages(self, subscription: int) -> asyncio.Queue[Message | Ended]:
        """The messages of this subscription from now on."""
        self._gone.discard(subscription)
        queue = self._queues[subscription] = asyncio.Queue()
        for message in self._unknown.pop(subscription, ()):
            queue.put_nowait(message)
        self._workers = [worker for worker in self._workers if not worker.done()]
        while len(self._workers) < _UNDER_WAY:
            self._workers.append(asyncio.ensure_future(self._work()))
        return queue

    def forget(self, subscription: int) -> None:
        """Its messages are of no interest any more; without subscriptions nothing is asked for."""
        if self._queues.pop(subscription, None) is not None:
            self._gone.add(subscription)

    async def end(self) -> None:
        """Stop; never raises."""
        workers, self._workers = self._workers, []
        self._queues.clear()
        self._unknown.clear()
        self._gone.clear()
        self._acknowledge.clear()
        await end_tasks(workers)

    # -- inside ----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._queues:
            try:
                self._deliver(await self._publish())
            except UaStatusCodeError as error:
                if error.code == _BAD_TIMEOUT:
                    continue
                if error.code == _BAD_TOO_MANY_PUBLISH_REQUESTS and len(self._workers) > 1:
                    return None
                return self._end_all(str(reason(error)))
            except binary.Malformed:
                continue  # its number is missing then: the subscription asks for it again
            except Exception as error:  # the connection is gone, or the library stumbled over an answer
                return self._end_all(str(reason(error)))
        return None

    async def _publish(self) -> bytes:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = self._acknowledge
        self._acknowledge = []
        return await codec.plain(self._session, request, 0)

    def _deliver(self, data: bytes) -> None:
        subscription = binary.int32(data, 0) & 0xFFFFFFFF
        at = 8 + 4 * max(0, binary.int32(data, 4)) + 1
        message = notification_message(data, at)
        if message.parts:
            self._acknowledge.append(
                ua.SubscriptionAcknowledgement(ua.UInt32(subscription), ua.UInt32(message.sequence))
            )
        queue = self._queues.get(subscription)
        if queue is not None:
            queue.put_nowait(message)
        elif subscription not in self._gone:
            # the first message may be here before the answer to the request that created the subscription
            early = self._unknown.setdefault(subscription, [])
            early.append(message)
            if len(early) > _EARLY or len(self._unknown) > _EARLY:  # of somebody who never asks for them
                self._unknown.pop(next(iter(self._unknown)))

    def _end_all(self, why: str) -> None:
        for queue in self._queues.values():
            queue.put_nowait(Ended(why))


async def republish(session: Session, subscription: int, sequence: int) -> Message | None:
    """A message that did not arrive, None when the server has it no more.

    Raises:
        Unreachable.
    """

    async def asked() -> Message | None:
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = ua.UInt32(subscription)
        request.Parameters.RetransmitSequenceNumber = ua.UInt32(sequence)
        try:
            return notification_message(await codec.plain(session, request), 0)
        except (UaStatusCodeError, binary.Malformed):
            return None

    return await session.call(asked())


def missing(expected: int, sequence: int) -> Sequence[int]:
    """The numbers between the expected one and the one that came; none when that one is old. After 2^32 - 1 comes
    1 (OPC 10000-4, 7.26).
    """
    span = (sequence - expected) % 0xFFFFFFFF
    if span > 0x7FFFFFFF:
        return ()
    return [(expected - 1 + n) % 0xFFFFFFFF + 1 for n in range(min(span, 1000))]
