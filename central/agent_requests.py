"""What agents ask of central outside of their records: checked, never taken twice, given to who answers it.

A request counts when its agent is enrolled, sent it under its own name and partition, signed it with a key that is
believed now, and made it after its last one of that kind, by its own clock. So a request that somebody recorded
and plays again does nothing. Anything else goes to quarantine. A request may be lost: who needs an answer asks
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from central.store import agents, asked
from central.store.engine import Connection, Store
from records.clock import MICROSECONDS, Clock, iso_z
from records.errors import Damaged, Invalid, LotkeeperError, StorageFailed
from records.keys import KeyRing
from records.wire import Request, unsign

Handler = Callable[[Request], None]
"""Answers one request in the intake's thread, after it was noted. Raises LotkeeperError to refuse it."""

LONGEST = 256 * 1024
"""Bytes of a request at most."""

AHEAD_US = 600 * MICROSECONDS
"""How far an agent's clock may be ahead of central's: else a wrong clock would outdate every right request."""

_KIND_LONGEST = 100

Refusal = Literal["not-a-frame", "unknown-agent", "signature", "topic", "request"]


class NotTaken(Exception):
    """Why a request is not taken: a reason of ``central.quarantine`` and what was wrong."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class AgentRequests:
    """Checks requests and gives them to ``handlers``, by kind."""

    def __init__(self, store: Store, clock: Clock, handlers: dict[str, Handler]) -> None:
        self._store = store
        self._clock = clock
        self._handlers = handlers

    def take(self, partition: str, agent: str, payload: bytes) -> bool:
        """Have one payload answered; False when this very one was already.

        Raises:
            NotTaken: it is none, or none that counts. StorageFailed: it could not be noted.
        """
        if len(payload) > LONGEST:
            raise NotTaken("request", f"{len(payload)} bytes are more than a request may have ({LONGEST})")
        request = self._verified(partition, agent, payload)
        handler = self._handlers.get(request.kind)
        if handler is None:
            raise NotTaken("request", f"this central knows no request {request.kind[:_KIND_LONGEST]!r}")
        if not self._store.write(lambda connection: self._is_new(connection, request, payload)):
            return False
        try:
            handler(request)
        except StorageFailed:
            raise
        except LotkeeperError as error:
            raise NotTaken("request", f"{request.kind}: {error}") from error
        return True

    def _verified(self, partition: str, agent: str, payload: bytes) -> Request:
        with self._store.read() as connection:
            enrolled = {each.id: each.partition for each in agents.all_agents(connection)}
            ring = KeyRing(agents.keys(connection))
        if agent not in enrolled:
            raise NotTaken("unknown-agent", f"{agent} is not enrolled")
        if enrolled[agent] != partition:
            raise NotTaken("topic", f"{agent} was enrolled in partition {enrolled[agent]}, not {partition}")
        now_us = self._clock.now_us()
        try:
            request = unsign(Request, payload, ring, agent, at_us=now_us)
        except Damaged as error:
            raise NotTaken("signature", error.message) from error
        except Invalid as error:
            raise NotTaken("not-a-frame", error.message) from error
        if request.agent != agent:
            raise NotTaken("topic", f"the request is of {request.agent[:100]}")
        if not 0 <= request.at_us <= now_us + AHEAD_US:
            raise NotTaken("request", f"it was made at {_when(request.at_us)}, now it is {iso_z(now_us)}: "
                           "set the agent's clock right")  # fmt: skip
        return request

    def _is_new(self, connection: Connection, request: Request, payload: bytes) -> bool:
        digest = hashlib.sha256(payload).digest()
        last = asked.last(connection, request.agent, request.kind)
        if last is not None and request.at_us <= last[0]:
            if digest == last[1]:
                return False
            detail = f"{request.kind} of {_when(request.at_us)} comes after that of {_when(last[0])}"
            raise NotTaken("request", f"{detail}: it was played again, or the agent's clock was set back")
        asked.keep(connection, request.agent, request.kind, request.at_us, digest)
        return True


def _when(at_us: int) -> str:
    try:
        return str(iso_z(at_us))
    except (ValueError, OverflowError, OSError):
        return f"{at_us} us"
