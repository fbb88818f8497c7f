"""One session with one OPC UA server: how it begins, what the server allows, how it ends.

asyncua can reconnect by itself and the supervisor does so too; here only the supervisor does. After a loss
``close`` ends what is left of the session and the next ``connect`` makes a new client, which learns namespaces and
limits again: a server that came back may number its namespaces in another order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua import uaerrors
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.base import OnNotice
from drivers.opcua.values import status_text
from drivers.tags import OpcUaDevice
from records.clock import Clock
from records.errors import LotkeeperError, Refused, Unreachable

T = TypeVar("T")

_SESSION_MS = 60_000
_WATCHDOG_S = 5.0

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

NO_LIMIT = 1_000_000
"""Stands for a limit that a server does not have; one request never holds so much."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request to this server may hold at most (OPC 10000-5, 6.3.11 OperationLimitsType)."""

    nodes_per_read: int = NO_LIMIT
    nodes_per_write: int = NO_LIMIT
    nodes_per_browse: int = NO_LIMIT
    nodes_per_call: int = NO_LIMIT
    nodes_per_translate: int = NO_LIMIT
    monitored_items_per_call: int = NO_LIMIT
    array_length: int = NO_LIMIT


_LIMITS = {
    "nodes_per_read": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "nodes_per_write": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "nodes_per_browse": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "nodes_per_call": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall,
    "nodes_per_translate": (
        ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds
    ),
    "monitored_items_per_call": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "array_length": ObjectIds.Server_ServerCapabilities_MaxArrayLength,
}


def parts(items: Sequence[T], at_most: int) -> Iterator[Sequence[T]]:
    """These items in order, so many at a time."""
    if len(items) <= at_most:
        yield items
        return
    left = iter(items)
    while part := list(islice(left, at_most)):
        yield part


class Session:
    """A session while it lasts. ``client``, ``limits`` and ``namespaces`` are those of the last ``connect``."""

    def __init__(self, name: str, settings: OpcUaDevice, clock: Clock, tell: OnNotice) -> None:
        self.name = name
        self.limits = Limits()
        self.namespaces: tuple[str, ...] = ()
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._client: Client | None = None

    @property
    def where(self) -> str:
        """Name and address, for messages."""
        return f"{self.name} ({self._settings.address_text})"

    @property
    def connected(self) -> bool:
        """Whether there is a session, as far as is known."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """The library's client.

        Raises:
            Unreachable: there is no session.
        """
        if self._client is None:
            raise Unreachable(f"{self.where}: not connected")
        return self._client

    async def connect(self) -> None:
        """Open the session anew and learn what the server allows.

        Raises:
            Unreachable: nothing answers. Refused: it answers and says no.
        """
        await self.close()
        settings = self._settings
        watchdog_s = max(_WATCHDOG_S, 2 * settings.timeout)
        client = Client(settings.endpoint, timeout=settings.timeout, watchdog_intervall=watchdog_s)
        client.name = client.description = f"lotkeeper {self.name}"
        client.application_uri = "urn:lotkeeper:edge"
        client.session_timeout = _SESSION_MS
        self._client = client
        try:
            await client.connect(auto_reconnect=False)
            await self._learn(client)
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:
            await self.close()
            raise await self._connect_error(error) from None

    async def close(self) -> None:
        """End the session; never raises, may be called twice."""
        client, self._client = self._client, None
        if client is None:
            return
        protocol = client.uaclient.protocol
        try:
            await asyncio.wait_for(client.disconnect(), self._settings.timeout)
        except Exception as error:  # whatever is left of a broken session ends here
            logging.getLogger(__name__).debug("closing %s: %r", self.name, error)
        finally:
            # asyncua leaves the socket open when its watchdog has already given the session up
            if protocol is not None and protocol.transport is not None:
                protocol.disconnect_socket()

    async def call(self, request: Awaitable[T]) -> T:
        """The answer to one request; whatever a server sends instead of one must not end the agent.

        Raises:
            Unreachable: there is no answer, or it is an error of the whole request.
        """
        try:
            return await request
        except Exception as error:
            raise Unreachable(f"{self.where}: {reason(error)}") from None

    # -- inside ----------------------------------------------------------------------------------------------

    async def _learn(self, client: Client) -> None:
        first = await self._values(client, [_LIMITS["nodes_per_read"]], 1)
        per_read = first[0] if isinstance(first[0], int) and first[0] > 0 else NO_LIMIT
        wanted = [ObjectIds.Server_NamespaceArray, *_LIMITS.values()]
        namespaces, *limits = await self._values(client, wanted, per_read)
        self.namespaces = tuple(namespaces) if isinstance(namespaces, list) else ()
        told = dict(zip(_LIMITS, limits, strict=True))
        self.limits = Limits(**{key: n for key, n in told.items() if isinstance(n, int) and n > 0})

    async def _values(self, client: Client, nodes: Sequence[int], at_most: int) -> list[object]:
        """Values of the server's own nodes, None where it has none."""
        found: list[object] = []
        for part in parts(nodes, at_most):
            wanted = ua.ReadParameters(
                NodesToRead=[ua.ReadValueId(ua.NodeId(ua.Int32(node)), AttributeIds.Value) for node in part]
            )
            answers = await client.uaclient.session.read(wanted)
            found += [None if a.Value is None or not _is_good(a) else a.Value.Value for a in answers]
        return found

    async def _connect_error(self, error: Exception) -> LotkeeperError:
        if isinstance(error, _REFUSALS):
            return Refused(f"{self.where} refuses the session: {reason(error)}")
        if isinstance(error, UaError) and "No matching endpoints" in str(error):
            offered = await self._offered()
            return Refused(
                f"{self.where} offers no channel without security",
                hint=f"it offers {offered}" if offered else None,
            )
        if isinstance(error, OSError | UaError):
            hint = "check cable, address and port, and that the server runs"
            return Unreachable(f"{self.where}: {reason(error)}", hint=hint)
        return Unreachable(f"{self.where}: does not answer as an OPC UA server ({type(error).__name__}: {error})")

    async def _offered(self) -> str:
        try:
            found = await Client(
                self._settings.endpoint, timeout=self._settings.timeout
            ).connect_and_get_server_endpoints()
        except Exception:
            return ""
        policies = {f"{(e.SecurityPolicyUri or '').rpartition('#')[2]} {e.SecurityMode.name}" for e in found}
        return ", ".join(sorted(policies))


def _is_good(found: ua.DataValue) -> bool:
    return found.StatusCode is None or found.StatusCode.is_good()


def reason(error: BaseException) -> str:
    """Why a request failed, in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(error, UaStatusCodeError):
        return f"the server answers {status_text(error.code)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
