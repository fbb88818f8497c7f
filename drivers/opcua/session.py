"""One session with one OPC UA server: how it begins, what the server allows, how it ends.

asyncua can reconnect by itself and the supervisor does so too; here only the supervisor does. After a loss
``close`` ends what is left of the session and the next ``connect`` makes a new client, which learns namespaces and
limits again: a server that came back may number its namespaces in another order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.base import Notice, OnNotice
from drivers.ending import end_tasks
from drivers.opcua import limits as limiting
from drivers.opcua.failures import TOO_LARGE, LoginRefused, of_connect, reason
from drivers.opcua.identity import Identity, identify
from drivers.opcua.limits import Cap, Limits, parts
from drivers.opcua.security import GuardedClient, Party, log_in, offered, protect
from drivers.tags import OpcUaDevice, OpcUaSecurity
from records.clock import MICROSECONDS, Clock, iso_z
from records.errors import Invalid, Unreachable
from records.trouble import Trouble

T = TypeVar("T")

_SESSION_MS = 60_000
_WATCHDOG_S = 5.0
LOGIN_AGAIN_S = 60.0
"""A login that was refused is not tried again sooner: many servers lock an account after a few."""
STATE_S = 5.0
"""How often a server is asked whether it runs."""
_DAY_US = 86_400 * MICROSECONDS
_EXPIRES_SOON_US = 30 * _DAY_US

# Whole requests, passwords among them, stand in what asyncua tells at level DEBUG. An application that logs gets
# its warnings all the same; nobody sees them by accident.
_library = logging.getLogger("asyncua")
_library.addHandler(logging.NullHandler())
_library.setLevel(logging.WARNING)

_SERVING = (ua.ServerState.Running, ua.ServerState.CommunicationFault, ua.ServerState.Unknown)
"""States in which values come; in a communication fault each value tells its own quality."""


class Session:
    """A session while it lasts. ``client``, ``limits`` and ``namespaces`` are those of the last ``connect``."""

    def __init__(
        self, name: str, settings: OpcUaDevice, clock: Clock, tell: OnNotice, agent: str = "edge"
    ) -> None:
        if settings.security is None:  # the tag map was not checked
            raise Invalid(f"{name} does not say how its channel is protected")
        self.name = name
        self.limits = Limits()
        self.namespaces: tuple[str, ...] = ()
        self._security: OpcUaSecurity = settings.security
        self._settings, self._agent = settings, agent
        self._clock, self._tell = clock, tell
        self._client: Client | None = None
        self._party = Party()
        self._cap = Cap.of(settings)
        self._fingerprint: str | None = None
        self._identity: Identity | None = None
        self._warned_us: dict[str, int] = {}
        self._ended: Unreachable | None = None
        self._login: tuple[float, LoginRefused] | None = None
        self._guard: asyncio.Task[None] | None = None

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
            raise self._ended or self._away(Trouble.of("not-connected"))
        return self._client

    async def connect(self) -> None:
        """Open the session anew and learn who the server is and what it allows.

        Raises:
            Unreachable: nothing answers, or a server that does not run. Refused: it answers and says no, or
                the tag map does not trust it.
        """
        await self.close()
        if self._login is not None and self._clock.monotonic_s() < self._login[0]:
            raise self._login[1].again()
        settings, security = self._settings, self._security
        party = self._party = Party()
        watchdog_s = max(_WATCHDOG_S, 2 * settings.timeout)
        now_us = self._clock.now_us()
        client = GuardedClient(
            settings.endpoint, security, party, now_us, timeout=settings.timeout, watchdog_intervall=watchdog_s
        )
        client.name = f"Lotkeeper {self._agent}"
        client.description = f"lotkeeper {self._agent} {self.name}"
        client.application_uri = f"urn:lotkeeper:{self._agent}"
        client.session_timeout = _SESSION_MS
        self._client = client
        try:
            if security.secure:
                await protect(client, security, party, now_us, settings.endpoint)
            log_in(client, security, party, now_us)
            await client.connect(auto_reconnect=False)
            await self._learn(client)
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:
            await self.close()
            offers = "" if isinstance(error, OSError) else await self._offers()
            told = of_connect(self.where, error, security, party, offers)
            if isinstance(told, LoginRefused):
                self._login = (self._clock.monotonic_s() + LOGIN_AGAIN_S, told)
            raise told from None
        self._login = None
        self._tell_server()
        self._tell_expiry()
        await self._tell_identity(client)
        self._guard = asyncio.create_task(self._watch_server(client))

    async def close(self) -> None:
        """End the session; never raises, may be called twice."""
        guard, self._guard, self._ended = self._guard, None, None
        if guard is not None:
            await end_tasks([guard])
        await self._disconnect()

    async def call(self, request: Awaitable[T]) -> T:
        """The answer to one request; whatever a server sends instead of one must not end the agent.

        After a complaint that a request was too large, the next session asks for half as much at once.

        Raises:
            Unreachable: there is no answer, or it is an error of the whole request.
        """
        try:
            return await request
        except TOO_LARGE as error:
            self._cap.halve()
            why, nodes = reason(error), self._cap.nodes
            raise Unreachable.of(Trouble.of("asked-too-much", where=self.where, why=why, nodes=nodes)) from None
        except Exception as error:
            raise self._ended or self._away(reason(error)) from None

    # -- inside ----------------------------------------------------------------------------------------------

    def _away(self, why: Trouble) -> Unreachable:
        return Unreachable.of(Trouble.of("away", where=self.where, why=why))

    async def _watch_server(self, client: Client) -> None:
        """Look at the server's state, and at the age of certificates; end the session when it does not run.

        That the server is gone is found by those who ask it for more.
        """
        while True:
            await asyncio.sleep(STATE_S)
            self._tell_expiry()
            try:
                (state,) = await self._values(client, [ObjectIds.Server_ServerStatus_State], 1)
                self._check_state(state)
            except Unreachable as error:
                self._ended = error
                await self._disconnect()
                return
            except Exception as error:
                logging.getLogger(__name__).debug("state of %s: %r", self.name, error)

    async def _disconnect(self) -> None:
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

    async def _learn(self, client: Client) -> None:
        first, state = await self._values(
            client, [limiting.NODES["nodes_per_read"], ObjectIds.Server_ServerStatus_State], 1
        )
        self._check_state(state)
        per_read = limiting.told({"nodes_per_read": first}).at_most(self._cap.nodes).nodes_per_read
        wanted = [ObjectIds.Server_NamespaceArray, *limiting.NODES.values()]
        namespaces, *limits = await self._values(client, wanted, per_read)
        self.namespaces = tuple(namespaces) if isinstance(namespaces, list) else ()
        self.limits = limiting.told(dict(zip(limiting.NODES, limits, strict=True))).at_most(self._cap.nodes)

    def _check_state(self, state: object) -> None:
        if isinstance(state, int) and state not in _SERVING:
            known = state in ua.ServerState.__members__.values()
            word = ua.ServerState(state).name if known else str(state)
            raise Unreachable.of(Trouble.of("server-not-running", where=self.where, state=word))

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

    async def _offers(self) -> str:
        probe = Client(self._settings.endpoint, timeout=self._settings.timeout)
        try:
            return offered(await probe.connect_and_get_server_endpoints())
        except Exception:
            return ""

    # -- what people are told ----------------------------------------------------------------------------------

    def _tell_server(self) -> None:
        """Whose certificate was met, once, and again when it is another."""
        server = self._party.server
        if server is None or server.fingerprint == self._fingerprint:
            return
        params = {"device": self.name, "fingerprint": server.fingerprint, "was": self._fingerprint}
        if server.accepted:
            params["accepted"] = "; ".join(server.accepted)
        self._fingerprint = server.fingerprint
        self._tell(Notice("server-certificate", params))

    def _tell_expiry(self) -> None:
        """Which certificate ends within a month, once a day."""
        now_us = self._clock.now_us()
        party = self._party
        for whose, certificate in (("server", party.server), ("own", party.own), ("user", party.user)):
            if certificate is None:
                continue
            until = certificate.certificate.not_valid_after_utc
            until_us = int(until.timestamp() * MICROSECONDS)
            if until_us - now_us < _EXPIRES_SOON_US and now_us - self._warned_us.get(whose, 0) >= _DAY_US:
                self._warned_us[whose] = now_us
                params = {"device": self.name, "whose": whose, "until": iso_z(until_us)}
                self._tell(Notice("certificate-expires", {**params, "fingerprint": certificate.fingerprint}))

    async def _tell_identity(self, client: Client) -> None:
        try:
            identity = await identify(client, self.namespaces, self.limits)
        except Exception as error:  # a server that tells less of itself is no worse
            logging.getLogger(__name__).debug("identity of %s: %r", self.name, error)
            return
        if identity is not None and identity != self._identity:
            self._identity = identity
            self._tell(Notice("device-identity", {"device": self.name, **identity.to_json()}))


def _is_good(found: ua.DataValue) -> bool:
    return found.StatusCode is None or found.StatusCode.is_good()
