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
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Literal

from central.agent_requests import AgentRequests, Handler, NotTaken
from central.believed import Believed, Keys
from central.facts import Facts
from central.quarantine import Quarantine, Reason
from central.store import envelopes, intake, standing, telemetry
from central.store.engine import Connection, Store
from central.store.intake import Conflict
from central.store.standing import Standing
from central.store.telemetry import Span
from central.stored import StoredFact
from central.telemetry import span_of
from records import chain
from records.clock import Clock
from records.errors import Damaged, Invalid
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
    """What became of one payload. ``watermark``: what the agent is to be told now; None: nothing.

    ``new`` and ``known``: records of a frame that were committed by it, and that were held before.
    """

    result: Result
    agent: str | None = None
    watermark: Watermark | None = None
    facts: tuple[StoredFact, ...] = ()
    detail: str = ""
    new: int = 0
    known: int = 0


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


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A frame's job; ``again`` when other keys are believed by now than those that it was checked by."""

    job: Future[Outcome | None]
    again: Callable[[], Outcome]


class Taking:
    """A payload that is being taken. ``done``: whether ``result`` answers without waiting for a commit."""

    def __init__(self, ingest: Ingest, what: Outcome | _UnderWay) -> None:
        self._ingest = ingest
        self._what = what

    @property
    def done(self) -> bool:
        return isinstance(self._what, Outcome) or self._what.job.done()

    def outcome(self) -> Outcome:
        if isinstance(self._what, Outcome):
            return self._what
        return self._what.job.result() or self._what.again()

    def result(self) -> Outcome:
        """What became of it; raises as ``Ingest.take`` does. Ask once."""
        return self._ingest.done(self.outcome())


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: Reason
    detail: str


