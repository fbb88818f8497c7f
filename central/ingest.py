"""What agents send becomes central's: each record exactly once, in order, or visibly refused.

Promise, for everything that ``Ingest.take`` returns from:

- **Idempotent.** A record that is held already, with the same hash, changes nothing. The same key with another
  hash is a conflict: kept beside the held one, stated as a fact, and never an overwrite.
- **Contiguous.** A chain only grows behind its last committed record. A frame behind a hole is not taken; the
  answer is the watermark as it is, so that the agent sends again from there.
- **Atomic.** Records, the frame that vouches for them, and the watermark are committed in one transaction. Only
  then is the broker answered.
- **Nothing disappears.** Garbage, strangers, wrong signatures go to quarantine with their bytes, and a fact says
  so. A record of a known agent whose body nobody can read is committed all the same, since the chain must go on,
  and lies in quarantine too.

Is not: a judge of what the records say. That is done by readers of the committed facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from central.agent_requests import AgentRequests, Handler, NotTaken
from central.facts import Facts
from central.quarantine import Quarantine, Reason
from central.store import agents, envelopes, intake, telemetry
from central.store.engine import Connection, Store
from central.store.intake import Conflict
from central.store.telemetry import Span
from central.stored import StoredFact
from central.telemetry import span_of
from records import chain
from records.clock import Clock
from records.errors import Damaged, Invalid
from records.keys import KeyRing
from records.model import Fact, decode
from records.telemetry import KIND, decode_chunk
from records.wire import REQUESTS, TOPIC_ROOT, Envelope, Frame, Head, Watermark, decode_frame, unsign

STREAMS = ("records", "telemetry")

OFFLINE = b"offline"
"""What the broker says on an agent's state topic when the agent is gone (its will)."""

_EPOCH = re.compile(r"[A-Za-z0-9-]{1,64}")

