"""OPC UA over asyncua: one session, a whole group in one read, subscriptions, writes that are read back.

Every ``connect`` resolves every node id again from its namespace URI.

A node that does not exist is one bad reading. A node that cannot be subscribed is polled instead, so that it
heals when the server knows it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from asyncua import ua
from asyncua.common.subscription import DataChangeEvent, Subscription
from asyncua.ua.attribute_ids import AttributeIds

from drivers.base import BlockBuilder, Group, OnBlock, OnNotice, ReadingBlock
from drivers.opcua.session import Session
from drivers.opcua.values import add_value, status_text, variant_of
from drivers.poll import poll
from drivers.status import BAD_NAMESPACE_UNKNOWN
from drivers.tags import OpcUaDevice, OpcUaTag
from records.clock import Clock
from records.errors import Invalid, Refused, Unreachable

_GROUPS = 64


class OpcUa:
    """A ``Device`` that speaks OPC UA."""

    def __init__(self, name: str, settings: OpcUaDevice, clock: Clock, tell: OnNotice) -> None:
        self.name = name
        self.settings = settings
        self.seen_us = 0
        self._clock = clock
        self._tell = tell
        self._session = Session(name, settings, clock, tell)
        self._tags = {tag.name: tag for tag in settings.tags}
        self._nodes: dict[str, ua.NodeId | None] = {}
        self._groups: dict[tuple[str, ...], tuple[Group, ua.ReadParameters, tuple[bool, ...]]] = {}

    async def connect(self) -> None:
        self._groups.clear()
        await self._session.connect()
        self._resolve()

    async def close(self) -> None:
        self._groups.clear()
        await self._session.close()

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        group, parameters, known = self._group(tuple(tags))
        client = self._session.client
        found = iter(await self._session.call(client.uaclient.session.read(parameters)) if any(known) else ())
        builder = BlockBuilder(group)
        for tag, is_known in zip(group.settings, known, strict=True):
            if is_known:
                add_value(builder, tag.type_name, next(found, None) or ua.DataValue())
            else:
                builder.add(None, BAD_NAMESPACE_UNKNOWN)
        self.seen_us = self._clock.now_us()
        return builder.block(self.seen_us)

    async def write(self, tag: str, value: bool | int | float | str) -> None:
        settings = self._tag(tag)
        if settings.access != "write":
            raise Invalid(f"{self.name}.{tag} is not writable", hint="give the tag `access: write`")
        client = self._session.client
        data_type = settings.type_name or (await self.read([tag])).types[0]
        try:
            variant = variant_of(value, data_type)
        except Invalid as error:
            raise Invalid(f"{self.name}.{tag}: {error.message}") from None
        node = self._nodes.get(tag)
        if node is None:
            raise Refused(f"{self._session.where} has no namespace {settings.namespace_uri} for {tag}")
        wanted = ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=ua.DataValue(variant))
        (status,) = await self._session.call(
            client.uaclient.session.write(ua.WriteParameters(NodesToWrite=[wanted]))
        )
        if not status.is_good():
            raise Refused(f"{self._session.where} refused to write {tag}: {status_text(status.value)}")
        expected = BlockBuilder(Group.of(self.name, [settings], status_text))
        add_value(expected, data_type, ua.DataValue(variant))
        block = await self.read([tag])
        if block.raw[0] != expected.raw[0]:
            raise Refused(
                f"{self._session.where} took {value!r} for {tag}, but holds {block.at(0)!r} ({block.words()[0]})",
                hint="does the machine write this node too?",
            )

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        polled = [name for name in tags if self._tag(name).mode == "poll" or self._nodes.get(name) is None]
        subscribed = [name for name in tags if name not in polled]
        if not subscribed:
            await self._poll(polled, on_block, every)
            return
        subscription = await self._session.call(
            self._session.client.create_subscription(self.settings.publish_interval * 1000)
        )
        try:
            names = await self._subscribe(subscription, subscribed)
            polled += [
                name for name in subscribed if name not in {name for group in names.values() for name in group}
            ]
            jobs: list[Coroutine[Any, Any, None]] = [self._notifications(subscription, names, on_block)]
            if polled:
                jobs.append(self._poll(polled, on_block, every))
            await _until_first_error(jobs)
        finally:
            await self._forget(subscription)

    # -- inside ----------------------------------------------------------------------------------------------

    def _tag(self, name: str) -> OpcUaTag:
        if name not in self._tags:
            raise Invalid(f"{self.name} has no tag {name!r}")
        return self._tags[name]

    def _resolve(self) -> None:
        namespaces = self._session.namespaces
        for tag in self.settings.tags:
            if tag.node_id is not None:
                self._nodes[tag.name] = ua.NodeId.from_string(tag.node_id)
            elif tag.namespace_uri in namespaces:
                index = namespaces.index(tag.namespace_uri)
                self._nodes[tag.name] = ua.NodeId.from_string(f"ns={index};{tag.identifier}")
            else:
                self._nodes[tag.name] = None

    def _group(self, key: tuple[str, ...]) -> tuple[Group, ua.ReadParameters, tuple[bool, ...]]:
        if key not in self._groups:
            tags = [self._tag(name) for name in key]
            nodes = [self._nodes.get(name) for name in key]
            parameters = ua.ReadParameters(
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                NodesToRead=[ua.ReadValueId(node, AttributeIds.Value) for node in nodes if node is not None],
            )
            if len(self._groups) >= _GROUPS:
                self._groups.clear()
            self._groups[key] = (
                Group.of(self.name, tags, status_text),
                parameters,
                tuple(n is not None for n in nodes),
            )
        return self._groups[key]

    async def _poll(self, names: Sequence[str], on_block: OnBlock, every: bool) -> None:
        await poll(lambda: self.read(names), self.settings.poll_interval, on_block, every=every)

    async def _subscribe(self, subscription: Subscription, names: Sequence[str]) -> dict[ua.NodeId, list[str]]:
        """Subscribe these tags; the names by node of those that the server took."""
        client = self._session.client
        by_item: dict[tuple[float, int], list[str]] = {}
        for name in names:
            tag = self._tags[name]
            sampling_s = self.settings.publish_interval if tag.sampling_interval is None else tag.sampling_interval
            by_item.setdefault((sampling_s * 1000, tag.queue_size), []).append(name)
        taken: dict[ua.NodeId, list[str]] = {}
        for (sampling_ms, queue_size), group in by_item.items():
            nodes = {node: client.get_node(node) for name in group if (node := self._nodes[name]) is not None}
            results = await self._session.call(
                subscription.subscribe_data_change(
                    list(nodes.values()), queuesize=queue_size, sampling_interval=ua.Double(sampling_ms)
                )
            )
            good = {node for node, result in zip(nodes, results, strict=True) if isinstance(result, int)}
            for name in group:
                node = self._nodes[name]
                if node in good:
                    taken.setdefault(node, []).append(name)
        return taken

    async def _notifications(
        self, subscription: Subscription, names: dict[ua.NodeId, list[str]], on_block: OnBlock
    ) -> None:
        groups = {
            name: Group.of(self.name, [self._tags[name]], status_text)
            for group in names.values()
            for name in group
        }
        async for event in subscription:
            if not isinstance(event, DataChangeEvent):
                break
            self.seen_us = self._clock.now_us()
            for name in names.get(event.node.nodeid, ()):
                builder = BlockBuilder(groups[name])
                add_value(builder, self._tags[name].type_name, event.data.monitored_item.Value)
                on_block(builder.block(self.seen_us))
        raise Unreachable(f"{self._session.where}: the server ended the subscription")

    async def _forget(self, subscription: Subscription) -> None:
        if self._session.connected:
            try:
                await asyncio.wait_for(subscription.delete(), self.settings.timeout)
            except Exception as error:  # the session may be gone, and with it the subscription
                logging.getLogger(__name__).debug("subscription of %s: %r", self.name, error)


async def _until_first_error(jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one ends; what it raised is raised, the others are cancelled."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
