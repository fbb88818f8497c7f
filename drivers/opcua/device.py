"""OPC UA over asyncua: one session, a whole group in one read, subscriptions, writes that are read back.

asyncua can reconnect by itself and the supervisor does so too; here only the supervisor does. After a loss this
driver closes what is left of the session and the next ``connect`` makes a new client, which resolves every node id
again from its namespace URI: a server that came back may number its namespaces in another order.

A node that does not exist is one bad reading. A node that cannot be subscribed is polled instead, so that it
heals when the server knows it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.subscription import DataChangeEvent, Subscription
from asyncua.ua import uaerrors
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.base import BlockBuilder, Group, OnBlock, OnNotice, ReadingBlock
from drivers.opcua.values import add_value, status_text, variant_of
from drivers.poll import poll
from drivers.status import BAD_NAMESPACE_UNKNOWN
from drivers.tags import OpcUaDevice, OpcUaTag
from records.clock import Clock
from records.errors import Invalid, LotkeeperError, Refused, Unreachable

T = TypeVar("T")

_SESSION_MS = 60_000
_WATCHDOG_S = 5.0
_GROUPS = 64

# an application that logs gets the library's messages all the same; nobody sees them by accident
logging.getLogger("asyncua").addHandler(logging.NullHandler())

_REFUSALS = (
    uaerrors.BadUserAccessDenied,
    uaerrors.BadIdentityTokenRejected,
    uaerrors.BadIdentityTokenInvalid,
    uaerrors.BadSecurityChecksFailed,
    uaerrors.BadSecurityModeRejected,
    uaerrors.BadSecurityPolicyRejected,
    uaerrors.BadTooManySessions,
)


class OpcUa:
    """A ``Device`` that speaks OPC UA."""

    def __init__(self, name: str, settings: OpcUaDevice, clock: Clock, tell: OnNotice) -> None:
        self.name = name
        self.settings = settings
        self.seen_us = 0
        self._clock = clock
        self._tell = tell
        self._client: Client | None = None
        self._tags = {tag.name: tag for tag in settings.tags}
        self._nodes: dict[str, ua.NodeId | None] = {}
        self._groups: dict[tuple[str, ...], tuple[Group, ua.ReadParameters, tuple[bool, ...]]] = {}

    async def connect(self) -> None:
        await self.close()
        settings = self.settings
        watchdog_s = max(_WATCHDOG_S, 2 * settings.timeout)
        client = Client(settings.endpoint, timeout=settings.timeout, watchdog_intervall=watchdog_s)
        client.name = client.description = f"lotkeeper {self.name}"
        client.application_uri = "urn:lotkeeper:edge"
        client.session_timeout = _SESSION_MS
        self._client = client
        try:
            await client.connect(auto_reconnect=False)
            await self._resolve(client)
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:
            await self.close()
            raise await self._connect_error(error) from None

    async def close(self) -> None:
        client, self._client = self._client, None
        self._groups.clear()
        if client is None:
            return
        protocol = client.uaclient.protocol
        try:
            await asyncio.wait_for(client.disconnect(), self.settings.timeout)
        except Exception as error:  # whatever is left of a broken session ends here
            logging.getLogger(__name__).debug("closing %s: %r", self.name, error)
        finally:
            # asyncua leaves the socket open when its watchdog has already given the session up
            if protocol is not None and protocol.transport is not None:
                protocol.disconnect_socket()

    async def read(self, tags: Sequence[str]) -> ReadingBlock:
        group, parameters, known = self._group(tuple(tags))
        client = self._connected()
        found = iter(await self._call(client.uaclient.session.read(parameters)) if any(known) else ())
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
        client = self._connected()
        data_type = settings.type_name or (await self.read([tag])).types[0]
        try:
            variant = variant_of(value, data_type)
        except Invalid as error:
            raise Invalid(f"{self.name}.{tag}: {error.message}") from None
        node = self._nodes.get(tag)
        if node is None:
            raise Refused(f"{self._where} has no namespace {settings.namespace_uri} for {tag}")
        wanted = ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=ua.DataValue(variant))
        (status,) = await self._call(client.uaclient.session.write(ua.WriteParameters(NodesToWrite=[wanted])))
        if not status.is_good():
            raise Refused(f"{self._where} refused to write {tag}: {status_text(status.value)}")
        expected = BlockBuilder(Group.of(self.name, [settings], status_text))
        add_value(expected, data_type, ua.DataValue(variant))
        block = await self.read([tag])
        if block.raw[0] != expected.raw[0]:
            raise Refused(
                f"{self._where} took {value!r} for {tag}, but holds {block.at(0)!r} ({block.words()[0]})",
                hint="does the machine write this node too?",
            )

    async def watch(self, tags: Sequence[str], on_block: OnBlock, *, every: bool = False) -> None:
        polled = [name for name in tags if self._tag(name).mode == "poll" or self._nodes.get(name) is None]
        subscribed = [name for name in tags if name not in polled]
        if not subscribed:
            await self._poll(polled, on_block, every)
            return
        subscription = await self._call(
            self._connected().create_subscription(self.settings.publish_interval * 1000)
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

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.settings.address_text})"

    def _tag(self, name: str) -> OpcUaTag:
        if name not in self._tags:
            raise Invalid(f"{self.name} has no tag {name!r}")
        return self._tags[name]

    def _connected(self) -> Client:
        if self._client is None:
            raise Unreachable(f"{self._where}: not connected")
        return self._client

    async def _resolve(self, client: Client) -> None:
        namespaces: list[str] = []
        if any(tag.namespace_uri for tag in self.settings.tags):
            namespaces = await client.get_namespace_array()
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

    async def _call(self, request: Awaitable[T]) -> T:
        """The answer to one request; whatever a server sends instead of one must not end the agent."""
        try:
            return await request
        except Exception as error:
            raise Unreachable(f"{self._where}: {_reason(error)}") from None

    async def _connect_error(self, error: Exception) -> LotkeeperError:
        if isinstance(error, _REFUSALS):
            return Refused(f"{self._where} refuses the session: {_reason(error)}")
        if isinstance(error, UaError) and "No matching endpoints" in str(error):
            offered = await self._offered()
            return Refused(
                f"{self._where} offers no channel without security",
                hint=f"it offers {offered}" if offered else None,
            )
        if isinstance(error, OSError | UaError):
            hint = "check cable, address and port, and that the server runs"
            return Unreachable(f"{self._where}: {_reason(error)}", hint=hint)
        return Unreachable(f"{self._where}: does not answer as an OPC UA server ({type(error).__name__}: {error})")

    async def _offered(self) -> str:
        try:
            found = await Client(
                self.settings.endpoint, timeout=self.settings.timeout
            ).connect_and_get_server_endpoints()
        except Exception:
            return ""
        policies = {f"{(e.SecurityPolicyUri or '').rpartition('#')[2]} {e.SecurityMode.name}" for e in found}
        return ", ".join(sorted(policies))

    async def _poll(self, names: Sequence[str], on_block: OnBlock, every: bool) -> None:
        await poll(lambda: self.read(names), self.settings.poll_interval, on_block, every=every)

    async def _subscribe(self, subscription: Subscription, names: Sequence[str]) -> dict[ua.NodeId, list[str]]:
        """Subscribe these tags; the names by node of those that the server took."""
        client = self._connected()
        by_item: dict[tuple[float, int], list[str]] = {}
        for name in names:
            tag = self._tags[name]
            sampling_s = self.settings.publish_interval if tag.sampling_interval is None else tag.sampling_interval
            by_item.setdefault((sampling_s * 1000, tag.queue_size), []).append(name)
        taken: dict[ua.NodeId, list[str]] = {}
        for (sampling_ms, queue_size), group in by_item.items():
            nodes = {node: client.get_node(node) for name in group if (node := self._nodes[name]) is not None}
            results = await self._call(
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
        raise Unreachable(f"{self._where}: the server ended the subscription")

    async def _forget(self, subscription: Subscription) -> None:
        if self._client is not None:
            try:
                await asyncio.wait_for(subscription.delete(), self.settings.timeout)
            except Exception as error:  # the session may be gone, and with it the subscription
                logging.getLogger(__name__).debug("subscription of %s: %r", self.name, error)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(error, UaStatusCodeError):
        return f"the server answers {status_text(error.code)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


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