Result = Literal["committed", "nothing-new", "hole", "conflict", "quarantined", "head", "request", "ignored"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one payload. ``watermark``: what the agent is to be told now; None: nothing."""

    result: Result
    agent: str | None = None
    watermark: Watermark | None = None
    facts: tuple[StoredFact, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """What an agent's state topic last said. ``seen_us``: central's clock then."""

    online: bool
    seen_us: int


@dataclass(frozen=True, slots=True)
class _Item:
    envelope: Envelope
    fact: Fact | None
    poison: str | None = None
    span: Span | None = None


class Ingest:
    """Takes payloads one after the other, from one thread. ``on_committed`` is called after each commit.

    ``requests``: who answers what agents ask for, by kind; who answers registers itself before the start.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        on_committed: Callable[[list[StoredFact]], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.on_committed = on_committed
        self._presence: dict[str, Presence] = {}
        self.requests: dict[str, Handler] = {}
        self._asked = AgentRequests(store, clock, self.requests)
        self.quarantine = Quarantine(store, facts, clock)

    def presence(self) -> dict[str, Presence]:
        """Which agents the broker last called online or offline, since this process started."""
        return dict(self._presence)

    def take(self, topic: str, payload: bytes) -> Outcome:
        """Commit what is new in one payload, or say why not.

        Raises:
            StorageFailed: nothing was committed and the process must stop; the broker must not be answered.
        """
        levels = topic.removeprefix(f"{TOPIC_ROOT}/").split("/")
        match levels:
            case ["up", _, agent, stream] if stream in STREAMS:
                outcome = self._take_frame(topic, agent, stream, payload)
            case ["up", partition, agent, stream] if stream == REQUESTS:
                outcome = self._take_request(topic, partition, agent, payload)
            case ["state", agent]:
                outcome = self._take_state(topic, agent, payload)
            case ["ack" | "down", *_]:
                outcome = Outcome("ignored", detail="central's own word, which some brokers send back")
            case _:
                outcome = self._refused(topic, None, "topic", "no such topic", payload)
        if outcome.facts and self.on_committed is not None:
            self.on_committed(list(outcome.facts))
        return outcome

    # -- frames ----------------------------------------------------------------------------------------

    def _refused(self, topic: str, agent: str | None, reason: Reason, detail: str, payload: bytes) -> Outcome:
        facts = self.quarantine.refuse(topic, agent, reason, detail, payload)
        return Outcome("quarantined", agent, None, facts, f"{reason}: {detail}")

    def _ring(self) -> KeyRing:
        with self._store.read() as connection:
            return KeyRing(agents.keys(connection))

    def _take_frame(self, topic: str, agent: str, stream: str, payload: bytes) -> Outcome:
        ring = self._ring()
        if agent not in {key.owner for key in ring.keys()}:  # noqa: SIM118  a key ring, no dict
            return self._refused(topic, agent, "unknown-agent", f"{agent} is not enrolled", payload)
        try:
            frame = decode_frame(payload, ring, at_us=self._clock.now_us())
        except Damaged as error:
            return self._refused(topic, agent, "signature", error.message, payload)
        except (Invalid, ValueError, OverflowError) as error:  # numbers that no chain field can hold
            return self._refused(topic, agent, "not-a-frame", str(error), payload)
        if frame.agent != agent or frame.stream != stream:
            detail = f"the frame is of {frame.agent}, {frame.stream}"
            return self._refused(topic, agent, "topic", detail, payload)
        start = chain.first_hash(frame.agent, frame.epoch, frame.stream)
        if not _EPOCH.fullmatch(frame.epoch) or (frame.first == 1 and frame.previous != start):
            return self._refused(topic, agent, "not-a-frame", "the epoch does not begin as epochs do", payload)
        items = [_read(envelope) for envelope in frame.envelopes]
        return self._store.write(lambda connection: self._commit(connection, topic, frame, items))

    def _commit(self, connection: Connection, topic: str, frame: Frame, items: list[_Item]) -> Outcome:
        now_us = self._clock.now_us()
        held = intake.watermark_of(connection, frame.agent, frame.epoch, frame.stream)
        through = 0 if held is None else held.committed_through
        if frame.first > through + 1:
            detail = f"{frame.first} came while {through + 1} is next"
            return Outcome("hole", frame.agent, self._answer(connection, frame), detail=detail)
        conflicting = self._conflict(connection, frame, min(through, frame.last), now_us)
        if conflicting is not None:
            return conflicting
        new = [item for item in items if item.envelope.seq > through]
        if not new:
            return Outcome("nothing-new", frame.agent, self._answer(connection, frame))
        facts = self._contradicts_head(connection, frame, new, now_us)
        for item in new:
            facts += self._commit_one(connection, topic, item, now_us)
        envelopes.add_frame(connection, frame, now_us)
        last = new[-1].envelope
        intake.move_watermark(connection, frame.agent, frame.epoch, frame.stream, last.seq, last.hash, now_us)
        return Outcome("committed", frame.agent, self._answer(connection, frame), tuple(facts))

    def _commit_one(self, connection: Connection, topic: str, item: _Item, now_us: int) -> list[StoredFact]:
        e = item.envelope
        cursor = envelopes.add(connection, e, item.fact, now_us)
        if item.span is not None:
            telemetry.add(connection, cursor, e.agent, item.span)
        if item.fact is not None:
            return [StoredFact(e.agent, e.epoch, e.stream, e.seq, e.hash.hex(), e.kind, item.fact, now_us, cursor)]
        if item.poison is None or e.body is None:
            return []
        return [*self.quarantine.poison(connection, topic, e, e.body, item.poison, cursor)]

    def _conflict(self, connection: Connection, frame: Frame, through: int, now_us: int) -> Outcome | None:
        """The first record of the frame that is held with another hash, if there is one."""
        held = envelopes.hashes(
            connection, frame.agent, frame.epoch, frame.stream, max(1, frame.first - 1), through
        )
        offered: dict[int, tuple[bytes, bytes | None]] = {frame.first - 1: (frame.previous, None)}
        offered |= {e.seq: (e.hash, e.body) for e in frame.envelopes}
        for seq, known in sorted(held.items()):
            given, body = offered[seq]
            if given != known:
                found = Conflict(0, frame.agent, frame.epoch, frame.stream, seq, known.hex(), given.hex(), now_us)
                facts = self.quarantine.conflict(connection, found, body)
                return Outcome(
                    "conflict", frame.agent, self._answer(connection, frame), facts, f"seq {seq} is held otherwise"
                )
        return None

    def _contradicts_head(
        self, connection: Connection, frame: Frame, new: list[_Item], now_us: int
    ) -> list[StoredFact]:
        """A head that the agent stated, and that these records are not: there were two histories of one epoch, as
        after an older image of a disk. The records hold; the other head is kept as a conflict.
        """
        stated = intake.head_of(connection, frame.agent, frame.epoch, frame.stream)
        named = next((i.envelope for i in new if stated is not None and i.envelope.seq == stated.last), None)
        if stated is None or named is None or named.hash.hex() == stated.hash:
            return []
        intake.drop_head(connection, stated)
        return list(self._head_conflict(connection, stated, named.hash.hex(), now_us).facts)

    def _answer(self, connection: Connection, frame: Frame) -> Watermark | None:
        """The watermark of the agent's newest epoch; of a chain not yet begun, its position 0."""
        if intake.watermark_of(connection, frame.agent, frame.epoch, frame.stream) is None:
            start = chain.first_hash(frame.agent, frame.epoch, frame.stream).hex()
            return Watermark(frame.agent, frame.epoch, frame.stream, 0, start, intake.generation(connection))
        return intake.newest_watermark(connection, frame.agent, frame.stream)

    # -- requests --------------------------------------------------------------------------------------

    def _take_request(self, topic: str, partition: str, agent: str, payload: bytes) -> Outcome:
        try:
            new = self._asked.take(partition, agent, payload)
        except NotTaken as refused:
            return self._refused(topic, agent, refused.reason, refused.detail, payload)
        return Outcome("request", agent) if new else Outcome("ignored", agent, detail="asked already")

    # -- state topics ----------------------------------------------------------------------------------

    def _take_state(self, topic: str, agent: str, payload: bytes) -> Outcome:
        if not payload:
            return Outcome("ignored", agent)
        ring = self._ring()
        now_us = self._clock.now_us()
        if agent not in {key.owner for key in ring.keys()}:  # noqa: SIM118  a key ring, no dict
            return self._refused(topic, agent, "unknown-agent", f"{agent} is not enrolled", payload)
        if payload == OFFLINE:
            self._presence[agent] = Presence(False, now_us)
            return Outcome("ignored", agent, detail="offline")
        try:
            head = unsign(Head, payload, ring, agent, at_us=now_us)
        except (Invalid, Damaged) as error:
            return self._refused(topic, agent, "head", error.message, payload)
        if head.agent != agent or head.stream not in STREAMS or not _plausible(head):
            return self._refused(topic, agent, "head", f"a head of {head.agent}, {head.stream}", payload)
        self._presence[agent] = Presence(True, now_us)
        return self._store.write(lambda connection: self._keep_head(connection, head, payload, now_us))

    def _keep_head(self, connection: Connection, head: Head, payload: bytes, now_us: int) -> Outcome:
        known = intake.head_of(connection, head.agent, head.epoch, head.stream)
        if known is not None and (head.last, head.at_us) <= (known.last, known.at_us):
            if head.last == known.last and head.hash != known.hash:
                return self._head_conflict(connection, head, known.hash, now_us)
            return Outcome("ignored", head.agent, detail="an older head")
        held = envelopes.hashes(connection, head.agent, head.epoch, head.stream, head.last, head.last)
        if held.get(head.last, bytes.fromhex(head.hash)).hex() != head.hash:
            return self._head_conflict(connection, head, held[head.last].hex(), now_us)
        if known is not None and head.last == known.last and head.hash != known.hash:
            return self._head_conflict(connection, head, known.hash, now_us)
        intake.keep_head(connection, head, payload, now_us)
        return Outcome("head", head.agent)

    def _head_conflict(self, connection: Connection, head: Head, held: str, now_us: int) -> Outcome:
        found = Conflict(0, head.agent, head.epoch, head.stream, head.last, held, head.hash, now_us)
        facts = self.quarantine.conflict(connection, found, None)
        return Outcome("conflict", head.agent, None, facts, f"the head {head.last} is held otherwise")


def _plausible(head: Head) -> bool:
    return (
        _EPOCH.fullmatch(head.epoch) is not None
        and re.fullmatch(r"[0-9a-f]{64}", head.hash) is not None
        and 1 <= head.last < 2**63
        and 0 <= head.at_us < 2**63
    )


def _read(envelope: Envelope) -> _Item:
    """Telemetry is columns, not facts: of a chunk only where it belongs is noted, it is read by who asks."""
    if envelope.body is None or (envelope.stream != "records" and envelope.kind != KIND):
        return _Item(envelope, None)
    try:
        if envelope.stream == "records":
            return _Item(envelope, decode(envelope.kind, envelope.body))
        return _Item(envelope, None, span=span_of(decode_chunk(envelope.body)))
    except Invalid as error:
        return _Item(envelope, None, error.message)
