"""What agents ask of central outside of their records: checked, never taken twice, given to who answers it.

A request counts when its agent is enrolled, sent it under its own name and partition, signed it with a key that is
believed now (and that is the key which its content names, where it names one), and made it after its last one of
that kind, by its own clock. So a request that somebody recorded
and plays again does nothing. Anything else goes to quarantine. A request may be lost: who needs an answer asks
again. Who made it at a wrong time may be told so (``untimely``): such an answer names what it answers, so that one
that somebody plays again has no meaning for the agent, and changes nothing here. Of requests of one kind that are
refused for their time, one after the other, only the first goes to quarantine, and each by which their count has
doubled: who asks in a loop fills neither quarantine nor log, and takes no room from what is refused for another
reason. So it is with requests in an agent's name that it has not signed, or not as such: by agent and reason,
until a day goes by without any.

A last one whose time is still to come, by more than any clock may be ahead, was taken while central's own clock
was ahead: it is forgotten, and stated. In its place only a request of this very time counts, so that of what was
recorded before nothing older can be played. What was made at that wrong time can be, once, when it comes: it is
what that agent itself asked for, and each answer is the newest that central has to say, or was given before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from pydantic import JsonValue

from central.facts import Facts
from central.store import agents, asked
from central.store.engine import Connection, Store
from records.clock import MICROSECONDS, MOST_AHEAD_US, Clock, iso_z
from records.errors import Damaged, Invalid, LotkeeperError, StorageFailed
from records.keys import KeyRing
from records.model import OperationsEvent
from records.trouble import Trouble
from records.wire import MAX_FRAME, Request, signed_by, unsign

Handler = Callable[[Request], None]
"""Answers one request in the intake's thread, after it was noted. Raises LotkeeperError to refuse it."""

LONGEST = MAX_FRAME
"""Bytes of a request at most: one may show a document, which has a signature in a signature."""

_KIND_LONGEST = 100

REST_US = 86_400 * MICROSECONDS
"""After so long without any, a request that an agent has not made is news again."""

Refusal = Literal["not-a-frame", "unknown-agent", "signature", "topic", "request"]


class NotTaken(Exception):
    """Why a request is not taken: a reason of ``central.quarantine`` and what was wrong. ``known``: the same
    stands there of requests before it, and this one is only counted.
    """

    def __init__(self, reason: Refusal, detail: str | Trouble, *, known: bool = False) -> None:
        super().__init__(str(detail))
        self.reason = reason
        self.detail = detail
        self.known = known


class AgentRequests:
    """Checks requests and gives them to ``handlers``, by kind; those that are refused for their time to
    ``untimely``, once that is noted.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        handlers: dict[str, Handler],
        untimely: dict[str, Handler],
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._handlers, self._untimely = handlers, untimely

    def take(self, partition: str, agent: str, payload: bytes) -> bool:
        """Have one payload answered; False when this very one was already.

        Raises:
            NotTaken: it is none, or none that counts. StorageFailed: it could not be noted.
        """
        if len(payload) > LONGEST:
            raise NotTaken("request", f"{len(payload)} bytes are more than a request may have ({LONGEST})")
        try:
            request = self._verified(partition, agent, payload)
        except NotTaken as refused:
            raise self._counted(agent, refused) from refused
        handler = self._handlers.get(request.kind)
        if handler is None:
            raise NotTaken("request", f"this central knows no request {request.kind[:_KIND_LONGEST]!r}")
        noted = self._store.write(lambda connection: self._note(connection, request, payload))
        if isinstance(noted, NotTaken):
            if request.kind in self._untimely:
                self._untimely[request.kind](request)
            raise noted
        if not noted:
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
            raise NotTaken("unknown-agent", Trouble.of("agent-not-enrolled", agent=agent))
        if enrolled[agent] != partition:
            raise NotTaken("topic", f"{agent} was enrolled in partition {enrolled[agent]}, not {partition}")
        try:
            request = unsign(Request, payload, ring, agent, at_us=self._clock.now_us())
        except Damaged as error:
            raise NotTaken("signature", error.trouble or error.message) from error
        except Invalid as error:
            raise NotTaken("not-a-frame", error.trouble or error.message) from error
        if request.agent != agent:
            raise NotTaken("topic", f"the request is of {request.agent[:100]}")
        told, key = request.content, signed_by(payload)
        if isinstance(told, dict) and told.get("key", key) != key:
            detail = (
                f"the {request.kind[:_KIND_LONGEST]} is signed by key {key} and names {str(told['key'])[:100]}"
            )
            raise NotTaken("signature", f"{detail}: its agent errs, or somebody else made it")
        return request

    def _counted(self, agent: str, refused: NotTaken) -> NotTaken:
        if refused.reason == "unknown-agent":  # of whom there may be any number
            return refused
        now_us, reason = self._clock.now_us(), refused.reason
        times = self._store.write(lambda c: asked.count_unproven(c, agent, reason, now_us, REST_US))
        told = f"{refused.detail} ({times} requests in its name were refused so by now)"
        return NotTaken(reason, told if times > 1 else refused.detail, known=not _is_power_of_two(times))

    def _note(self, connection: Connection, request: Request, payload: bytes) -> bool | NotTaken:
        """Whether it is new, or why it is not taken; a refusal is remembered, too."""
        digest, now_us = hashlib.sha256(payload).digest(), self._clock.now_us()
        last = asked.last(connection, request.agent, request.kind)
        if last is not None and digest == last[1]:
            return False
        last_us = None if last is None else last[0]
        wrong = _wrong_time(request, last_us, now_us)
        if wrong is not None:
            times = asked.refuse(connection, request.agent, request.kind, now_us, wrong)
            told = wrong if times == 1 else f"{wrong} ({request.kind} was refused {times} times by now)"
            return NotTaken("request", told, known=not _is_power_of_two(times))
        if last_us is not None and last_us > now_us + MOST_AHEAD_US:
            params: dict[str, JsonValue] = {"agent": request.agent, "kind": request.kind}
            event = OperationsEvent("request-time-forgotten", {**params, "at": _when(last_us)})
            self._facts.state(connection, event)
        asked.keep(connection, request.agent, request.kind, request.at_us, digest)
        return True


def _is_power_of_two(times: int) -> bool:
    """Whether a count has doubled since this was so last: what is refused a million times is told twenty times."""
    return times & (times - 1) == 0


def _wrong_time(request: Request, last_us: int | None, now_us: int) -> str | None:
    """What is wrong with when a request was made, after the agent's last one of its kind."""
    if not 0 <= request.at_us <= now_us + MOST_AHEAD_US:
        return f"it was made at {_when(request.at_us)}, now it is {iso_z(now_us)}: set the agent's clock right"
    if last_us is None:
        return None
    if last_us > now_us + MOST_AHEAD_US:  # central's clock was ahead when it took that one
        if request.at_us < now_us - MOST_AHEAD_US:
            wrong = f"it was made at {_when(request.at_us)}, now it is {iso_z(now_us)}, and the one before said "
            return f"{wrong}{_when(last_us)}: it was played again, or the agent's clock is behind: set it right"
        return None
    if request.at_us <= last_us:
        detail = f"{request.kind} of {_when(request.at_us)} comes after that of {_when(last_us)}"
        return f"{detail}: it was played again, or the agent's clock was set back: set it right"
    return None


def _when(at_us: int) -> str:
    try:
        return str(iso_z(at_us))
    except (ValueError, OverflowError, OSError):
        return f"{at_us} us"
