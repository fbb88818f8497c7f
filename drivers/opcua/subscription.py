"""Subscribed tags: told as the server saw them, with every loss told too.

The server samples each node and keeps a queue of it, which it sends at every publishing. What may get lost on the
way is seen: a queue that ran over sets the Overflow bit of a value, a message that did not arrive leaves a number
out (it is asked for again first), a subscription that died says nothing for longer than its keep-alive time. Each
is a ``samples-lost`` notice. What the server grants otherwise than asked is a ``settings-revised`` notice.

A node that cannot be subscribed is polled instead; one that does not exist is subscribed as soon as it does.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.ua_binary import struct_from_binary
from pydantic import JsonValue

from drivers import status as statuses
from drivers.base import OBJECTS, Group, Notice, OnBlock, OnNotice, RawColumn, ReadingBlock
from drivers.ending import end_tasks
from drivers.opcua import binary, codec
from drivers.opcua.columns import Columns, Layout, walk
from drivers.opcua.limits import parts
from drivers.opcua.publishing import Ended, Message, Publisher, missing, republish
from drivers.opcua.reading import SLOW, Ranges, Reader, judge_clock
from drivers.opcua.session import Session
from drivers.opcua.values import Take, status_text
from drivers.tags import OpcUaDevice, OpcUaTag
from records.clock import Clock
from records.errors import Unreachable
from records.trouble import Trouble

KEEP_ALIVE_S = 3.0
"""A server with nothing to tell says so this often."""
_LIFETIMES = 20
_AGAIN_S = 60.0
"""One tag's overflow is told at most once in this time."""
_SHORTEST_LIFE_S = 5.0
_OVERFLOW = 0x0480
_DATA_CHANGE, _STATUS_CHANGE = "i=811", "i=820"


@dataclass(slots=True)
class _Item:
    """A monitored item of the server: ours is ``handle``, the server's ``number``."""

    name: str
    number: int


class _Lost(Exception):
    """The subscription is of no use any more; values may have been lost since the last message."""


@dataclass(slots=True)
class _Overflows:
    """Overflows of one tag that were not told yet."""

    count: int = 0
    told_s: float = -math.inf


@dataclass(slots=True)
class _Live:
    """What is known of one subscription of the server."""

    number: int
    silence_s: float
    messages: asyncio.Queue[Message | Ended]
    expected: int | None = None
    items: dict[int, _Item] = field(default_factory=dict)