class Ingest:
    """Takes payloads one after the other, from one thread. ``on_committed`` is called after each commit.

    ``fence`` is asked in each transaction that commits records, and raises where another process is to do so.
    ``requests``: who answers what agents ask for, by kind; who answers registers itself before the start.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        on_committed: Callable[[list[StoredFact]], None] | None = None,
        fence: Callable[[Connection], None] | None = None,
    ) -> None:
        self._store = store
        self._fence = fence
        self._clock = clock
        self.on_committed = on_committed
        self._presence: dict[str, Presence] = {}
        self._believed = Believed(store)
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
        return self.begin(topic, payload).result()

    def begin(self, topic: str, payload: bytes) -> Taking:
        """The same, without waiting for the commit: several may be under way and are committed together.

        Their results must be asked for in the order in which they were begun.
        """
        levels = topic.removeprefix(f"{TOPIC_ROOT}/").split("/")
        match levels:
            case ["up", _, agent, stream] if stream in STREAMS:
                return Taking(self, self._take_frame(topic, agent, stream, payload))
            case ["up", partition, agent, stream] if stream == REQUESTS:
                outcome = self._take_request(topic, partition, agent, payload)
            case ["state", agent]:
                outcome = self._take_state(topic, agent, payload)
            case ["ack" | "down", *_]:
                outcome = Outcome("ignored", detail="central's own word, which some brokers send back")
            case _:
                outcome = self._refused(topic, None, "topic", "no such topic", payload)
        return Taking(self, outcome)

    def bring(self, agent: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        """Commit what is new in a frame that came as a file; the same in every respect as one over the network.

        ``by_any_key``: also one signed by a key that was revoked or replaced; somebody has decided so.

        Raises:
            StorageFailed: nothing was committed and the process must stop.
        """
        what = self._take_frame(f"import/{agent}", agent, None, payload, by_any_key=by_any_key)
        return Taking(self, what).result()

    def bring_head(self, agent: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        """Keep a signed head that came as a file; it says nothing of whether the agent is there."""
        return self.done(self._take_head(f"import/{agent}", agent, payload, by_any_key=by_any_key))

    def done(self, outcome: Outcome) -> Outcome:
        """Tell who wants to know what was committed."""
        if outcome.facts and self.on_committed is not None:
            self.on_committed(list(outcome.facts))
        return outcome

    # -- frames ----------------------------------------------------------------------------------------

    def _refused(self, topic: str, agent: str | None, reason: Reason, detail: str, payload: bytes) -> Outcome:
        facts = self.quarantine.refuse(topic, agent, reason, detail, payload)
        return Outcome("quarantined", agent, None, facts, f"{reason}: {detail}")

    def _take_frame(
        self, topic: str, agent: str, stream: str | None, payload: bytes, *, by_any_key: bool = False
    ) -> Outcome | _UnderWay:
        keys = self._believed.last()
        while True:
            checked = self._checked(keys, agent, stream, payload, by_any_key=by_any_key)
            if isinstance(checked, Frame):
                items = [_read(envelope) for envelope in checked.envelopes]
                job = partial(self._commit, topic=topic, frame=checked, items=items, keys=keys)
                again = partial(self._take_again, topic, agent, stream, payload, by_any_key=by_any_key)
                return _UnderWay(self._store.submit(job), again)
            now = self._believed.now()
            if now is keys:
                return self._refused(topic, agent, checked.reason, checked.detail, payload)
            keys = now

    def _take_again(
        self, topic: str, agent: str, stream: str | None, payload: bytes, *, by_any_key: bool
    ) -> Outcome:
        """By the keys that are believed by now."""
        self._believed.now()
        return Taking(self, self._take_frame(topic, agent, stream, payload, by_any_key=by_any_key)).outcome()

    def _checked(
        self, keys: Keys, agent: str, stream: str | None, payload: bytes, *, by_any_key: bool
    ) -> Frame | _Refusal:
        """``stream`` None: of whatever stream."""
        if agent not in keys.owners:
            return _Refusal("unknown-agent", f"{agent} is not enrolled")
        try:
            frame = decode_frame(payload, keys.ring, at_us=None if by_any_key else self._clock.now_us())
        except Damaged as error:
            return _Refusal("signature", error.message)
        except (Invalid, ValueError, OverflowError) as error:  # numbers that no chain field can hold
            return _Refusal("not-a-frame", str(error))
        if frame.agent != agent or frame.stream not in ((stream,) if stream else STREAMS):
            return _Refusal("topic", f"the frame is of {frame.agent}, {frame.stream}")
        start = chain.first_hash(frame.agent, frame.epoch, frame.stream)
        if not _EPOCH.fullmatch(frame.epoch) or (frame.first == 1 and frame.previous != start):
            return _Refusal("not-a-frame", "the epoch does not begin as epochs do")
        return frame

    def _commit(
        self, connection: Connection, topic: str, frame: Frame, items: list[_Item], keys: Keys
    ) -> Outcome | None:
        """What became of a frame; None: other keys are believed by now than those that it was checked by."""
        now_us = self._clock.now_us()
        held = standing.read(connection, frame.agent, frame.epoch, frame.stream)
        if held.keys != keys.stamp:
            return None
        if self._fence is not None:
            self._fence(connection)
        if frame.first > held.through + 1:
            detail = f"{frame.first} came while {held.through + 1} is next"
            return Outcome("hole", frame.agent, held.answer, detail=detail)
        conflicting = self._conflict(connection, frame, held, now_us)
        if conflicting is not None:
            return conflicting
        new = items[max(0, held.through + 1 - frame.first) :]
        if not new:
            return Outcome("nothing-new", frame.agent, held.answer, known=len(items))
        facts = self._contradicts_head(connection, held, new, now_us)
        facts += self._add(connection, topic, new, now_us)
        envelopes.add_frame(connection, frame, now_us)
        last = new[-1].envelope
        answer = standing.move(connection, held, last.seq, last.hash, now_us)
        return Outcome("committed", frame.agent, answer, tuple(facts), new=len(new), known=len(items) - len(new))

    def _add(self, connection: Connection, topic: str, items: list[_Item], now_us: int) -> list[StoredFact]:
        """Store records that are new; their facts, and what central states of those that nobody can read."""
        cursors = envelopes.add(connection, [(item.envelope, item.fact) for item in items], now_us)
        facts: list[StoredFact] = []
        spans: list[tuple[int, str, Span]] = []
        stated: list[StoredFact] = []
        for cursor, item in zip(cursors, items, strict=True):
            e = item.envelope
            if item.fact is not None:
                facts.append(
                    StoredFact(e.agent, e.epoch, e.stream, e.seq, e.hash.hex(), e.kind, item.fact, now_us, cursor)
                )
            elif item.span is not None:
                spans.append((cursor, e.agent, item.span))
            elif item.poison is not None and e.body is not None:
                stated += self.quarantine.poison(connection, topic, e, e.body, item.poison, cursor)
        telemetry.add(connection, spans)
        return facts + stated

    def _contradicts_head(
        self, connection: Connection, held: Standing, new: list[_Item], now_us: int
    ) -> list[StoredFact]:
        """A head that the agent stated, and that these records are not: there were two histories of one epoch, as
        after an older image of a disk. The records hold; the other head is kept as a conflict.
        """
        if held.head is None:
            return []
        last, stated_hash = held.head
        named = next((item.envelope for item in new if item.envelope.seq == last), None)
        if named is None or named.hash == stated_hash:
            return []
        stated = intake.head_of(connection, held.agent, held.epoch, held.stream)
        if stated is None:
            return []
        intake.drop_head(connection, stated)
        return list(self._head_conflict(connection, stated, named.hash.hex(), now_us).facts)

    def _conflict(self, connection: Connection, frame: Frame, held: Standing, now_us: int) -> Outcome | None:
        """The first record of the frame that is held with another hash, if there is one."""
        first, through = max(1, frame.first - 1), min(held.through, frame.last)
        known: dict[int, bytes] = {}
        if held.mark is not None and first == held.through:
            known = {first: bytes.fromhex(held.mark.hash)}  # nothing but the record before is held
        elif first <= through:
            known = envelopes.hashes(connection, frame.agent, frame.epoch, frame.stream, first, through)
        offered: dict[int, tuple[bytes, bytes | None]] = {frame.first - 1: (frame.previous, None)}
        offered |= {e.seq: (e.hash, e.body) for e in frame.envelopes if e.seq <= through}
        for seq, link in sorted(known.items()):
            given, body = offered[seq]
            if given != link:
                found = Conflict(0, frame.agent, frame.epoch, frame.stream, seq, link.hex(), given.hex(), now_us)
                facts = self.quarantine.conflict(connection, found, body)
                return Outcome("conflict", frame.agent, held.answer, facts, f"seq {seq} is held otherwise")
        return None

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
        if payload == OFFLINE and agent in self._believed.now().owners:
            self._presence[agent] = Presence(False, self._clock.now_us())
            return Outcome("ignored", agent, detail="offline")
        outcome = self._take_head(topic, agent, payload)
        if outcome.result != "quarantined":
            self._presence[agent] = Presence(True, self._clock.now_us())
        return outcome

    def _take_head(self, topic: str, agent: str, payload: bytes, *, by_any_key: bool = False) -> Outcome:
        keys = self._believed.now()
        now_us = self._clock.now_us()
        if agent not in keys.owners:
            return self._refused(topic, agent, "unknown-agent", f"{agent} is not enrolled", payload)
        try:
            head = unsign(Head, payload, keys.ring, agent, at_us=None if by_any_key else now_us)
        except (Invalid, Damaged) as error:
            return self._refused(topic, agent, "head", error.message, payload)
        if head.agent != agent or head.stream not in STREAMS or not _plausible(head):
            return self._refused(topic, agent, "head", f"a head of {head.agent}, {head.stream}", payload)
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
        stands = standing.read(connection, head.agent, head.epoch, head.stream)
        # a chain that central has nothing of, after a restore perhaps: its agent may believe that all is here
        return Outcome("head", head.agent, stands.answer if stands.mark is None else None)

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