class Subscriber:
    """Watches subscribed tags of one session; one subscription for all, since they share a publish interval."""

    def __init__(
        self,
        session: Session,
        reader: Reader,
        publisher: Publisher,
        settings: OpcUaDevice,
        clock: Clock,
        tell: OnNotice,
    ) -> None:
        self._session, self._reader, self._publisher = session, reader, publisher
        self._settings, self._clock, self._tell = settings, clock, tell
        self._tags = {tag.name: tag for tag in settings.tags}
        self._groups: dict[str, Group] = {}
        self._ranges: dict[str, Ranges] = {}
        self._overflows: dict[str, _Overflows] = {}
        self._rest: dict[str, ReadingBlock | None] = {}
        self._mend, self._tried = asyncio.Event(), asyncio.Event()
        self._handle = 0
        self._told: Callable[[int], None] = lambda _: None

    async def run(self, names: Sequence[str], on_block: OnBlock, seen: Callable[[int], None]) -> None:
        """Tell these tags until cancelled, each value in a block of its own; ``seen`` hears when the server
        answered.

        Raises:
            Unreachable.
        """
        self._told = seen
        self._groups = {name: self._reader.group([name]) for name in names}
        points = {name: self._reader.points[name] for name in names}
        self._ranges = {name: Ranges([point]) for name, point in points.items() if point.limits is not None}
        self._rest = dict.fromkeys(names)
        self._reader.healed.append(self._healed)
        polling = asyncio.ensure_future(self._poll_rest(on_block))
        try:
            lost = False
            while True:
                began_s = self._clock.monotonic_s()
                try:
                    live = await self._create()
                    if lost:
                        self._lost(None, "subscription", None)
                    await self._live(live, on_block, polling)
                except _Lost as error:
                    lost = True
                    if self._clock.monotonic_s() - began_s < _SHORTEST_LIFE_S:
                        ended = Trouble.of("subscription-ended", where=self._session.where, said=str(error))
                        raise Unreachable.of(ended) from None
        finally:
            self._reader.healed.remove(self._healed)
            await end_tasks([polling])

    # -- inside ----------------------------------------------------------------------------------------------

    async def _live(self, live: _Live, on_block: OnBlock, polling: asyncio.Future[None]) -> None:
        """One subscription of the server, until its end."""
        jobs = [
            asyncio.ensure_future(self._take_messages(live, on_block)),
            asyncio.ensure_future(self._subscribe_rest(live)),
        ]
        self._mend.set()
        try:
            done, _ = await asyncio.wait([*jobs, polling], return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            await end_tasks(jobs)
            self._tried.clear()
            for item in live.items.values():
                self._rest.setdefault(item.name, None)
            await self._delete(live)

    async def _create(self) -> _Live:
        publish_s = self._settings.publish_interval
        keep_alive = max(1, math.ceil(KEEP_ALIVE_S / publish_s))
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=ua.Double(publish_s * 1000),
            RequestedLifetimeCount=ua.UInt32(keep_alive * _LIFETIMES),
            RequestedMaxKeepAliveCount=ua.UInt32(keep_alive),
            MaxNotificationsPerPublish=ua.UInt32(0),
            PublishingEnabled=True,
            Priority=ua.Byte(0),
        )

        data = await self._session.call(codec.plain(self._session, request))
        given: ua.CreateSubscriptionResult = struct_from_binary(ua.CreateSubscriptionResult, Buffer(data))
        self._revised("", "publish_interval_ms", publish_s * 1000, given.RevisedPublishingInterval)
        number = int(given.SubscriptionId)
        silence_s = given.RevisedPublishingInterval / 1000 * given.RevisedMaxKeepAliveCount
        return _Live(number, 1.5 * silence_s + self._settings.timeout, self._publisher.messages(number))

    async def _delete(self, live: _Live) -> None:
        self._publisher.forget(live.number)
        if self._session.connected:
            try:
                session = self._session.client.uaclient.session
                await asyncio.wait_for(session.delete_subscriptions([live.number]), self._settings.timeout)
            except Exception as error:  # the session may be gone, and with it the subscription
                logging.getLogger(__name__).debug("subscription of %s: %r", self._session.name, error)

    # -- items -----------------------------------------------------------------------------------------------

    def _healed(self, name: str) -> None:
        if name in self._groups:
            self._mend.set()

    async def _subscribe_rest(self, live: _Live) -> None:
        """Subscribe what is not yet, now and whenever a node can be read again."""
        while True:
            await self._mend.wait()
            self._mend.clear()
            wanted = [name for name in self._rest if not self._reader.slow_status(name)]
            dead = [handle for handle, item in live.items.items() if item.name in wanted]
            await self._drop(live, dead)
            for part in parts(wanted, self._session.limits.monitored_items_per_call) if wanted else ():
                await self._add(live, part)
            self._tried.set()

    async def _add(self, live: _Live, names: Sequence[str]) -> None:
        items = {self._next_handle(): name for name in names}
        live.items.update({handle: _Item(name, 0) for handle, name in items.items()})
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=ua.UInt32(live.number),
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[self._item(handle, self._tags[name]) for handle, name in items.items()],
        )
        session = self._session.client.uaclient.session
        results = await self._session.call(session.create_monitored_items(parameters))
        for (handle, name), given in zip(items.items(), results, strict=True):
            if given.StatusCode.is_good():
                live.items[handle].number = int(given.MonitoredItemId)
                self._rest.pop(name, None)
                self._compare(self._tags[name], given)
                continue
            del live.items[handle]
            if given.StatusCode.value in SLOW:
                self._reader.set_slow(name, given.StatusCode.value)

    async def _drop(self, live: _Live, handles: Sequence[int]) -> None:
        numbers = [live.items.pop(handle).number for handle in handles]
        if numbers:
            parameters = ua.DeleteMonitoredItemsParameters(ua.UInt32(live.number), [ua.UInt32(n) for n in numbers])
            session = self._session.client.uaclient.session
            await self._session.call(session.delete_monitored_items(parameters))

    def _next_handle(self) -> int:
        self._handle += 1
        return self._handle

    def _item(self, handle: int, tag: OpcUaTag) -> ua.MonitoredItemCreateRequest:
        sampling_s, queue_size = self._asked(tag)
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(self._reader.points[tag.name].node, AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=ua.UInt32(handle),
                SamplingInterval=ua.Double(sampling_s * 1000),
                QueueSize=ua.UInt32(queue_size),
                DiscardOldest=True,
            ),
        )

    def _asked(self, tag: OpcUaTag) -> tuple[float, int]:
        publish_s = self._settings.publish_interval
        sampling_s = publish_s if tag.sampling_interval is None else tag.sampling_interval
        if tag.queue_size is not None:
            return sampling_s, tag.queue_size
        return sampling_s, max(2, 2 * math.ceil(publish_s / sampling_s)) if sampling_s else 10

    def _compare(self, tag: OpcUaTag, given: ua.MonitoredItemCreateResult) -> None:
        sampling_s, queue_size = self._asked(tag)
        self._revised(tag.name, "sampling_interval_ms", sampling_s * 1000, given.RevisedSamplingInterval)
        self._revised(tag.name, "queue_size", queue_size, given.RevisedQueueSize)

    def _revised(self, tag: str, setting: str, asked: float, given: float) -> None:
        if abs(given - asked) > asked / 1000:
            params: dict[str, JsonValue] = {"device": self._session.name, "setting": setting}
            params |= {"asked": asked, "given": given} | ({"tag": f"{self._session.name}.{tag}"} if tag else {})
            self._tell(Notice("settings-revised", params))

    async def _poll_rest(self, on_block: OnBlock) -> None:
        """Read what is not subscribed, and tell each tag when it changes."""
        interval_s = self._settings.poll_interval
        while True:
            await self._tried.wait()
            if names := tuple(self._rest):
                block = await self._reader.read(names)
                self._told(block.edge_us)
                raw = block.raw
                times = block.source_us, block.server_us
                whole = Columns(block.values, block.status, *times, block.types, raw.data, raw.begin, raw.end)
                for at, name in enumerate(names):
                    own = self._cut(name, whole, at, block.edge_us)
                    if name in self._rest and not own.same_as(self._rest[name]):
                        self._rest[name] = own
                        on_block(own)
            await asyncio.sleep(interval_s)

    # -- messages --------------------------------------------------------------------------------------------

    async def _take_messages(self, live: _Live, on_block: OnBlock) -> None:
        while True:
            try:
                message = await asyncio.wait_for(live.messages.get(), live.silence_s)
            except TimeoutError:
                raise _Lost(f"nothing said for {live.silence_s:.1f} s") from None
            if isinstance(message, Ended):
                raise _Lost(message.why)
            self._told(self._clock.now_us())
            gap = missing(live.expected, message.sequence) if live.expected is not None else ()
            lost = 0
            for sequence in gap:
                again = await republish(self._session, live.number, sequence)
                if again is None:
                    lost += 1
                else:
                    self._take(live, again, on_block)
            if lost:
                self._lost(None, "sequence", lost)
            if message.parts:
                live.expected = message.sequence % 0xFFFFFFFF + 1
                self._take(live, message, on_block)
            else:  # a keep-alive has the number of the message that is next
                live.expected = message.sequence

    def _take(self, live: _Live, message: Message, on_block: OnBlock) -> None:
        for type_id, body in message.parts:
            if type_id == _STATUS_CHANGE:
                raise _Lost(f"the server answers {status_text(binary.int32(body, 0) & 0xFFFFFFFF)}")
            if type_id == _DATA_CHANGE:
                try:
                    self._take_changes(live, body, on_block)
                except binary.Malformed:
                    self._lost(None, "malformed", None)

    def _take_changes(self, live: _Live, body: bytes, on_block: OnBlock) -> None:
        """A DataChangeNotification: how many, then a client handle and a DataValue each."""
        count = max(0, binary.int32(body, 0))
        data = body[4:]
        places = walk(data, count, 4)
        names = []
        for begin in places[0]:
            item = live.items.get(binary.int32(data, begin - 4) & 0xFFFFFFFF)
            names.append(item.name if item is not None else "")
        takes = [self._reader.points[name].take if name else Take() for name in names]
        columns = Layout(data, takes, OBJECTS, places).columns(data)
        now = self._clock.now_us()
        judge_clock(columns.status, columns.source_us, now)
        for at, name in enumerate(names):
            if not name:
                continue
            block = self._cut(name, columns, at, now)
            if name in self._ranges:
                self._ranges[name].judge(block.values, block.status)
            status = int(block.status[0])
            if status & _OVERFLOW == _OVERFLOW:
                self._overflowed(name)
            if status >= statuses.BAD_SEVERITY and status in SLOW:
                self._reader.set_slow(name, status)
                self._rest[name] = block
            on_block(block)

    def _cut(self, name: str, columns: Columns, at: int, edge_us: int) -> ReadingBlock:
        """One tag's block, always of the same group."""
        group = self._groups[name]
        values = columns.values[at : at + 1]
        if group.dtype != OBJECTS and values.dtype != group.dtype:
            typed = np.zeros(1, group.dtype)
            if values[0] is not None and columns.status[at] < statuses.BAD_SEVERITY:
                typed[0] = values[0]
            values = typed
        raw = RawColumn(columns.data, columns.begin[at : at + 1], columns.end[at : at + 1])
        types = (columns.types[at] or group.types[0],)
        times = columns.source_us[at : at + 1], columns.server_us[at : at + 1]
        return ReadingBlock(group, values, columns.status[at : at + 1].copy(), *times, edge_us, types, raw)

    # -- losses ----------------------------------------------------------------------------------------------

    def _overflowed(self, name: str) -> None:
        now_s = self._clock.monotonic_s()
        found = self._overflows.setdefault(name, _Overflows())
        found.count += 1
        if now_s - found.told_s >= _AGAIN_S:
            self._lost(name, "overflow", found.count)
            found.count, found.told_s = 0, now_s

    def _lost(self, name: str | None, why: str, count: int | None) -> None:
        params: dict[str, JsonValue] = {"device": self._session.name, "why": why}
        if name is not None:
            params["tag"] = f"{self._session.name}.{name}"
        if count is not None:
            params["count"] = count
        self._tell(Notice("samples-lost", params))
